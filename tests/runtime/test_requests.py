"""Requests do not pay for databases that they never open, and all else is as Django has it."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from textwrap import dedent
from types import SimpleNamespace
from typing import Any, TypeVar

import pytest
from asgiref.local import Local
from django.core.exceptions import SynchronousOnlyOperation
from django.db.utils import ConnectionHandler
from django.utils.connection import BaseConnectionHandler
from hypothesis import given
from hypothesis import strategies as st

from appdb_router.connection_handler import OpenConnectionHandler, install
from tests.support.facts import ask
from tests.support.project import Project
from tests.support.servers import Server

T = TypeVar("T")

ALIASES = ("default", "a", "b", "c")
MORE = (
    "DATABASES |= {{f'more{{n}}': {{**DATABASES['default'], 'TEST': {{}}}} for n in range({})}}\n"
)


def stock_handler() -> Any:
    entry = {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}
    return ConnectionHandler({alias: dict(entry) for alias in ALIASES})


def our_handler() -> Any:
    handler = stock_handler()
    install(handler)
    return handler


def opened(handler: ConnectionHandler) -> list[str]:
    return [connection.alias for connection in handler.all(initialized_only=True)]


def in_thread(function: Callable[[], T]) -> T:
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(function).result()


# What the module builds on, in the words of Django's own source.
BUILT_ON = {
    "__getitem__": """
        def __getitem__(self, alias):
            try:
                return getattr(self._connections, alias)
            except AttributeError:
                if alias not in self.settings:
                    raise self.exception_class(f"The connection '{alias}' doesn't exist.")
            conn = self.create_connection(alias)
            setattr(self._connections, alias, conn)
            return conn
    """,
    "__setitem__": """
        def __setitem__(self, key, value):
            setattr(self._connections, key, value)
    """,
    "__delitem__": """
        def __delitem__(self, key):
            delattr(self._connections, key)
    """,
    "__iter__": """
        def __iter__(self):
            return iter(self.settings)
    """,
    "all": """
        def all(self, initialized_only=False):
            return [
                self[alias]
                for alias in self
                # If initialized_only is True, return only initialized connections.
                if not initialized_only or hasattr(self._connections, alias)
            ]
    """,
}


@pytest.mark.parametrize("name", BUILT_ON)
def test_django_is_as_the_handler_expects(name: str) -> None:
    source = dedent(inspect.getsource(vars(BaseConnectionHandler)[name])).strip()

    assert source == dedent(BUILT_ON[name]).strip(), (
        f"Django changed BaseConnectionHandler.{name}(): see whether appdb_router/"
        "connection_handler.py still notes every connection, then change the text here."
    )


def test_django_stores_connections_nowhere_else() -> None:
    methods = {
        name
        for cls in (BaseConnectionHandler, ConnectionHandler)
        for name, item in vars(cls).items()
        if inspect.isfunction(item) and "._connections" in inspect.getsource(item)
    }

    assert methods == {"__init__", *BUILT_ON} - {"__iter__"}, (
        "Other methods of Django's handler touch its storage than appdb_router/"
        "connection_handler.py knows of: see whether it must note something there."
    )


Run = Callable[[Callable[[], None]], None]
CONTEXTS = ("context 1", "context 2")
PLACES = ("main", "thread", *CONTEXTS)
COMING_AND_GOING = ("c", "undeclared")
STEPS = st.one_of(
    st.tuples(
        st.sampled_from(PLACES),
        st.sampled_from(["get", "set", "delete", "delete behind", "close_all"]),
        st.sampled_from(["default", "a", "b"]),
    ),
    st.tuples(
        st.sampled_from(["main", "thread"]),
        st.sampled_from(["get", "set", "delete", "delete behind", "declare", "undeclare", "all"]),
        st.sampled_from(COMING_AND_GOING),
    ),
)


@contextmanager
def places() -> Iterator[dict[str, Run]]:
    """Yield what runs a function in each of the places that have connections of their own."""

    async def call(function: Callable[[], None]) -> None:
        function()

    with ThreadPoolExecutor(1) as pool, ThreadPoolExecutor(1) as server, asyncio.Runner() as runner:

        def in_context(context: contextvars.Context) -> Run:
            def run(function: Callable[[], None]) -> None:
                server.submit(lambda: runner.run(call(function), context=context)).result()

            return run

        yield {
            "main": lambda function: function(),
            "thread": lambda function: pool.submit(function).result(),
            **{name: in_context(contextvars.copy_context()) for name in CONTEXTS},
        }


def step(handler: Any, operation: str, alias: str, value: Any) -> Any:
    """Do something to a handler, and return what it answers or raises."""
    try:
        match operation:
            case "get":
                return handler[alias].alias
            case "set":
                handler[alias] = value
            case "delete":
                del handler[alias]
            case "delete behind":
                delattr(handler._connections, alias)
            case "declare":
                handler.settings.setdefault(alias, dict(handler.settings["default"]))
            case "undeclare":
                handler.settings.pop(alias, None)
            case "close_all":
                handler.close_all()
            case "all":
                return [connection.alias for connection in handler.all()]
    except (AttributeError, SynchronousOnlyOperation, handler.exception_class) as error:
        return type(error)
    return None


@given(st.lists(STEPS, max_size=25))
def test_random_operations_are_as_with_django(steps: list[tuple[str, str, str]]) -> None:
    stock, ours = stock_handler(), our_handler()
    # An alias that comes back takes its new place when it is opened again.
    listed = sorted if "undeclare" in {operation for _, operation, _ in steps} else list

    def both(operation: str, alias: str) -> None:
        value = SimpleNamespace(alias=alias, close=lambda: None)
        assert step(ours, operation, alias, value) == step(stock, operation, alias, value)
        assert listed(opened(ours)) == listed(opened(stock))
        for connection in ours.all(initialized_only=True):
            assert ours[connection.alias] is connection

    with places() as run:
        for place, operation, alias in steps:
            run[place](partial(both, operation, alias))
        for place in PLACES:
            run[place](partial(both, "nothing", "default"))


def test_an_alias_declared_again_is_at_its_new_place_once_it_is_opened_again() -> None:
    handler = our_handler()
    for alias in ("c", "a", "b"):
        handler[alias]

    handler.settings["a"] = handler.settings.pop("a")
    del handler["a"]
    handler["a"]

    assert opened(handler) == ["b", "c", "a"]


def test_what_is_forgotten_leaves_nothing_behind() -> None:
    handler = our_handler()
    for number in range(100):
        alias = f"tenant{number}"
        handler[alias] = SimpleNamespace(alias=alias)
        del handler[alias]
    handler["a"]

    assert handler._noted() == ("a",)


def test_a_connection_that_cannot_be_made() -> None:
    handler = our_handler()
    handler.settings["a"]["ENGINE"] = "no.such.backend"

    with pytest.raises(Exception, match=r"no\.such\.backend"):
        handler["a"]

    assert opened(handler) == []


def test_connections_from_before() -> None:
    """Those of this thread are noted; an earlier thread is served as Django does."""
    handler = stock_handler()
    handler["b"]

    def look() -> list[str]:
        handler["c"]
        ready.set()
        assert installed.wait(10)
        return opened(handler)

    ready, installed = threading.Event(), threading.Event()
    with ThreadPoolExecutor(1) as pool:
        earlier = pool.submit(look)
        assert ready.wait(10)
        install(handler)
        installed.set()

        assert earlier.result() == ["c"]
    assert opened(handler) == ["b"]
    assert in_thread(lambda: opened(handler)) == []


def test_a_storage_that_somebody_replaced() -> None:
    handler = our_handler()
    handler["a"]

    handler._connections = Local(thread_critical=True)
    handler._connections.b = SimpleNamespace(alias="b")

    assert opened(handler) == ["b"]


def test_installing_twice_and_over_another_librarys_handler() -> None:
    class Another(ConnectionHandler):
        pass

    ours, theirs = our_handler(), Another({"default": {}})
    ours["a"]
    install(ours)
    install(theirs)

    assert type(ours) is OpenConnectionHandler
    assert opened(ours) == ["a"]
    assert type(theirs) is Another


def test_the_settings_are_not_read_before_their_time() -> None:
    handler = ConnectionHandler()

    install(handler)

    assert "settings" not in vars(handler)


def test_a_task_sees_what_its_parent_opened() -> None:
    async def child(handler: ConnectionHandler) -> list[str]:
        handler["b"]
        return opened(handler)

    async def parent(handler: ConnectionHandler) -> tuple[list[str], list[str]]:
        handler["a"]
        return await asyncio.create_task(child(handler)), opened(handler)

    ours = our_handler()

    assert asyncio.run(parent(ours)) == asyncio.run(parent(stock_handler()))
    assert opened(ours) == []


EMPTY_VIEW = """
from django.http import HttpResponse
from django.urls import path

urlpatterns = [path("", lambda request: HttpResponse())]
"""

WORK = """
import io

from django.core.wsgi import get_wsgi_application
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.utils import ConnectionHandler
from django.test import RequestFactory

application = get_wsgi_application()
storage = type(connections._connections)
counts = {"looked up": 0, "closed": 0}


def counted(cls, method, name):
    original = getattr(cls, method)

    def count(*args):
        counts[name] += 1
        return original(*args)

    setattr(cls, method, count)


# Django itself has asked for the default one, while it loaded the models.
for alias in ["default", *list(connections)[1:][-2:]]:
    connections[alias].ensure_connection()
counted(storage, "__getattr__", "looked up")
counted(BaseDatabaseWrapper, "close_if_unusable_or_obsolete", "closed")


def request():
    counts.update(dict.fromkeys(counts, 0))
    environ = {**RequestFactory().get("/").environ, "wsgi.input": io.BytesIO()}
    response = application(environ, lambda *args: None)
    assert response.status_code == 200
    response.close()
    return dict(counts)


@fact("ours")
def _():
    return request()


@fact("Django's")
def _():
    connections.__class__ = ConnectionHandler
    return request()
"""


def test_the_work_is_the_same_with_a_thousand_databases(project: Project) -> None:
    project.write("urls.py", EMPTY_VIEW)
    project.settings_extra = "MIDDLEWARE = []\n"
    answers = {}
    for size in (1, 10, 100, 1000):
        project.settings_extra = "MIDDLEWARE = []\n" + MORE.format(size - 1)
        answers[size] = ask(project, WORK)

    closed = {size: answer["ours"]["closed"] for size, answer in answers.items()}
    looked_up = {size: answer["ours"]["looked up"] for size, answer in answers.items()}
    assert closed == {1: 2, 10: 6, 100: 6, 1000: 6}
    assert looked_up[10] == looked_up[100] == looked_up[1000] == looked_up[1] + 6
    for size, answer in answers.items():
        assert answer["Django's"]["closed"] == closed[size]
        assert answer["Django's"]["looked up"] >= 3 * size


CLOSING = """
import threading

from django.core.signals import request_finished, request_started
from django.db import close_old_connections, connections, reset_queries


def servers_view():
    with connections["default"].cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'closing'"
            " AND pid <> pg_backend_pid()"
        )
        return cursor.fetchone()[0]


def settled(expected):
    for _ in range(100):
        if servers_view() == expected:
            return expected
        threading.Event().wait(0.05)
    return servers_view()


def expire(connection):
    connection.ensure_connection()
    connection.close_at = 0


@fact("kept")
def _():
    connections["auth"].ensure_connection()
    request_started.send(None)
    request_finished.send(None)
    return settled(1)


@fact("expired")
def _():
    expire(connections["auth"])
    request_finished.send(None)
    return settled(0), connections["auth"].connection


@fact("called directly")
def _():
    expire(connections["auth"])
    close_old_connections()
    return settled(0)


@fact("broken")
def _():
    connections["auth"].ensure_connection()
    pid = connections["auth"].connection.info.backend_pid
    with connections["default"].cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s)", [pid])
    try:
        connections["auth"].cursor().execute("SELECT 1")
    except Exception as error:
        seen = type(error).__name__
    request_started.send(None)
    return seen, connections["auth"].connection


@fact("queries")
def _():
    connections["auth"].force_debug_cursor = True
    connections["auth"].cursor().execute("SELECT 1")
    before = len(connections["auth"].queries)
    request_started.send(None)
    return before, len(connections["auth"].queries)


@fact("close_all")
def _():
    connections["auth"].ensure_connection()
    connections.close_all()
    return settled(0)


@fact("threads")
def _():
    connections["auth"].ensure_connection()
    start, done = threading.Barrier(4), threading.Barrier(4)

    def work():
        expire(connections["auth"])
        start.wait()
        request_finished.send(None)
        done.wait()

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    start.wait()
    done.wait()
    left = settled(1)
    for thread in threads:
        thread.join()
    return left, connections["auth"].connection is not None


@fact("handler")
def _():
    return type(connections).__name__
"""


def test_connections_are_closed_and_queries_reset(project: Project, postgres: Server) -> None:
    project.env = {"DATABASE_URL": postgres.url("postgres")}
    project.settings_extra = (
        "DATABASES['auth'] = {**DATABASES['default'], 'CONN_MAX_AGE': 60,"
        " 'OPTIONS': {'application_name': 'closing'}, 'TEST': {}}\n"
        "del DATABASES['auth']['APPDB_ROUTER']\n" + MORE.format(100)
    )

    assert ask(project, CLOSING) == {
        "kept": 1,
        "expired": [0, None],
        "called directly": 0,
        "broken": ["OperationalError", None],
        "queries": [1, 0],
        "close_all": 0,
        "threads": [1, True],
        "handler": "OpenConnectionHandler",
    }


VIEWS = """
from asgiref.sync import sync_to_async
from django.contrib.auth.models import Group
from django.db import connections
from django.http import JsonResponse
from django.urls import path


def facts():
    names = list(Group.objects.values_list("name", flat=True))
    held = [connection.alias for connection in connections.all(initialized_only=True)]
    return {"names": names, "held": held, "more": connections["more0"].vendor}


def view(request):
    return JsonResponse(facts())


async def async_view(request):
    return JsonResponse(await sync_to_async(facts)())


urlpatterns = [path("", view), path("async", async_view)]
"""

TESTS = """
import json
import threading
from urllib.request import urlopen

from asgiref.testing import ApplicationCommunicator
from django.contrib.auth.models import Group
from django.core.asgi import get_asgi_application
from django.core.signals import request_finished, request_started
from django.db import close_old_connections, connection, connections, reset_queries
from django.test import LiveServerTestCase, TestCase, TransactionTestCase


class Mixin:
    def setUp(self):
        Group.objects.create(name="drivers")
        self.raw = connection.connection

    def tearDown(self):
        self.assertEqual(type(connections).__name__, "OpenConnectionHandler")
        # The clients disconnect and connect the receiver; it is Django's own, before and after.
        for signal in (request_started, request_finished):
            found = {receiver for item in signal.receivers for receiver in [item[1]()]}
            self.assertIn(close_old_connections, found)


class InsideATransaction(Mixin, TestCase):
    def test_client(self):
        for _ in range(2):
            self.assertEqual(self.client.get("/").json()["names"], ["drivers"])
        self.assertIs(connection.connection, self.raw)
        self.assertTrue(connection.in_atomic_block)

    async def test_async_client(self):
        for _ in range(2):
            response = await self.async_client.get("/async")
            self.assertEqual(response.json()["names"], ["drivers"])

    def test_streamed_to_the_end(self):
        self.client.get("/").close()
        self.assertIs(connection.connection, self.raw)
        self.assertEqual(Group.objects.count(), 1)


class WithoutTransaction(Mixin, TransactionTestCase):
    def test_client(self):
        self.assertEqual(self.client.get("/").json()["names"], ["drivers"])
        self.assertIs(connection.connection, self.raw)

    def test_close_old_connections_closes(self):
        connection.close_at = 0
        closed = []
        connection.close = lambda: closed.append(True)
        try:
            request_finished.send(None)
        finally:
            del connection.close
        self.assertEqual(closed, [True])

    async def test_asgi(self):
        scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET",
            "path": "/async", "query_string": b"", "headers": [],
        }
        for _ in range(2):
            server = ApplicationCommunicator(get_asgi_application(), scope)
            await server.send_input({"type": "http.request"})
            start = await server.receive_output(5)
            body = await server.receive_output(5)
            self.assertEqual(start["status"], 200)
            self.assertIn("default", json.loads(body["body"])["held"])
            await server.wait(5)


class LiveServer(Mixin, LiveServerTestCase):
    def test_live_server(self):
        for _ in range(2):
            with urlopen(self.live_server_url) as response:
                answer = json.load(response)
            self.assertEqual(answer["names"], ["drivers"])
            # The server's thread was given the connection of the test.
            self.assertEqual(answer["held"], ["default"])
"""


@pytest.mark.parametrize("options", [[], ["--parallel=2"]], ids=["alone", "parallel"])
def test_the_test_clients_of_django(project: Project, options: list[str]) -> None:
    project.write("urls.py", VIEWS)
    project.write("tests.py", TESTS)
    project.settings_extra = "MIDDLEWARE = []\n" + MORE.format(20)

    result = project.manage("test", *options)

    assert "\nOK\n" in result.stderr
    assert "Ran 7 tests" in result.stderr
