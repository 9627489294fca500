"""Findings as the differ writes them (design §7): what a careless release makes, and long values in them."""

from __future__ import annotations

import copy
import json
from typing import Any

SHOP_PAGE = (
    '<!doctype html>\n<html lang="en">\n<head>\n  <title>{title}</title>\n  <link rel="stylesheet" href="/static/shop.css?v=81">\n</head>\n<body>\n'
    '  <nav><a href="/">Home</a> <a href="/items">Items</a> <a href="/cart">Cart ({cart})</a></nav>\n'
    + "".join(
        f'  <article class="item"><h2>Item {n}</h2><p>A fine thing for the kitchen, number {n}.</p></article>\n'
        for n in range(60)
    )
    + '  <p class="price">{price}</p>\n  <footer>Ships to 31 countries</footer>\n</body>\n</html>\n'
)


def long_pages() -> tuple[str, str]:
    """A long HTML page as JSON text, before and after two changes."""
    old, new = SHOP_PAGE, SHOP_PAGE.replace("Ships to 31 countries", "Ships to 28 countries")
    for name, one, other in (
        ("title", "Shop – all items", "Shop – all items"),
        ("cart", "2", "2"),
        ("price", "EUR 10.00", "10 €"),
    ):
        old, new = old.replace("{" + name + "}", one), new.replace("{" + name + "}", other)
    return json.dumps(old, ensure_ascii=False), json.dumps(new, ensure_ascii=False)


def documents() -> tuple[str, str]:
    """A nested document as JSON, of which an element was added, one went, and two members deep inside changed."""
    hits = [
        {
            "id": f"b-{n}",
            "title": f"A fine thing for the kitchen, number {n}",
            "price": {"amount": 10.0 + n, "currency": "EUR"},
            "tags": ["kitchen", f"n{n}"],
        }
        for n in range(12)
    ]
    old = {"query": "kitchen", "hits": hits, "facets": {"red": 12, "green": 4}, "next": "/search?page=2", "took_ms": 4}
    new: dict[str, Any] = copy.deepcopy(old)
    new["hits"].insert(2, {"id": "b-99", "title": "A newer thing", "price": None, "tags": []})
    new["hits"][6]["price"]["amount"] = "14.0"
    new["hits"][9]["tags"].append("a tag that is so long that no phone has the room to show it in one line of a tree")
    del new["hits"][12], new["next"]
    new["facets"]["blue"] = {"deep": [1, 2, {"deeper": True}]}
    return json.dumps(old), json.dumps(new)


def feeds() -> tuple[str, str]:
    """An XML feed as JSON text, before and after an attribute, a text and an element changed."""
    entries = "".join(
        f'  <entry id="b-{n}"><title>A fine thing &amp; more for the kitchen, number {n}</title>'
        f'<price currency="EUR">{n}.00</price><tags><tag>kitchen</tag><tag>n{n}</tag></tags></entry>\n'
        for n in range(12)
    )
    old = f'<?xml version="1.0" encoding="iso-8859-1"?>\n<feed lang="en">\n{entries}  <note/>\n</feed>\n'
    new = old.replace('<price currency="EUR">3.00', '<price currency="USD">3.50').replace("number 5<", "number five<")
    new = new.replace("<tag>n9</tag>", "").replace("<note/>", f"<more>{'a long text that wraps ' * 20}</more>")
    return json.dumps(old), json.dumps(new)


def finding(
    endpoint: str, where: str, kind: str, severity: str, pairs: list[tuple[str | None, str | None]], **more: Any
) -> dict[str, Any]:
    """One finding; what is not given is as for a change that controls never show."""
    traffic = more.get("observed", 120)
    return {
        "id": f"{abs(hash((endpoint, where, kind))):016x}"[:16],
        "endpoint": endpoint,
        "endpoints": 1,
        "endpoint_names": [endpoint],
        "where": where,
        "kind": kind,
        "verdict": "regression",
        "basis": "deterministic",
        "severity": severity,
        "differing": 9,
        "observed": 120,
        "endpoints_compared": 57,
        "traffic": traffic,
        "traffic_selected": max(traffic, 300),
        "control_differing": 0,
        "control_observed": 120,
        "branch_control_differing": 0,
        "branch_control_observed": 120,
        "p_value": None,
        "q_value": None,
        "places": [where],
        "places_count": 1,
        "explanation": "",
        "missing_samples": 0,
        "greedy": 0,
        "samples": [
            {"exchange": f"01936b1c-8f2a-7c31-9d4e-0a1b2c3d4e{n:02d}", "seq": 17 + n, "base": base, "branch": branch}
            for n, (base, branch) in enumerate(pairs)
        ],
        **more,
    }


def regressions() -> list[dict[str, Any]]:
    """Twelve findings, as a careless release makes them."""
    items, item = "GET /items", "GET /items/{id}"
    return [
        finding(item, "status", "status", "breaking", [("200", "500"), ("200", "500")], differing=4),
        finding(
            item,
            "body:$.price",
            "type",
            "breaking",
            [('"10.00"', "10.0"), ('"7.50"', "7.5"), ('"1249.00"', "1249.0")],
            differing=118,
            basis="tested",
            p_value=3.0e-36,
            q_value=2.1e-35,
            control_differing=1,
            explanation="known bug (owner team-shop, said by ann): see SHOP-17; differs more than the controls do",
            triage={
                "decision": "bug",
                "owner": "team-shop",
                "note": "see SHOP-17",
                "by": "0123456789ab",
                "who": "ann",
                "run": "01936b1c-8f2a-7c31-9d4e-0a1b2c3d4e00",
                "at": "2026-11-20T09:00:00.000+00:00",
                "branch": None,
                "expires": "2026-12-24",
            },
        ),
        finding(
            items,
            "body:$.items[*].stock",
            "missing",
            "breaking",
            [("14", None), ("0", None)],
            differing=40,
            observed=40,
            control_observed=38,
            branch_control_observed=38,
        ),
        finding(
            "GET /users/{id}/orders/{id}/invoice.pdf",
            "body",
            "truncated",
            "breaking",
            [('"%PDF-1.7 … 48,211 bytes"', '"%PDF-1.7 … 16,384 bytes"')],
            differing=3,
            observed=11,
            control_observed=11,
            branch_control_observed=11,
        ),
        finding(
            "*",
            "header:cache-control",
            "value",
            "visible",
            [('"public, max-age=3600"', '"no-store"'), ('"public, max-age=60"', '"no-store"')],
            endpoints=23,
            endpoint_names=[f"GET /catalogue/{n}/{{slug}}" for n in range(23)],
            differing=211,
            observed=260,
            control_observed=260,
            branch_control_observed=258,
        ),
        finding(
            "GET /",
            "body",
            "value",
            "visible",
            [long_pages()],
            differing=6,
            observed=6,
            control_observed=6,
            branch_control_observed=6,
        ),
        finding(
            items,
            "body:$.facets.colour",
            "added",
            "visible",
            [(None, '{"red": 12, "green": 4, "blue": [1, 2, {"deep": true}]}')],
            differing=40,
            observed=40,
        ),
        finding(
            "GET /search",
            "body:$.hits[*].score",
            "format",
            "visible",
            [('"0.918"', '"91.8 %"')],
            differing=25,
            observed=31,
            places_count=3,
            places=["body:$.hits[*].score", "body:$.best.score", "body:$['the worst'].score"],
        ),
        finding(
            "POST /cart",
            "header:location",
            "value",
            "visible",
            [
                (
                    '"https://shop.example/cart/9f2c/overview?from=add&step=2"',
                    '"https://shop.example/carts/9f2c?from=add&step=2"',
                )
            ],
            differing=2,
            observed=2,
        ),
        finding(
            "GET /search",
            "body:$.hits",
            "order",
            "cosmetic",
            [('["b-204", "a-113", "c-007"]', '["a-113", "b-204", "c-007"]'), documents()],
            differing=12,
            observed=31,
            basis="tested",
            p_value=2.4e-4,
            q_value=1.1e-3,
        ),
        finding(
            "*",
            "header:server",
            "value",
            "cosmetic",
            [('"gunicorn/21.2.0"', '"gunicorn/23.0.0"')],
            endpoints=31,
            differing=280,
            observed=280,
        ),
        finding(
            "GET /items.xml",
            "body:/items/item/@currency",
            "value",
            "cosmetic",
            [('"EUR"', '"eur"')],
            differing=5,
            observed=5,
        ),
    ]
