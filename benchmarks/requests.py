"""Times an empty request in one process: `python -m benchmarks.requests ROUNDS`."""

import io
import json
import sys
from collections.abc import Callable
from typing import Any

import django
from django import db
from django.conf import settings
from django.core.handlers import base
from django.core.handlers.wsgi import WSGIHandler
from django.db.utils import ConnectionHandler
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory
from django.urls import path

from .timing import Case, interleave

SIZES = (1, 10, 100, 1000)
OPENED = 3
STOCK = "Django alone"
OURS = "appdb_router"
VARIANTS = (STOCK, OURS)


def cell(variant: str, size: int) -> str:
    """Return the name of the case with ``size`` declared databases."""
    return f"{variant}, {size} databases: empty view"


def empty(_request: HttpRequest) -> HttpResponse:
    """Answer with nothing."""
    return HttpResponse()


urlpatterns = [path("", empty)]


def main() -> None:
    """Print the samples of every case as JSON."""
    settings.configure(ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, MIDDLEWARE=[])
    django.setup()
    handle = requester()
    cases = [
        Case(
            cell(variant, size),
            "use(connections); handle()",
            {"use": use, "connections": handler(size, variant), "handle": handle},
        )
        for size in SIZES
        for variant in VARIANTS
    ]
    print(json.dumps(interleave(cases, int(sys.argv[1]))))


def requester() -> Callable[[], None]:
    """Return what sends one request through the WSGI handler, to its end."""
    application = WSGIHandler()
    environ = RequestFactory().get("/").environ

    def handle() -> None:
        response = application({**environ, "wsgi.input": io.BytesIO()}, start_response)
        # As a server does; Django's ``request_finished`` is sent by it.
        response.close()

    return handle


def start_response(*_arguments: Any) -> Callable[[bytes], object]:
    """Take status and headers, as a server does."""
    return bytes


def handler(size: int, variant: str) -> ConnectionHandler:
    """Return a handler of ``size`` databases, the last few of which are open and stay so."""
    # It takes the connections from ``django.db``, which needs the settings.
    from appdb_router import connection_handler

    entry: dict[str, Any] = {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}
    aliases = ["default", *(f"app{number:04}" for number in range(1, size))]
    made = ConnectionHandler({alias: {**entry, "CONN_MAX_AGE": None} for alias in aliases})
    if variant == OURS:
        connection_handler.install(made)
    for alias in aliases[-OPENED:]:
        made[alias].ensure_connection()
    return made


def use(connections: ConnectionHandler) -> None:
    """Let Django's signal receivers and request handlers see these connections."""
    for module in (db, base):
        vars(module)["connections"] = connections


if __name__ == "__main__":
    main()
