"""A shop that gives out everything that a client has to bring back, and a user who does. Standard library only.

    shop_app.py PORT [CHANGE …]

Every instance draws its numbers, tokens and cursors anew; one that is told ``seed=TEXT`` draws the same ones again. Half of what comes back stands in places whose names say nothing (``blip``,
``pulse``, ``whisper``), and quantities, amounts and floors hold the same short numbers by chance. Changes: ``price``, ``status``.
"""

from __future__ import annotations

import base64
import http.client
import json
import os
import random
import re
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, quote, unquote, urlencode, urlsplit

DRAW = random.Random()
FORM = "application/x-www-form-urlencoded"


class State:
    """What one instance knows."""

    def __init__(self) -> None:
        self.sessions: dict[str, str] = {}
        """Cookie → CSRF token."""
        self.carts: dict[int, dict[str, object]] = {}
        self.orders: dict[int, dict[str, str]] = {}
        self.cursors: dict[str, int] = {}
        self.files: dict[str, str] = {}
        self.parcels: set[str] = set()


STATE = State()


def small(taken: dict[int, object]) -> int:
    """A short number that nothing here has yet."""
    return next(n for n in iter(lambda: DRAW.randrange(10, 100 if len(taken) < 40 else 1000), None) if n not in taken)


class Shop(BaseHTTPRequestHandler):
    """One request."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1  # one write an answer: two meet Nagle's algorithm and wait 40 ms
    changes: frozenset[str] = frozenset()

    def log_message(self, *_: object) -> None:
        """Nothing."""

    def handle_any(self) -> None:
        """Route: the first rule that matches answers."""
        self.body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        url = urlsplit(self.path)
        self.query = {name: values[0] for name, values in parse_qs(url.query).items()}
        jar = dict(part.strip().partition("=")[::2] for part in self.headers.get("Cookie", "").split(";"))
        self.sid = jar.get("sid", "")
        for method, pattern, function in RULES:
            found = re.fullmatch(pattern, unquote(url.path))
            if method == self.command and found:
                return function(self, *found.groups())
        return self.say(404)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = handle_any  # noqa: N815 - http.server's names

    def say(self, status: int, body: object = b"", kind: str = "application/json", **headers: str) -> None:
        """Answer."""
        data = (
            body if isinstance(body, bytes) else body.encode() if isinstance(body, str) else json.dumps(body).encode()
        )
        self.send_response(status)
        lines = {"Content-Type": kind, "Content-Length": str(len(data)), **headers}
        for name, value in lines.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(data)

    def may(self, token: str | None = None) -> bool:
        """Whether there is a session, and its token where one is asked for; says so where not."""
        known = STATE.sessions.get(self.sid)
        if known is None:
            self.say(401)
        elif token is not None and token != known:
            self.say(403)
        else:
            return True
        return False

    def form(self) -> dict[str, str]:
        """The fields of a form."""
        return {name: values[0] for name, values in parse_qs(self.body.decode()).items()}

    def login_page(self) -> None:
        """A form with a token, for a visitor who has a cookie now."""
        sid, token = DRAW.randbytes(12).hex(), DRAW.randbytes(9).hex()
        STATE.sessions[sid] = token
        page = f'<form action="/login" method=post><input type="hidden" name="nonce" value="{token}"><input name="user"></form>'
        self.say(200, page, "text/html", Set_Cookie=f"sid={sid}; Path=/; HttpOnly")

    def login(self) -> None:
        """Another cookie for who brings the token."""
        if self.may(self.form().get("nonce", "")):
            sid = DRAW.randbytes(12).hex()
            STATE.sessions[sid] = DRAW.randbytes(9).hex()
            self.say(302, Location="/account", Set_Cookie=f"sid={sid}; Path=/; HttpOnly")

    def account(self) -> None:
        """A page with the token of this session in a meta."""
        if self.may():
            token = STATE.sessions[self.sid]
            self.say(200, f'<meta name="csrf-token" content="{token}"><h1>Hello</h1>', "text/html")

    def open_cart(self) -> None:
        """A cart with a short number; the visit's floor has one of the same kind."""
        if self.may(self.headers.get("X-CSRF-Token", "")):
            number = small(STATE.carts)
            STATE.carts[number] = {"lines": {}, "version": DRAW.randbytes(5).hex()}
            self.say(201, {"blip": number, "shelf": {"floor": json.loads(self.body)["floor"]}})

    def cart(self, number: str) -> None:
        """A cart with its entity tag."""
        cart = STATE.carts.get(int(number))
        if cart is None:
            return self.say(404)
        tag = f'W/"{cart["version"]}"'
        if self.headers.get("If-None-Match") == tag:
            return self.say(304, ETag=tag)
        price = 11 if "price" in self.changes else 10
        return self.say(200, {"blip": int(number), "price": price, "lines": len(cart["lines"])}, ETag=tag)

    def add_line(self, number: str) -> None:
        """A line of the cart; it is known by a word."""
        cart = STATE.carts.get(int(number))
        if cart is None:
            return self.say(404)
        sent = json.loads(self.body)
        if sent.get("floor") != 31 or sent.get("check") != 7 * sent.get("amount", 0):
            return self.say(422)  # what the client filled in must come as it did
        word = DRAW.randbytes(6).hex()
        cart["lines"][word] = sent["amount"]
        return self.say(201, {"seen": {"pulse": word}, "amount": sent["amount"]})

    def change_line(self, number: str, word: str) -> None:
        """Another amount."""
        cart = STATE.carts.get(int(number))
        if cart is None or word not in cart["lines"]:
            return self.say(404)
        cart["lines"][word] = json.loads(self.body)["amount"]
        return self.say(204)

    def note(self, number: str) -> None:
        """A note on the cart, if nobody changed it meanwhile."""
        cart = STATE.carts.get(int(number))
        if cart is None:
            return self.say(404)
        if self.headers.get("If-Match") != f'W/"{cart["version"]}"':
            return self.say(412)
        cart["version"] = DRAW.randbytes(5).hex()
        return self.say(200, {"ok": True}, ETag=f'W/"{cart["version"]}"')

    def order(self) -> None:
        """An order of the cart that a reference names; its address is in Location, its word in XML."""
        found = re.fullmatch(r"cart-([0-9]+)", json.loads(self.body).get("what", ""))
        if found is None or int(found[1]) not in STATE.carts:
            return self.say(422)
        number, word, parcel = small(STATE.orders), DRAW.randbytes(7).hex(), DRAW.randbytes(5).hex()
        path, sign = DRAW.randbytes(6).hex(), DRAW.randbytes(8).hex()
        STATE.orders[number] = {"word": word}
        STATE.parcels.add(parcel)
        STATE.files[path] = sign
        link = f"/files/{path}?until=1999999999&whim={sign}"
        xml = f'<order whisper="{word}"><parcel>{parcel}</parcel><paper>{link.replace("&", "&amp;")}</paper></order>'
        return self.say(201, xml, "application/xml", Location=f"/desk/{number}")

    def pay(self, number: str) -> None:
        """Needs the order's word and a key of the client's own; answers a text."""
        order = STATE.orders.get(int(number))
        if order is None:
            return self.say(404)
        if self.form().get("say") != order["word"] or not self.headers.get("Idempotency-Key", "").startswith("client-"):
            return self.say(403)
        order["pickup"] = f"{DRAW.randbytes(3).hex()}-{DRAW.randbytes(2).hex()}"
        return self.say(200, f"Paid. Your pickup word is {order['pickup']}.", "text/plain")

    def pickup(self) -> None:
        """A multipart form with the word that payment told."""
        words = {order.get("pickup", "") for order in STATE.orders.values()} - {""}
        found = re.search(rb'name="w"\r\n\r\n([^\r]*)\r\n', self.body)
        self.say(200 if found and found[1].decode() in words else 403)

    def parcel(self) -> None:
        """Where a parcel is."""
        status = 203 if "status" in self.changes else 200
        self.say(status if self.query.get("p") in STATE.parcels else 404, {"at": "the gate"})

    def file(self, path: str) -> None:
        """A file for who has the signed link."""
        self.say(200 if STATE.files.get(path) == self.query.get("whim") else 403, "paper", "text/plain")

    def history(self) -> None:
        """A page of three, and where the next one begins."""
        start = STATE.cursors.get(self.query.get("from", ""), None if "from" in self.query else 0)
        if start is None:
            return self.say(400)
        cursor = base64.b64encode(b"%d:" % (start + 3) + DRAW.randbytes(6)).decode()
        STATE.cursors[cursor] = start + 3
        body = {
            "rows": [{"n": start + n} for n in range(3)],
            "more": {"url": f"/history?from={quote(cursor, safe='')}"},
        }
        return self.say(200, body)


CART = r"/carts/([0-9]+)"
RULES = (
    ("GET", "/login", Shop.login_page), ("POST", "/login", Shop.login), ("GET", "/account", Shop.account),
    ("POST", "/carts", Shop.open_cart), ("GET", CART, Shop.cart), ("POST", CART + "/lines", Shop.add_line),
    ("PATCH", CART + "/lines/([0-9a-f]+)", Shop.change_line), ("PUT", CART + "/note", Shop.note), ("POST", "/desk", Shop.order),
    ("POST", "/desk/([0-9]+)/payment", Shop.pay), ("POST", "/pickup", Shop.pickup), ("GET", "/parcel", Shop.parcel),
    ("GET", "/files/([0-9a-f]+)", Shop.file), ("GET", "/history", Shop.history),
)  # fmt: skip


class User:
    """Does what a browser and a script in it would do, with what the shop answered."""

    def __init__(self, port: int) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        self.cookies: dict[str, str] = {}
        self.requests = 0

    def ask(
        self, method: str, target: str, body: object = None, kind: str = "application/json", **headers: str
    ) -> tuple[str, dict[str, str]]:
        """One request; its answer's body and headers. Anything but a success is a fault of this user."""
        data = None if body is None else body if isinstance(body, str) else json.dumps(body)
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        sent |= {"Content-Type": kind} if data is not None else {}
        sent |= {"Cookie": "; ".join(f"{n}={v}" for n, v in self.cookies.items())} if self.cookies else {}
        self.connection.request(method, target, data, sent)
        answer = self.connection.getresponse()
        text = answer.read().decode()
        self.requests += 1
        assert answer.status < 400, (method, target, answer.status)
        for line in answer.headers.get_all("Set-Cookie") or []:
            name, _, value = line.partition(";")[0].partition("=")
            self.cookies[name] = value
        return text, dict(answer.headers)

    def shop(self, amount: int) -> None:
        """From login to pickup."""
        page, _ = self.ask("GET", "/login")
        nonce = re.search('name="nonce" value="([^"]+)"', page)[1]
        self.ask("POST", "/login", urlencode({"user": "ann", "nonce": nonce}), FORM)
        token = re.search('content="([^"]+)"', self.ask("GET", "/account")[0])[1]
        cart = json.loads(self.ask("POST", "/carts", {"floor": 31}, X_CSRF_Token=token)[0])["blip"]
        lines = []
        for number in (amount, cart):  # the second amount is the cart's number by chance
            said = self.ask(
                "POST", f"/carts/{cart}/lines", {"sku": "S-1", "amount": number, "check": 7 * number, "floor": 31}
            )[0]
            lines.append(json.loads(said)["seen"]["pulse"])
        self.ask("PATCH", f"/carts/{cart}/lines/{lines[0]}", {"amount": 2})
        _, seen = self.ask("GET", f"/carts/{cart}")
        self.ask("GET", f"/carts/{cart}", If_None_Match=seen["ETag"])
        _, seen = self.ask("PUT", f"/carts/{cart}/note", {"note": "ring twice"}, If_Match=seen["ETag"])
        self.ask("PUT", f"/carts/{cart}/note", {"note": "ring once"}, If_Match=seen["ETag"])
        xml, seen = self.ask("POST", "/desk", {"what": f"cart-{cart}"})
        word = re.search('whisper="([^"]+)"', xml)[1]
        key = f"client-{os.urandom(6).hex()}"
        said, _ = self.ask("POST", seen["Location"] + "/payment", urlencode({"say": word}), FORM, Idempotency_Key=key)
        pickup = re.search(r"word is (\S+)\.", said)[1]
        part = f'--q\r\nContent-Disposition: form-data; name="w"\r\n\r\n{pickup}\r\n--q--\r\n'
        self.ask("POST", "/pickup", part, "multipart/form-data; boundary=q")
        self.ask("GET", "/parcel?p=" + re.search("<parcel>([^<]+)", xml)[1])
        self.ask("GET", re.search("<paper>([^<]+)", xml)[1].replace("&amp;", "&"))
        target = "/history"
        for _ in range(4):
            target = json.loads(self.ask("GET", target)[0])["more"]["url"]
        self.connection.close()


if __name__ == "__main__":
    Shop.changes = frozenset(sys.argv[2:])
    for word in Shop.changes:
        if word.startswith("seed="):
            DRAW.seed(word)
    ThreadingHTTPServer.request_queue_size = 128  # so many may wait while this machine stands still
    server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Shop)
    server.daemon_threads = True
    server.serve_forever()
