"""Closes the sockets of kafka-python's connections that do not come about, which its 3.0 leaves to the garbage collector.

Where that is off for long (:mod:`replayer.quiet`), each try to reach a broker that is away would keep a descriptor.
"""

from __future__ import annotations

import importlib
from typing import Any


def mend() -> None:
    """Have them closed in this process; once is enough, and more do no harm."""
    addresses: Any = importlib.import_module("kafka.net.inet").KafkaNetSocket
    tls: Any = importlib.import_module("kafka.net.transport").KafkaSSLTransport
    connect, shake = addresses.sock_connect, tls.handshake
    if connect.__module__ == __name__:
        return

    # Whatever ends one of these, also that the wait for it is given up: what it waits with has let go of the socket by then.
    async def sock_connect(self: Any, net: Any, sock: Any, *words: Any, **named: Any) -> Any:
        try:
            return await connect(self, net, sock, *words, **named)
        except BaseException:
            sock.close()
            raise

    async def handshake(self: Any) -> None:
        try:
            await shake(self)
        except BaseException:
            self.close()
            raise

    addresses.sock_connect, tls.handshake = sock_connect, handshake
