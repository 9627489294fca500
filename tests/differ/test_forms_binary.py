"""Protobuf, gRPC, images and other bytes: fields by number or name, pictures by what they show, the rest by kind, size and digest."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from differ.compare import compare
from differ.context import Context
from differ.descriptors import Registry, registry_of
from differ.difference import FORMAT, TYPE, VALUE
from differ.images import image_of
from differ.wires import wire
from differ.worker import registry as read_registry
from tests.differ.forms import answer, between, places

PROTO, GRPC = "application/x-protobuf", "application/grpc"


def varint(value: int) -> bytes:
    """A number of seven bits a byte."""
    found = b""
    while value > 0x7F:
        found += bytes([value & 0x7F | 0x80])
        value >>= 7
    return found + bytes([value])


def message(*fields: tuple[int, object]) -> bytes:
    """A message of (number, value): whole numbers, decimals, texts, bytes or messages."""
    found = b""
    for number, value in fields:
        if isinstance(value, int):
            found += varint(number << 3) + varint(value)
        elif isinstance(value, float):
            found += varint(number << 3 | 1) + struct.pack("<d", value)
        else:
            data = value.encode() if isinstance(value, str) else value
            found += varint(number << 3 | 2) + varint(len(data)) + data
    return found


def frames(*messages: bytes) -> bytes:
    """Messages as gRPC sends them."""
    return b"".join(struct.pack(">BI", 0, len(data)) + data for data in messages)


PRICE = message((1, "EUR"), (2, 1350))
ITEM = message((1, "apple"), (2, 3), (3, PRICE), (4, 0.5), (6, b"\x00\xff"))


@pytest.mark.parametrize(
    ("new", "found"),
    [
        (message((1, "pear"), (2, 3), (3, PRICE), (4, 0.5), (6, b"\x00\xff")), {("body:$['1']", "value")}),
        (message((1, "apple"), (2, 4), (3, PRICE), (4, 0.5), (6, b"\x00\xff")), {("body:$['2']", "value")}),
        (
            message((1, "apple"), (2, 3), (3, message((1, "EUR"), (2, 9))), (4, 0.5), (6, b"\x00\xff")),
            {("body:$['3']['2']", "value")},
        ),
        (message((1, "apple"), (2, 3), (4, 0.5), (6, b"\x00\xff")), {("body:$['3']", "missing")}),
        (ITEM.replace(b"apple", b" A BC"), {("body:$['1']", "value")}),
        (ITEM + message((9, 1)), {("body:$['9']", "added")}),
        (ITEM + message((2, 5)), {("body:$['2']", "length")}),
        (message((1, "apple"), (2, 3), (3, PRICE), (4, 1.5), (6, b"\x00\xff")), {("body:$['4']", "value")}),
        (message((1, "apple"), (2, 3), (3, PRICE), (4, 0.5), (6, b"\x01\xff")), {("body:$['6']", "value")}),
    ],
)
def test_a_field_is_told_by_its_number(new: bytes, found: set[tuple[str, str]]) -> None:
    """Without a descriptor: texts, numbers, messages and bytes at the numbers that stand on the wire."""
    assert places(between(ITEM, new, PROTO)) == found


def test_a_text_that_could_be_a_message_is_a_text() -> None:
    """A blank and a letter are also the tag and the value of a number."""
    assert places(between(message((1, " A")), message((1, " B")), PROTO)) == {("body:$['1']", "value")}


def test_fields_in_another_order_are_the_same() -> None:
    """The encoding leaves their order open."""
    assert between(ITEM, message((6, b"\x00\xff"), (4, 0.5), (3, PRICE), (2, 3), (1, "apple")), PROTO) == []


def test_frames_of_grpc_are_a_sequence() -> None:
    """Each message is an element; a compressed one is unpacked; one more is a length."""
    packer = zlib.compressobj(wbits=31)
    packed = packer.compress(ITEM) + packer.flush()
    compressed = struct.pack(">BI", 1, len(packed)) + packed
    other = ITEM.replace(b"apple", b"mango")

    assert between(frames(ITEM), compressed, GRPC) == []
    assert places(between(frames(PRICE, ITEM), frames(PRICE, other), GRPC)) == {("body:$[*]['1']", "value")}
    assert places(between(frames(ITEM), frames(ITEM, PRICE), GRPC)) == {("body:$", "length")}
    assert places(between(frames(ITEM), frames(ITEM)[:-1], GRPC)) == {("body", "format")}


def field(name: str, number: int, kind: int, *, repeated: bool = False, of: str = "") -> bytes:
    """A FieldDescriptorProto."""
    told = [(1, name), (3, number), (4, 3 if repeated else 1), (5, kind)]
    return message(*told, *([(6, of)] if of else []))


@pytest.fixture
def registry() -> Registry:
    """A set with a message, a message and an enumeration inside it, and a service."""
    price = message((1, "Price"), (2, field("currency", 1, 14, of=".shop.Item.Currency")), (2, field("cents", 2, 17)))
    currency = message((1, "Currency"), (2, message((1, "EUR"), (2, 0))), (2, message((1, "USD"), (2, 1))))
    item = message(
        *((1, "Item"), (2, field("name", 1, 9)), (2, field("sizes", 2, 5, repeated=True))),
        *((2, field("price", 3, 11, of=".shop.Item.Price")), (2, field("sold", 4, 8)), (3, price), (4, currency)),
    )
    service = message((1, "Shop"), (2, message((1, "Get"), (2, ".shop.Id"), (3, ".shop.Item"))))
    file = message((1, "shop.proto"), (2, "shop"), (4, item), (6, service))
    return registry_of(message((1, file)))


def test_with_a_descriptor_fields_have_names(registry: Registry) -> None:
    """The method names the message: names, enumerations, signs, booleans and packed numbers as they are meant."""
    price, other = message((1, 0), (2, 5)), message((1, 1), (2, 6))  # zigzag: -3 and 3
    old = message((1, "\x01apple"), (2, b"\x01\x02\x03"), (3, price), (4, 1))
    new = message((1, "\x01apple"), (2, b"\x01\x02\x04"), (3, other), (4, 0))
    context = Context(path="/shop.Shop/Get", registry=registry)
    found = {d.where: d for d in between(frames(old), frames(new), GRPC, context)}
    named = between(old, new, 'application/x-protobuf; messageType="shop.Item"', Context(registry=registry))

    cents = found.pop("body:$[*].price.cents")
    assert (cents.old, cents.new) == ("-3", "3")
    assert set(found) == {"body:$[*].sizes[*]", "body:$[*].price.currency", "body:$[*].sold"}
    assert (found["body:$[*].price.currency"].old, found["body:$[*].sold"].old) == ('"EUR"', "true")
    assert {d.where for d in named} == {"body:$.sizes[*]", "body:$.price.currency", "body:$.price.cents", "body:$.sold"}


def test_a_wrong_descriptor_costs_names_only(registry: Registry) -> None:
    """Where the wire says otherwise than the descriptor, the field is read as it stands."""
    old, new = message((1, 7), (4, "x")), message((1, 8), (4, "y"))
    context = Context(path="/shop.Shop/Get", registry=registry)

    assert {(d.where, d.old) for d in between(frames(old), frames(new), GRPC, context)} == {
        ("body:$[*].name", "7"),
        ("body:$[*].sold", '"x"'),
    }


def test_a_file_that_names_nothing_costs_names_only(tmp_path: Path) -> None:
    """The worker compares by number when the file of the settings is missing or no descriptor set."""
    good, bad = tmp_path / "good", tmp_path / "bad"
    good.write_bytes(message((1, message((1, "a.proto"), (4, message((1, "A")))))))
    bad.write_bytes(b"syntax = 3;")

    assert set((read_registry(str(good)) or Registry({}, {})).messages) == {"A"}
    assert [read_registry(path) for path in ("", str(bad), str(tmp_path / "none"))] == [None] * 3


@given(st.binary(max_size=60))
def test_any_bytes_are_a_descriptor_set_or_refused(data: bytes) -> None:
    """A wrong file is told as such."""
    try:
        registry_of(data)
    except ValueError:
        fields = wire(data)
        assert not fields or any((number, kind) != (1, 2) for number, kind, _ in fields)


def guess(kind: int, left: int, above: int, corner: int) -> int:
    """What a filter of PNG expects of a byte by its neighbours."""
    if kind == 4:
        distances = [(abs(left + above - corner - one), rank) for rank, one in enumerate((left, above, corner))]
        return (left, above, corner)[min(distances)[1]]
    return (0, left, above, (left + above) // 2)[kind]


def png(
    width: int, height: int, pixels: bytes, *, filters: int = 0, level: int = 6, text: bytes = b"", depth: int = 8
) -> bytes:
    """A PNG of grey, its lines filtered by one of the five filters."""
    lines, before = b"", bytes(width)
    for begin in range(0, width * height, width):
        line = pixels[begin : begin + width]
        lines += bytes([filters])
        for at, byte in enumerate(line):
            left, corner = (line[at - 1], before[at - 1]) if at else (0, 0)
            lines += bytes([(byte - guess(filters, left, before[at], corner)) & 255])
        before = line
    header = struct.pack(">IIBBBBB", width, height, depth, 0, 0, 0, 0)
    texts = [(b"tEXt", text)] if text else []
    chunks = [(b"IHDR", header), *texts, (b"IDAT", zlib.compress(lines, level)), (b"IEND", b"")]
    packed = (
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(packed)


PIXELS = bytes(0 if x < 8 else 250 for _ in range(16) for x in range(16))
JPEG = b"\xff\xd8\xff\xe0\x00\x04ab\xff\xc0\x00\x0b\x08\x00\x20\x00\x10\x01"
GIF = b"GIF89a" + struct.pack("<HH", 16, 32) + b"\x00"
BMP = b"BM" + bytes(12) + struct.pack("<Iii", 40, 16, -32)
WEBPS = [
    b"RIFF____WEBPVP8X" + bytes(8) + b"\x0f\x00\x00\x1f\x00\x00",
    b"RIFF____WEBPVP8 " + bytes(7) + b"\x9d\x01\x2a" + struct.pack("<HH", 16, 32),
    b"RIFF____WEBPVP8L" + bytes(4) + b"\x2f" + struct.pack("<I", 15 | 31 << 14),
]


@pytest.mark.parametrize(
    ("data", "kind"),
    [(png(16, 32, bytes(512)), "png"), (JPEG, "jpeg"), (GIF, "gif"), (BMP, "bmp"), *((data, "webp") for data in WEBPS)],
)
def test_dimensions_are_read_from_headers(data: bytes, kind: str) -> None:
    """Each of the five kinds says how wide and how high it is; a header that was cut is no image."""
    found = image_of(data)

    assert found is not None
    assert (found.kind, found.width, found.height) == (kind, 16, 32)
    assert image_of(data[:9]) is None
    assert all(image_of(data[:cut]) is None or cut > 9 for cut in range(len(data)))


def test_a_picture_is_what_it_shows() -> None:
    """Packed or filtered otherwise it is the same; a speck is alike, another picture is not; size and kind are told."""
    base = png(16, 16, PIXELS)
    speck, mirrored = bytes([9, *PIXELS[1:]]), PIXELS.translate(bytes(range(255, -1, -1)))

    def differs(other: bytes) -> list[tuple[str, str, int, str]]:
        return [(d.where, d.kind, d.facet, d.signature) for d in between(base, other, "image/png")]

    rough = bytes((at * at * 7 + at * 13) % 251 for at in range(256))
    for filters in range(5):
        assert differs(png(16, 16, PIXELS, filters=filters, level=1, text=b"Software\0x")) == []
        assert between(png(16, 16, rough), png(16, 16, rough, filters=filters), "image/png") == []
    assert differs(png(16, 16, speck)) == [("body", "value", VALUE, "value:image:alike")]
    assert differs(png(16, 16, mirrored)) == [("body", "value", FORMAT, "value:image:pixels")]
    assert differs(png(8, 32, PIXELS)) == [("body", "value", FORMAT, "value:image:dimensions")]
    assert differs(GIF) == [("body", "format", TYPE, "format:image:png>gif")]
    assert differs(b"Not Found") == [("body", "format", TYPE, "format:image>text")]


def test_pixels_that_are_not_unpacked_are_told_by_their_bytes() -> None:
    """Another depth, or damage: an image all the same."""
    deep = png(16, 16, PIXELS, depth=16)

    for other in (deep + b"x", deep[:60]):
        assert [d.signature for d in between(deep, other, "image/png")] == ["value:image:png"]


def test_other_bytes_are_told_by_kind_size_and_digest() -> None:
    """Not a screen of garbage; another kind of file is a change of format."""
    pdf, zipped = b"%PDF-1.7 \xff\xfe one", b"PK\x03\x04\xff\xfe"
    (changed,) = between(pdf, pdf + b"!", "application/octet-stream")
    (kind,) = between(pdf, zipped, "application/octet-stream")
    (lucky,) = between(b"\xff\xfe\xfd", b"abc", "application/octet-stream")

    assert (changed.where, changed.kind, changed.facet) == ("body", "value", FORMAT)
    assert (changed.old or "").startswith('"pdf, 15 bytes, sha256 ')
    assert (kind.kind, kind.facet, kind.signature) == ("format", TYPE, "format:pdf>zip")
    assert (lucky.kind, lucky.facet) == ("value", FORMAT)


def test_what_a_protobuf_label_lies_about_is_compared_as_it_is() -> None:
    """An error page under the label of gRPC is text."""
    found = compare(answer(frames(ITEM), GRPC), answer("upstream down", GRPC), Context()).differences

    assert [(d.where, d.kind, d.signature) for d in found] == [("body", "format", "format:protobuf>text")]
