"""Answers made for the accuracy bench, as services of several kinds write them: it works without any captured ones."""

from __future__ import annotations

import json
from typing import Any

from bench.accuracy_wire import Answer, sealed

COMMON = (
    (b"Server", b"shop/1.4"),
    (b"Cache-Control", b"private, no-cache"),
    (b"Vary", b"Accept, Origin"),
    (b"X-Api-Version", b"2024-06"),
)
UUIDS = (
    "6f1c2a34-5b7d-4e8f-9a0b-1c2d3e4f5a6b",
    "b7e2d9c1-0a4f-4c3b-8d5e-7f6a9b8c0d1e",
    "c3d4e5f6-a7b8-4901-8cde-f01234567890",
    "d9e8f7a6-b5c4-4d3e-a2b1-0c9d8e7f6a5b",
)


def made(
    body: object, kind: bytes = b"application/json; charset=utf-8", status: int = 200, *more: tuple[bytes, bytes]
) -> Answer:
    """An answer with the headers of its service."""
    data = body if isinstance(body, bytes) else json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
    return sealed(Answer(status, (*COMMON, *more, (b"Content-Type", kind), (b"Content-Length", b"0")), data))


def item(number: int) -> dict[str, Any]:
    """A thing that is sold."""
    names = ("Oak table", "Steel lamp", "Blue café chair", "Wool rug & mat", "Glass jar", "Paper fan")
    return {
        "id": 100 + number,
        "uuid": UUIDS[number % 4],
        "sku": f"SKU-{number:03}",
        "name": names[number % 6],
        "price": round(12.5 + number * 3.75, 2),
        "weight_kg": 2.0,
        "stock": 7 * number % 23,
        "active": number % 3 != 1,
        "discount": None,
        "tags": ["new", "home", f"room-{number}"],
        "options": [],
        "dimensions": {"width": 40 + number, "height": 75, "unit": "cm"},
        "created_at": f"2024-03-{1 + number:02}T08:1{number % 6}:00Z",
        "url": f"https://shop.example/items/{100 + number}",
        "path": f"/items/{100 + number}/reviews",
        "slug": f"oak-table-{100 + number}-natural",
        "release": "2.31.0-rc.1",
    }


def _page(number: int) -> dict[str, Any]:
    return {
        "page": number,
        "per_page": 6,
        "total": 48,
        "next": f"https://shop.example/items?page={number + 1}",
        "items": [item(n) for n in range(6)],
    }


ORDER = {
    "id": 90210, "number": "2024000123", "customerId": 4711, "state": "shipped", "placedAt": "2024-05-06T07:08:09.120Z", "trackingId": UUIDS[0],
    "ledger": 9007199254740993, "total": 129.95, "currency": "EUR", "paid": True, "note": "Leave at the neighbour's door", "coupon": None,
    "lines": [{"lineId": n, "itemId": 100 + n, "quantity": n + 1, "price": 9.99 + n, "status": "packed"} for n in range(5)],
    "address": {"street": "Königsallee 12", "city": "Düsseldorf", "zip": "40212", "geo": {"lat": 51.2217, "lon": 6.7762}},
    "history": [{"at": f"2024-05-0{6 + n}T09:00:00Z", "status": status} for n, status in enumerate(("placed", "packed", "shipped"))],
}  # fmt: skip
USERS = [
    {
        "id": n,
        "name": name,
        "email": f"{name.lower()}@example.org",
        "role": "editor",
        "active": True,
        "manager_id": n // 2 or None,
    }
    for n, name in enumerate(("Ada", "Grace", "Edsger", "Barbara", "Alan", "Radia", "Donald"), 1)
]
PAGE = b"""<!doctype html>
<html lang="en"><head><title>Oak table</title><link rel="stylesheet" href="/static/site.css"></head>
<body class="shop">
<h1>Oak table</h1>
<p class="price">129.95 EUR</p>
<ul>
<li><a href="/items/101">Steel lamp</a></li>
<li><a href="/items/102">Blue chair</a></li>
<li>In stock: 14 pieces</li>
</ul>
<form action="/cart" method="post"><input type="hidden" name="item" value="100"><button type="submit">Buy</button></form>
</body></html>
"""
FEED = b"""<?xml version="1.0" encoding="utf-8"?>
<catalog updated="2024-03-01"><item id="100"><title>Oak table</title><price currency="EUR">129.95</price></item>
<item id="101"><title>Steel lamp</title><price currency="EUR">39.00</price></item>
<item id="102"><title>Blue chair</title><price currency="EUR">59.50</price></item></catalog>
"""
CSV = b"id,name,price,stock\n100,Oak table,129.95,14\n101,Steel lamp,39.00,250\n102,Blue chair,59.50,33\n103,Glass jar,4.20,118\n"
LOG = b"".join(b'{"seq":%d,"level":"info","text":"step %d done"}\n' % (n, n) for n in range(1, 7))
EVENTS = b"".join(b'event: progress\ndata: {"step":%d,"of":5}\n\n' % n for n in range(1, 6))
IMAGE = (
    bytes.fromhex("89504e470d0a1a0a0000000d49484452000000100000001008060000001ff3ff61")
    + bytes(range(200))
    + bytes.fromhex("0000000049454e44ae426082")
)
LINK = (b"Link", b'<https://shop.example/items?page=2>; rel="next", <https://shop.example/items?page=8>; rel="last"')
SAMPLES: dict[tuple[str, str], Answer] = {
    ("GET", "/items"): made(_page(1), b"application/json; charset=utf-8", 200, LINK),
    ("GET", "/items/{id}"): made(item(3)),
    ("GET", "/orders/{id}"): made(ORDER),
    ("GET", "/users"): made(USERS, b"application/json; charset=utf-8", 200, LINK),
    ("POST", "/orders"): made({"id": 90211, "state": "open", "url": "https://shop.example/orders/90211"}, b"application/json", 201, (b"Location", b"https://shop.example/orders/90211")),
    ("GET", "/search"): made({"query": "lamp", "count": 3, "hits": [{"code": f"L{n}", "title": f"Lamp number {n}", "score": 0.875 - n / 16} for n in range(3)], "facets": {}, "suggestions": []}),
    ("GET", "/missing"): made({"error": {"code": "not_found", "message": "No such item", "details": []}}, b"application/json", 404),
    ("POST", "/login"): made({"error": "invalid credentials"}, b"application/json", 401),
    ("GET", "/old"): made(b"", b"text/plain", 301, (b"Location", b"https://shop.example/new?ref=old")),
    ("GET", "/page"): made(PAGE, b"text/html; charset=utf-8"),
    ("GET", "/feed"): made(FEED, b"application/xml; charset=utf-8"),
    ("GET", "/export"): made(CSV, b"text/csv; charset=utf-8"),
    ("GET", "/log"): made(LOG, b"application/x-ndjson"),
    ("GET", "/events"): made(EVENTS, b"text/event-stream"),
    ("GET", "/token"): made(b"state=open&user=ada&scope=read+write", b"application/x-www-form-urlencoded"),
    ("GET", "/logo"): made(IMAGE, b"image/png"),
}  # fmt: skip
"""By method and path."""
