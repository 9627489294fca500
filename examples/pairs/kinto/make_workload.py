"""Write workload.jsonl: what a client of Kinto does in a session, with the mistakes that clients make."""

import base64
import json
from pathlib import Path

ROWS: list[dict[str, object]] = []
ANN = [["Authorization", "Basic " + base64.b64encode(b"ann:secret-of-ann").decode()]]
BOB = [["Authorization", "Basic " + base64.b64encode(b"bob:secret-of-bob").decode()]]
JSON = [["Content-Type", "application/json"]]
AGENT = [["User-Agent", "kinto-client/1"], ["Accept", "application/json"]]


def ask(
    method: str,
    path: str,
    who: list[list[str]] = ANN,
    data: object = None,
    headers: list[list[str]] | None = None,
    text: str | None = None,
) -> None:
    row: dict[str, object] = {"id": f"ki{len(ROWS) + 1:04d}", "method": method, "path": "/v1" + path}
    typed = any(name == "Content-Type" for name, _ in headers or [])
    row["headers"] = (
        AGENT + who + (JSON if (data is not None or text is not None) and not typed else []) + (headers or [])
    )
    if data is not None or text is not None:
        row["body"] = text if text is not None else json.dumps(data)
    ROWS.append(row)


def crud() -> None:
    for path in (
        "/",
        "/__heartbeat__",
        "/__lbheartbeat__",
        "/__version__",
        "/__api__",
        "/contribute.json",
        "/nope",
        "/buckets",
    ):
        ask("GET", path)
        ask("GET", path, [])
    ask("PUT", "/buckets/shop", data={"data": {"owner": "ann"}, "permissions": {"write": ["system.Everyone"]}})
    ask("PUT", "/buckets/shop", headers=[["If-None-Match", "*"]], data={"data": {}})
    ask(
        "PUT",
        "/buckets/shop/collections/books",
        data={"data": {"sort": "title"}, "permissions": {"read": ["system.Everyone"]}},
    )
    ask(
        "PUT",
        "/buckets/shop/collections/tools",
        data={"data": {"schema": {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}}},
    )
    for number in range(1, 26):
        ask(
            "PUT",
            f"/buckets/shop/collections/books/records/book-{number:02d}",
            data={
                "data": {
                    "title": f"Book {number}",
                    "price": number * 1.5,
                    "year": 1990 + number % 7,
                    "tags": ["a", "b"][: number % 3],
                }
            },
        )


def questions() -> None:
    books = "/buckets/shop/collections/books/records"
    for query in (
        "",
        "?_limit=3",
        "?_limit=3&_sort=title",
        "?_sort=-price",
        "?_sort=year,-title",
        "?year=1991",
        "?year=1991&year=1992",
        "?min_price=20",
        "?max_price=6",
        "?gt_price=30&lt_year=1994",
        "?not_year=1991",
        "?in_year=1991,1992",
        "?exclude_year=1991,1992",
        "?like_title=book%201",
        "?has_tags=true",
        "?has_nope=true",
        "?contains_tags=a",
        "?contains_any_tags=a,b",
        "?_fields=title",
        "?_fields=title,price&_limit=2",
        "?_since=1",
        "?_before=99999999999999",
        "?_limit=abc",
        "?_limit=-1",
        "?_sort=",
        "?_sort=nope",
        "?_since=abc",
        "?_token=abc",
        "?in_year=",
        "?contains_tags=",
        "?%C3%A9=1",
        "?title=%22Book%201%22",
        "?id=book-01",
    ):
        ask("GET", books + query)
    for number in (1, 7, 13, 25):
        ask("GET", f"{books}/book-{number:02d}")
        ask("GET", f"{books}/book-{number:02d}", [])
        ask("GET", f"{books}/book-{number:02d}?_fields=title")
        ask("HEAD", f"{books}/book-{number:02d}")
    ask("HEAD", books)
    ask("OPTIONS", books, headers=[["Origin", "http://app.example"], ["Access-Control-Request-Method", "GET"]])
    ask("OPTIONS", books)
    ask("GET", books, headers=[["Origin", "http://app.example"]])
    ask("GET", f"{books}/none")
    ask("GET", f"{books}/book-01", BOB)
    ask("GET", "/buckets/shop", BOB)
    ask("GET", "/buckets/shop/groups")
    ask("GET", "/buckets/shop/history")
    ask("GET", "/buckets/none/collections")


def writes() -> None:
    books = "/buckets/shop/collections/books/records"
    tools = "/buckets/shop/collections/tools/records"
    ask("PATCH", f"{books}/book-01", data={"data": {"price": 99}})
    ask(
        "PATCH",
        f"{books}/book-02",
        data=[{"op": "add", "path": "/data/new", "value": 1}],
        headers=[["Content-Type", "application/json-patch+json"]],
    )
    ask(
        "PATCH",
        f"{books}/book-03",
        data={"data": {"title": None}},
        headers=[["Content-Type", "application/merge-patch+json"]],
    )
    ask("PATCH", f"{books}/none", data={"data": {"price": 1}})
    ask("PATCH", f"{books}/book-04", data={})
    ask("POST", books, data={"data": {"title": "no id", "price": 5}})
    ask("POST", books, data={"data": {"id": "own-id", "title": "own"}})
    ask("POST", books, data={"data": {"id": "bad id!", "title": "x"}})
    ask("POST", books, text="{not json")
    ask("POST", books, text="[]")
    ask("POST", books, data={"nope": 1})
    ask("POST", books, data={"data": "text"})
    ask("PUT", f"{books}/book-05", data={"data": {"title": "x"}}, headers=[["If-Match", '"1"']])
    ask("PUT", f"{books}/book-05", data={"data": {"title": "x"}}, headers=[["If-Match", "abc"]])
    ask("PUT", f"{books}/book-06", BOB, data={"data": {"title": "x"}})
    ask("PUT", f"{books}/book-06", [], data={"data": {"title": "x"}})
    ask("POST", tools, data={"data": {"n": "text"}})
    ask("POST", tools, data={"data": {}})
    ask("PUT", f"{tools}/t1", data={"data": {"n": 5}})
    ask("PUT", "/buckets/shop/groups/staff", data={"data": {"members": ["basicauth:x"]}})
    ask("PUT", "/buckets/shop/groups/bad", data={"data": {"members": "x"}})
    ask("GET", "/buckets/shop/groups/staff")
    ask("PUT", "/buckets/default", data={"data": {}})
    ask("PUT", "/buckets/default/collections/notes/records/n1", data={"data": {"note": 1}})
    ask("GET", "/buckets/default/collections/notes/records/n1")
    ask(
        "POST",
        "/batch",
        data={
            "defaults": {"method": "GET"},
            "requests": [{"path": "/v1/buckets/shop"}, {"path": "/v1/nope"}, {"path": f"/v1{books}?_limit=1"}],
        },
    )
    ask("POST", "/batch", data={"requests": []})
    ask("POST", "/batch", data={"requests": [{"path": "/v1/"}] * 30})
    ask("POST", "/batch", data={"requests": [{"method": "NOPE", "path": "/v1/"}]})
    for method in ("POST", "PATCH", "DELETE"):
        ask(method, "/", data={} if method != "DELETE" else None)
        ask(method, "/__heartbeat__", data={} if method != "DELETE" else None)
    ask("DELETE", f"{books}/book-08")
    ask("DELETE", f"{books}/book-08")
    ask("GET", f"{books}/book-08")
    ask("GET", f"{books}?_since=1&_limit=2")
    ask("DELETE", f"{books}?year=1992")
    ask("DELETE", "/buckets/shop/collections/tools")
    ask("GET", "/buckets/shop/collections/tools")
    ask("DELETE", "/buckets/shop")
    ask("GET", "/buckets/shop")
    ask("POST", "/__flush__", [])
    ask("GET", "/v0/")


ORIGIN = [["Origin", "http://app.example"]]
PATCHES = ("application/json-patch+json", "application/merge-patch+json")


def mistakes() -> None:
    """Filters, page tokens and bodies that a client got wrong: the newer version refuses more of them, and more politely."""
    books = "/buckets/shop/collections/books/records"
    for query in (
        "last_modified=abc",
        "gt_last_modified=abc",
        "min_last_modified=1.5",
        "in_last_modified=abc,1",
        "not_last_modified=true",
        "contains_id=book",
        "contains_last_modified=1",
        "contains_any_id=book-01,book-02",
        "_since=1.5",
        "_before=soon",
        "_since=%22abc%22",
        "_token=bnVsbA==",
        "_token=MQ==",
        "_token=W10=",
        "_token=e30=",
        "_limit=x&_sort=nope&_since=soon",
    ):
        ask("GET", f"{books}?{query}")
    for path in ("/buckets", "/buckets/shop/collections", "/buckets/shop/groups"):
        ask("GET", f"{path}?last_modified=abc")
        ask("GET", f"{path}?contains_id=x")
        ask("POST", path, text="[]")
        ask("POST", path, data={"data": "text"})
    ask("PUT", f"{books}/book-10", text="[1, 2]")
    ask("PUT", f"{books}/book-10", data={"data": [1]})
    ask("PATCH", f"{books}/book-10", data={"data": "text"})
    ask("PATCH", f"{books}/book-10", text="[]")
    ask("PUT", "/buckets/shop/collections/books", data={"data": "text"})
    ask("PUT", "/buckets/shop", data={"data": {}, "permissions": "all"})
    ask("POST", "/batch", text="[]")
    ask("POST", "/batch", data={"requests": "text"})
    ask("PUT", f"{books}/book-10", text="a=1", headers=[["Content-Type", "text/plain"]])
    for kind in PATCHES:
        # A client whose library adds the type of the body once more: two headers of one name.
        ask("PATCH", f"{books}/book-12", text="{}", headers=[*JSON, ["Content-Type", kind]])
        ask("PATCH", "/buckets/shop/collections/books", text="[]", headers=[["Content-Type", kind]])


def origins() -> None:
    """What a page in a browser asks: every call names its origin, and some ask first."""
    books = "/buckets/shop/collections/books/records"
    for path in (
        "/",
        "/nope",
        "/buckets/none",
        f"{books}/none",
        f"{books}?_since=abc",
        "/__version__",
        "/contribute.json",
    ):
        ask("GET", path, headers=ORIGIN)
    ask("GET", books, [], headers=ORIGIN)
    ask("PUT", f"{books}/book-11", [], data={"data": {}}, headers=ORIGIN)
    ask("POST", books, text="{not json", headers=ORIGIN)
    for path in ("/batch", "/buckets", "/__flush__", "/nope"):
        ask("OPTIONS", path, [], headers=[*ORIGIN, ["Access-Control-Request-Method", "POST"]])
    for path in ("/buckets/", "/buckets/shop/", f"{books}/"):
        ask("GET", path)


def histories() -> None:
    """Who changed what, and how a collection looked before: the second is new in the newer version."""
    for query in ("?_limit=2", "?resource_name=group", "?action=create&_fields=uri,action", "?collection_id=tools"):
        ask("GET", "/buckets/shop/history" + query)
    ask("HEAD", "/buckets/shop/history")
    ask("GET", "/buckets/none/history")
    for collection, instant in (
        ("books", "99999999999999"),
        ("tools", "1"),
        ("books", "abc"),
        ("books", "-1"),
        ("none", "5"),
    ):
        ask("GET", f"/buckets/shop/snapshot/collections/{collection}@{instant}")
    ask("GET", "/buckets/shop/snapshot/collections/books@5", BOB)


def caches() -> None:
    """Answers for people who are not known may be cached: by the collection, by the settings, or by both."""
    for name, data in (
        ("news", {"cache_expires": 300}),
        ("ads", {"cache_expires": 20}),
        ("live", {"cache_expires": 0}),
    ):
        ask(
            "PUT",
            f"/buckets/shop/collections/{name}",
            data={"data": data, "permissions": {"read": ["system.Everyone"]}},
        )
        ask("PUT", f"/buckets/shop/collections/{name}/records/one", data={"data": {"title": name}})
        ask("GET", f"/buckets/shop/collections/{name}/records", [])
        ask("GET", f"/buckets/shop/collections/{name}/records/one", [])
        ask("HEAD", f"/buckets/shop/collections/{name}/records/one", [])
        ask("GET", f"/buckets/shop/collections/{name}/records/one")


crud()
questions()
mistakes()
origins()
caches()
histories()
writes()
Path(__file__).with_name("workload.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS), "utf-8")
print(len(ROWS), "requests")
