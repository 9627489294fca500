"""Django's own administration pages, an application that we did not write: a login, CSRF tokens, numbers that the database gives out.

    admin_site.py PORT FOLDER

Every instance has a database of its own, whose numbers begin somewhere else. :func:`work` is a person at it.
"""

from __future__ import annotations

import http.client
import os
import random
import re
import sys
from socketserver import ThreadingMixIn
from urllib.parse import urlencode
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

USER, PASSWORD = "ann", "staple-77-Horse"
GROUPS = "/admin/auth/group/"


class Person:
    """Fills in forms and follows links."""

    def __init__(self, port: int, name: str) -> None:
        self.port, self.name = port, name
        self.cookies: dict[str, str] = {}
        self.requests = 0

    def ask(self, method: str, target: str, **fields: str) -> tuple[str, str]:
        """One request; the page, and where it leads."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        headers = {"Cookie": "; ".join(f"{n}={v}" for n, v in self.cookies.items())} if self.cookies else {}
        headers |= {"Content-Type": "application/x-www-form-urlencoded"} if fields else {}
        connection.request(method, target, urlencode(fields) if fields else None, headers)
        answer = connection.getresponse()
        page = answer.read().decode()
        connection.close()
        self.requests += 1
        assert answer.status < 400, (method, target, answer.status)
        for line in answer.headers.get_all("Set-Cookie") or []:
            name, _, value = line.partition(";")[0].partition("=")
            self.cookies[name] = value
        return page, answer.headers.get("Location", "")

    def fill(self, form: str, target: str = "", **fields: str) -> str:
        """Get a form and send it; where it leads."""
        page, _ = self.ask("GET", form)
        found = re.search('name="csrfmiddlewaretoken" value="([^"]+)"', page)
        assert found is not None, form
        _, leads = self.ask("POST", target or form, csrfmiddlewaretoken=found[1], **fields)
        return leads

    def work(self) -> None:
        """Groups and a user are made, changed, looked at and deleted."""
        self.fill("/admin/login/?next=/admin/", username=USER, password=PASSWORD, next="/admin/")
        self.ask("GET", "/admin/")
        mine = ""
        for number in range(3):
            mine = self.fill(GROUPS + "add/", name=f"{self.name} team {number}", _continue="1")
            listed, _ = self.ask("GET", self.fill(mine, name=f"{self.name} group {number}", _save="1"))
            first = re.search(f'href="({GROUPS}[0-9]+/change/)"', listed)
            assert first is not None
            self.ask("GET", first[1])
            self.ask("GET", first[1].replace("change", "history"))
        words = {"username": self.name, "password1": PASSWORD, "password2": PASSWORD, "usable_password": "true"}
        self.ask("GET", self.fill("/admin/auth/user/add/", **words))
        self.fill(mine.replace("change", "delete"), post="yes")
        self.ask("GET", mine)
        self.fill("/admin/", "/admin/logout/")


def serve(port: int, folder: str) -> None:
    """The application, until killed."""
    import django
    from django.conf import settings

    parts = ("admin", "auth", "contenttypes", "sessions", "messages")
    context = (
        "template.context_processors.request",
        *[f"contrib.{p}.context_processors.{p}" for p in ("auth", "messages")],
    )
    middleware = (
        "contrib.sessions.middleware.SessionMiddleware", "middleware.common.CommonMiddleware", "middleware.csrf.CsrfViewMiddleware",
        "contrib.auth.middleware.AuthenticationMiddleware", "contrib.messages.middleware.MessageMiddleware",
    )  # fmt: skip
    settings.configure(
        SECRET_KEY=os.urandom(20).hex(),
        ALLOWED_HOSTS=["*"],
        ROOT_URLCONF=__name__,
        INSTALLED_APPS=[f"django.contrib.{part}" for part in parts],
        MIDDLEWARE=[f"django.{one}" for one in middleware],
        TEMPLATES=[
            {
                "BACKEND": "django.template.backends.django.DjangoTemplates",
                "APP_DIRS": True,
                "OPTIONS": {"context_processors": [f"django.{one}" for one in context]},
            }
        ],
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": f"{folder}/admin-{port}.db"}},
        STATIC_URL="/static/",
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        USE_TZ=True,
    )
    django.setup()
    from django.contrib import admin
    from django.contrib.auth.models import Group, User
    from django.core.management import call_command
    from django.core.wsgi import get_wsgi_application
    from django.urls import path

    globals()["urlpatterns"] = [path("admin/", admin.site.urls)]
    call_command("migrate", verbosity=0)
    User.objects.create_superuser(USER, "ann@shop.example", PASSWORD)
    begin = random.SystemRandom().randrange(100, 5000)
    for model, field, number in ((Group, "name", begin), (User, "username", begin + 77)):
        model.objects.create(id=number, **{field: "before"}).delete()  # what follows counts on from here

    class Server(ThreadingMixIn, WSGIServer):
        daemon_threads = True

    class Quiet(WSGIRequestHandler):
        def log_message(self, *_: object) -> None:
            """Nothing."""

    make_server("127.0.0.1", port, get_wsgi_application(), server_class=Server, handler_class=Quiet).serve_forever()


if __name__ == "__main__":
    serve(int(sys.argv[1]), sys.argv[2])
