"""The seal: the originals of a request's masked atoms, encrypted, so that a recording is harmless by itself and still works.

Layout: version (1 byte) · key id (4) · salt (16) · counter (8) · ciphertext and tag of ChaCha20-Poly1305. Each process seals
under a key of its own, derived from the installation's key and a random salt, with a counter as nonce: random nonces under one key
would be exhausted after 2³² exchanges. What is authenticated besides is the masked request line, so a seal fits no other
request. :class:`~echolane.masks.Masker` makes seals; only the replayer opens them, with :func:`open_seal`. The replayer seals what
targets gave in the same way (:meth:`Sealer.seal_data`), for whoever goes on with its work.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import struct
from typing import NamedTuple

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from echolane.errors import EcholaneError
from echolane.exchange import Body, Headers, Request
from echolane.keys import SealKey, SealKeys
from echolane.masks.edits import Undo, revert

VERSION = 1
_HEAD = struct.Struct(">B4s16sQ")
_NONCE = struct.Struct(">4xQ")
_OPENERS_MAX = 256  # One salt a recorder start; a long recording has dozens.


class SealBroken(EcholaneError):  # noqa: N818 - reads as what happened
    """A seal cannot be opened: another key, another request, or damage."""


class Originals(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """What a seal holds: only what was masked."""

    target: str | None = None
    authority: str | None = None
    headers: list[tuple[int, bytes]] = []
    """Place and original value of each masked header."""
    body: list[Undo] = []
    trailers: list[tuple[int, bytes]] = []


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(Originals)


class _Aead(NamedTuple):
    pid: int
    prefix: bytes
    cipher: ChaCha20Poly1305
    counter: itertools.count[int]


class Sealer:
    """Seals originals under one key."""

    def __init__(self, key: SealKey) -> None:
        self._key = key
        self._aead = self._fresh()

    def seal(self, masked: Request, originals: Originals) -> bytes:
        """The seal of one masked request."""
        return self.seal_data(_ENCODER.encode(originals), _context(masked))

    def seal_data(self, data: bytes, context: bytes) -> bytes:
        """The seal of any data; it opens with the same ``context`` only."""
        aead = self._aead
        if aead.pid != os.getpid():  # A fork would count on with the same key and the same nonces.
            aead = self._aead = self._fresh()
        number = next(aead.counter)
        sealed = aead.cipher.encrypt(_NONCE.pack(number), data, context)
        return aead.prefix + number.to_bytes(8, "big") + sealed

    def _fresh(self) -> _Aead:
        salt = os.urandom(16)
        prefix = _HEAD.pack(VERSION, self._key.id, salt, 0)[:-8]
        return _Aead(os.getpid(), prefix, _cipher(self._key.secret, salt), itertools.count())


class Opener:
    """Opens seals of any of the installation's keys, and remembers the derived keys."""

    def __init__(self, keys: SealKeys) -> None:
        self._keys = keys
        self._ciphers: dict[bytes, ChaCha20Poly1305] = {}

    def open(self, request: Request, seal: bytes) -> Request:
        """The request as it was sent, byte for byte; itself where there is no seal."""
        if not seal:
            return request
        what = f"{request.method} {request.target[:60]}"
        data = self.open_data(seal, _context(request), what)
        try:
            return _restored(request, _DECODER.decode(data))
        except (msgspec.DecodeError, ValueError, IndexError) as error:
            raise _broken(seal, what) from error

    def open_data(self, seal: bytes, context: bytes, what: str) -> bytes:
        """What :meth:`Sealer.seal_data` sealed with the same context; ``what`` names it in messages."""
        if len(seal) < _HEAD.size + 16 or seal[0] != VERSION:
            raise SealBroken(
                f"a seal of {len(seal)} bytes and version {seal[0] if seal else 0} is none of this Echolane; "
                "was it written by a newer one?"
            )
        _, key_id, salt, number = _HEAD.unpack_from(seal)
        cipher = self._cipher(key_id, salt)
        try:
            return cipher.decrypt(_NONCE.pack(number), seal[_HEAD.size :], context)
        except InvalidTag as error:
            raise _broken(seal, what) from error

    def _cipher(self, key_id: bytes, salt: bytes) -> ChaCha20Poly1305:
        found = self._ciphers.get(key_id + salt)
        if found is None:
            key = self._keys.find(key_id)
            if key is None:
                raise SealBroken(
                    f"the recording is sealed with key {key_id.hex()}, which is not here; "
                    "set ECHOLANE_SEAL_KEY to it or add it as a further line to keys/seal.key"
                )
            if len(self._ciphers) >= _OPENERS_MAX:
                self._ciphers.clear()
            found = self._ciphers[key_id + salt] = _cipher(key.secret, salt)
        return found


def open_seal(request: Request, seal: bytes, keys: SealKeys) -> Request:
    """The request as it was sent; :class:`SealBroken` if the seal is damaged or its key is not among ``keys``."""
    return Opener(keys).open(request, seal)


def _cipher(secret: bytes, salt: bytes) -> ChaCha20Poly1305:
    return ChaCha20Poly1305(hashlib.blake2b(salt, digest_size=32, key=secret, person=b"echolane-seal").digest())


def _broken(seal: bytes, what: str) -> SealBroken:
    _, key_id, _, _ = _HEAD.unpack_from(seal)
    return SealBroken(
        f"the seal of {what} does not open with key {key_id.hex()}: it is damaged or belongs to another request"
    )


def _context(masked: Request) -> bytes:
    """What a seal is bound to."""
    text = f"{masked.method}\0{masked.target}\0{len(masked.headers)}\0{len(masked.body.data)}"
    return text.encode("utf-8", "surrogatepass")


def _restored(request: Request, held: Originals) -> Request:
    body = request.body
    if held.body:
        body = Body(
            revert(body.data, held.body),
            body.size,
            body.encoding,
            body.digest,
            body.truncated,
            body.undecoded,
            body.chunked,
        )
    return Request(
        request.method,
        request.scheme,
        request.authority if held.authority is None else held.authority,
        request.target if held.target is None else held.target,
        request.http_version,
        _put_back(request.headers, held.headers),
        body,
        _put_back(request.trailers, held.trailers),
    )


def _put_back(headers: Headers, originals: list[tuple[int, bytes]]) -> Headers:
    if not originals:
        return headers
    out = list(headers)
    for place, value in originals:
        out[place] = (out[place][0], value)
    return out
