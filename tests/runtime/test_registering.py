"""Giving an app another database while the process runs, on real servers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.support.facts import ask
from tests.support.project import Project
from tests.support.servers import Server

MODELS = "class {}(models.Model):\n    title = models.CharField(max_length=40)\n"

PRELUDE = """
import asyncio
import threading
import time
from contextlib import ExitStack, contextmanager

import psycopg
from asgiref.sync import async_to_sync, sync_to_async
from django.core.management import call_command
from django.db import close_old_connections, connection, connections, transaction
from django.db import router as django_router
from appdb_router import alias_for
from appdb_router.registry import (
    close_all, discover_app_database, get_connection, get_database_url, register_database,
    unregister_database,
)
from appdb_router.sessions import get_app_session
from appdb_router.topology import get_topology
from blog.models import Post
from shop.models import Item

OLD, NEW, THIRD = {urls!r}
SERVER = OLD.rpartition("/")[0] + "/postgres"


def name_of(url):
    return url.rpartition("/")[2].partition("?")[0]


def rows(url, table="blog_post"):
    "Ask the database itself, on a connection of its own."
    with psycopg.connect(url.partition("?")[0]) as direct:
        found = direct.execute(f"SELECT title FROM {{table}} ORDER BY title").fetchall()
    return [title for title, in found]


def sessions(url, expected=None):
    "Count the sessions on a database; wait for the number that is expected."
    query = "SELECT count(*) FROM pg_stat_activity WHERE datname = %s"
    with psycopg.connect(SERVER, autocommit=True) as direct:
        deadline = time.monotonic() + 5
        while True:
            count = direct.execute(query, [name_of(url)]).fetchone()[0]
            if count == expected or expected is None or time.monotonic() > deadline:
                return count
            time.sleep(0.02)


def add(title, model=Post):
    model.objects.create(title=title)


class Worker(threading.Thread):
    "A thread that does what it is told, one thing at a time."

    def __init__(self):
        super().__init__(daemon=True)
        self.orders, self.go, self.done = [], threading.Semaphore(0), threading.Semaphore(0)
        self.start()

    def run(self):
        while True:
            self.go.acquire()
            order = self.orders.pop(0)
            try:
                self.result = order()
            except Exception as error:
                self.result = f"{{type(error).__name__}}: {{error}}"
            self.done.release()

    def __call__(self, order):
        self.orders.append(order)
        self.go.release()
        self.done.acquire()
        return self.result


"""


@pytest.fixture
def shop(project: Project, postgres: Server, database_name: Callable[[str], str]) -> Project:
    """Two apps that share the default database, and two more databases with the same tables."""
    project.app("blog", models=MODELS.format("Post"))
    project.app("shop", models=MODELS.format("Item"))
    project.makemigrations("blog", "shop")
    for place in ("old", "new", "third"):
        name = database_name(place)
        postgres.execute(f"CREATE DATABASE {name}")
        project.env["DATABASE_URL"] = postgres.url(name)
        project.manage("migrate", "--verbosity=0")
        project.write(f"{place}.url", postgres.url(name))
    project.env["DATABASE_URL"] = url_of(project, "old")
    return project


def url_of(project: Project, place: str) -> str:
    return (project.root / f"{place}.url").read_text()


def facts_of(project: Project, code: str) -> dict[str, Any]:
    urls = [url_of(project, place) for place in ("old", "new", "third")]
    return ask(project, PRELUDE.format(urls=urls) + code)


def test_a_registered_database_is_used_until_it_is_undone(shop: Project) -> None:
    facts = facts_of(
        shop,
        """
def where():
    return [alias_for(Post), Post.objects.db, get_connection(Post()).settings_dict["NAME"]]


fact("before")(where)


@fact("inside")
def _():
    with register_database("blog", NEW) as registration:
        add("new")
        add("item", Item)
        with get_app_session("blog") as session:
            names = [session.settings_dict["NAME"], alias_for(Item)]
        found = discover_app_database("blog")
        return [
            registration.label, registration.labels, registration.alias, where(), names,
            [found.alias, found.canonical_alias, found.source_kind, found.source_name],
            list(connections), django_router.allow_migrate(registration.alias, "blog"),
            django_router.allow_migrate(registration.alias, "shop"),
            django_router.allow_migrate("default", "blog"),
            connections[registration.alias].settings_dict["TIME_ZONE"],
            get_topology().database_of("blog").labels,
            "blog" in get_topology().database_of("shop").labels,
        ]


@fact("unknown")
def _():
    with register_database("blog", NEW):
        routes = get_topology().routes
        try:
            return [len(routes) == len(list(routes)), alias_for("blogg")]
        except LookupError as error:
            return str(error)


fact("after")(where)
fact("aliases")(lambda: list(connections))
fact("rows")(lambda: [rows(OLD), rows(NEW), rows(OLD, "shop_item"), rows(NEW, "shop_item")])
fact("sessions")(lambda: sessions(NEW, 0))


@fact("layers")
def _():
    seen = []
    with register_database("blog", NEW) as first:
        with register_database("blog", THIRD):
            add("third")
            seen.append(where()[2])
            unregister_database("blog")
            seen.append(where()[2])
        # It is undone already.
        seen.append(where()[2])
    return [*map((NEW, THIRD, OLD).index, (
        next(url for url in (NEW, THIRD, OLD) if name_of(url) == name) for name in seen
    ))]


@fact("out_of_order")
def _():
    first, second = register_database("blog", NEW), register_database("blog", THIRD)
    with first:
        pass
    kept = name_of(THIRD) == where()[2]
    with second:
        pass
    return [kept, where()]
""",
    )

    old, new = (url_of(shop, place).rpartition("/")[2] for place in ("old", "new"))
    assert facts["before"] == ["default", "default", old]
    assert facts["inside"] == [
        "blog",
        ["blog"],
        "blog@1",
        ["blog@1", "blog@1", new],
        [new, "default"],
        ["blog@1", "blog@1", "registered", "register_database()"],
        ["default", "blog@1"],
        *(True, False, False),
        None,
        ["blog"],
        False,
    ]
    assert facts["unknown"] == "No installed app has the label 'blogg'. Did you mean 'blog'?"
    assert facts["after"] == facts["before"]
    assert facts["aliases"] == ["default"]
    assert facts["rows"] == [[], ["new"], ["item"], []]
    assert facts["sessions"] == 0
    assert facts["layers"] == [1, 0, 0]
    assert facts["out_of_order"] == [True, facts["before"]]


def test_what_is_refused(shop: Project) -> None:
    facts = facts_of(
        shop,
        """
fact("unknown")(lambda: register_database("blogg", NEW))
fact("option")(lambda: register_database("blog", NEW, CONN_AGE=1))
fact("type")(lambda: register_database("blog", NEW, CONN_MAX_AGE="1"))
fact("url")(lambda: register_database("blog", "postgresql://u:hush@h:x/d"))
fact("pool")(lambda: register_database("blog", "sqlite:///x", ENGINE_OPTIONS={"pool_size": 1}))
fact("rights")(lambda: register_database("blog", OLD, CONN_MAX_AGE=60))
fact("none")(lambda: unregister_database("blog"))
fact("none_unknown")(lambda: unregister_database("blogg"))


@fact("atomic")
@transaction.atomic
def _():
    register_database("blog", NEW)


@fact("atomic_undo")
def _():
    register_database("blog", NEW)
    try:
        with transaction.atomic():
            unregister_database("blog")
    finally:
        unregister_database("blog")


@fact("manual")
def _():
    transaction.set_autocommit(False)
    try:
        register_database("blog", NEW)
    finally:
        transaction.set_autocommit(True)


@fact("coroutine")
def _():
    async def register():
        register_database("blog", NEW)

    asyncio.run(register())


@fact("another_handler")
def _():
    handler = type(connections)
    try:
        connections.__class__ = handler.__mro__[1]
        register_database("blog", NEW)
    finally:
        connections.__class__ = handler


fact("nothing_left")(lambda: [list(connections), alias_for("blog"), len(connections.settings)])
""",
    )

    split = (
        "RegistrationError: {} would split the transaction that this thread has open on 'default'."
        " Call it outside of atomic(); in tests, use TransactionTestCase or"
        " pytest.mark.django_db(transaction=True)."
    )
    options = (
        "'ATOMIC_REQUESTS', 'AUTOCOMMIT', 'CONN_HEALTH_CHECKS', 'CONN_MAX_AGE',"
        " 'DISABLE_SERVER_SIDE_CURSORS', 'ENGINE', 'ENGINE_OPTIONS', 'OPTIONS', 'TEST', 'TIME_ZONE'"
    )
    assert facts == {
        "unknown": "UnknownLabelError: No installed app has the label 'blogg'."
        " Did you mean 'blog'?",
        "option": "DatabaseModuleError: register_database('blog'): there is no option 'CONN_AGE'."
        f" Choose from {options}.",
        "type": "DatabaseModuleError: register_database('blog'): CONN_MAX_AGE is of type str, and"
        " must be int or None.",
        "url": facts["url"],
        "pool": "ConfigurationError: register_database('blog'): the engine"
        " 'django.db.backends.sqlite3' has no pool, so 'pool_size' can have no effect. Leave it"
        " out.",
        "rights": "ConfigurationError: 'default' (DATABASE_URL) and 'blog@1' (register_database())"
        " are one physical database, but differ in CONN_MAX_AGE. Make them equal, or give one of"
        " them a database of its own.",
        "none": "RegistrationError: The app 'blog' has no registered database. Those that have one"
        " are none.",
        "none_unknown": "UnknownLabelError: No installed app has the label 'blogg'."
        " Did you mean 'blog'?",
        "atomic": split.format("register_database()"),
        "atomic_undo": split.format("Undoing register_database()"),
        "manual": split.format("register_database()"),
        "coroutine": "SynchronousOnlyOperation: register_database() closes connections. Call it"
        " with asgiref.sync.sync_to_async() in a coroutine.",
        "another_handler": "RegistrationError: django.db.connections is a 'ConnectionHandler' of"
        " another library, so a database cannot be registered.",
        "nothing_left": [["default"], "default", facts["nothing_left"][2]],
    }
    assert facts["url"].startswith("DatabaseUrlError: register_database('blog'): ")
    assert "hush" not in facts["url"]


def test_a_group_moves_as_one(shop: Project) -> None:
    shop.build_arguments = 'together={"shop": ["blog"]},'

    facts = facts_of(
        shop,
        """
@fact("group")
def _():
    with register_database("blog", NEW) as registration:
        add("post"), add("item", Item)
        inside = [registration.labels, alias_for("shop"), alias_for("blog")]
        unregister_database("shop")
    return [inside, rows(NEW), rows(NEW, "shop_item")]


@fact("core")
def _():
    with register_database("contenttypes", NEW) as registration:
        topology = get_topology()
        inside = [registration.labels, topology.core_alias]
        return [*inside, [item.alias for item in topology.canonical_databases()]]


fact("core_after")(lambda: get_topology().core_alias)
""",
    )

    assert facts == {
        "group": [[["shop", "blog"], "shop@1", "shop@1"], ["post"], ["item"]],
        "core": [["auth", "contenttypes"], "auth@2", ["auth@2", "default"]],
        "core_after": "default",
    }


def test_a_database_that_is_there_already_is_not_opened_twice(shop: Project) -> None:
    facts = facts_of(
        shop,
        """
def aliases():
    return [alias_for("blog"), alias_for("shop")]


@fact("default")
def _():
    with register_database("blog", OLD) as registration:
        return [registration.alias, aliases(), discover_app_database("blog").canonical_alias]


@fact("one_after_the_other")
def _():
    seen = []
    first = register_database("blog", NEW)
    with register_database("shop", NEW):
        seen.append(aliases())
        with first:
            pass
        seen.append(aliases())
    return [*seen, aliases()]
""",
    )

    assert facts == {
        "default": ["blog@1", ["default", "default"], "default"],
        "one_after_the_other": [
            ["blog@2", "blog@2"],
            ["default", "shop@3"],
            ["default", "default"],
        ],
    }


def test_a_transaction_stays_where_it_began(shop: Project) -> None:
    facts = facts_of(
        shop,
        """
worker = Worker()
stack = ExitStack()


@transaction.atomic
def views(*orders):
    for order in orders:
        order()


def enter():
    stack.enter_context(transaction.atomic())
    add("before")


# The default database has other apps: only a transaction that was open keeps the app there.
worker(enter)
outer = register_database("blog", NEW)
worker(lambda: add("during"))
fact("savepoint")(lambda: worker(lambda: [add("savepoint"), transaction.atomic().__enter__()]))
worker(lambda: [connection.savepoint_rollback(connection.savepoint()), add("rolled back")])
worker(lambda: connection.atomic_blocks[-1].__exit__(None, None, None))
fact("route_inside")(lambda: worker(lambda: [alias_for("blog"), alias_for("shop")]))
fact("route_elsewhere")(lambda: alias_for("blog"))
worker(stack.close)
fact("route_after")(lambda: worker(lambda: alias_for("blog")))
worker(lambda: views(lambda: add("item", Item), lambda: add("after")))
fact("old")(lambda: rows(OLD))
fact("new")(lambda: rows(NEW))

# The same decorated function, that is the same Atomic object, twice around a change.
unregister_database("blog")
steps = [threading.Event() for _ in range(2)]
thread = threading.Thread(
    target=lambda: [
        views(lambda: add("first"), steps[0].set, steps[1].wait, lambda: add("still first")),
        views(lambda: add("second")),
        connections.close_all(),
    ]
)
thread.start()
steps[0].wait()
register_database("blog", THIRD)
steps[1].set()
thread.join()
fact("decorated")(lambda: [rows(OLD), rows(THIRD)])

# A database that nobody else has: any transaction on it is one of the app.
worker(lambda: stack.enter_context(transaction.atomic(using=alias_for("blog"))))
late = alias_for("blog")
unregister_database("blog")
worker(lambda: [add("on third"), stack.close(), add("on old")])
fact("own")(lambda: [rows(OLD)[-2:], rows(THIRD)])
# Whoever was told to use the alias a moment ago still can.
fact("late")(lambda: [late in connections, Post.objects.using(late).count()])
""",
    )

    assert facts == {
        "savepoint": [None, None],
        "route_inside": ["default", "default"],
        "route_elsewhere": "blog@1",
        "route_after": "blog@1",
        "old": ["before", "during", "rolled back", "savepoint"],
        "new": ["after"],
        "decorated": [
            ["before", "during", "first", "rolled back", "savepoint", "still first"],
            ["second"],
        ],
        "own": [["savepoint", "still first"], ["on third", "second"]],
        "late": [False, 2],
    }


def test_what_is_left_is_closed(shop: Project) -> None:
    facts = facts_of(
        shop,
        """
worker = Worker()
stack = ExitStack()


@fact("own_thread")
def _():
    with register_database("blog", NEW):
        add("own")
        inside = sessions(NEW)
    return [inside, sessions(NEW, 0)]


@fact("other_thread")
def _():
    register_database("blog", NEW, CONN_MAX_AGE=None)
    worker(lambda: add("other"))
    unregister_database("blog")
    inside = sessions(NEW)
    worker(close_old_connections)
    return [inside, sessions(NEW, 0)]


@fact("pool")
def _():
    register_database("blog", NEW, ENGINE_OPTIONS={"max_size": 1})
    add("pooled")
    connections.close_all()
    worker(lambda: stack.enter_context(transaction.atomic(using=alias_for("blog"))))
    waiter, seen = Worker(), []
    thread = threading.Thread(target=lambda: seen.append(waiter(lambda: add("waited"))))
    thread.start()
    pool = connections[alias_for("blog")].pool
    while not pool.get_stats()["requests_waiting"]:
        time.sleep(0.01)
    # The worker holds the one connection, and gives it back while it is waited for.
    release = threading.Timer(0.2, lambda: worker(lambda: [stack.close(), connections.close_all()]))
    release.start()
    unregister_database("blog")
    thread.join()
    release.join()
    waiter(connections.close_all)
    return [seen, rows(NEW), sessions(NEW, 0)]


@fact("unused_pool")
def _():
    with register_database("blog", NEW, ENGINE_OPTIONS={"max_size": 1}):
        pass
    return sessions(NEW, 0)


@fact("asynchronous")
def _():
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    async def insert(title):
        async with get_app_session("blog") as session:
            await session.execute("INSERT INTO blog_post (title) VALUES (%s)", [title])
            return session.info.dbname

    def run(coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, loop).result()

    async def wait_for_it(entered, leave):
        async with get_app_session("blog"):
            entered.set()
            await leave.wait()

    names = [run(insert("a"))]
    with register_database("blog", THIRD, ENGINE_OPTIONS={"max_size": 1}):
        names.append(run(insert("b")))
        entered, leave = asyncio.Event(), asyncio.Event()
        holding = asyncio.run_coroutine_threadsafe(wait_for_it(entered, leave), loop)
        run(entered.wait())
        waiting = asyncio.run_coroutine_threadsafe(insert("c"), loop)
        time.sleep(0.1)
        threading.Timer(0.2, loop.call_soon_threadsafe, [leave.set]).start()
    names.append(waiting.result())
    holding.result()
    with register_database("blog", NEW):
        # The loop has no pool of this one.
        pass
    names.append(run(insert("d")))
    from appdb_router.sessions import aclose_all

    left = sessions(THIRD, 0)
    run(aclose_all())
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()
    return [[name_of(url) for url in (OLD, THIRD, THIRD, OLD)] == names, left, rows(THIRD)]


@fact("idle_loop")
def _():
    loop = asyncio.new_event_loop()

    async def one():
        async with get_app_session("blog") as session:
            await session.execute("SELECT 1")

    with register_database("blog", THIRD):
        loop.run_until_complete(one())
    from appdb_router.sessions import aclose_all

    loop.run_until_complete(aclose_all())
    loop.close()
    return sessions(THIRD, 0)


@fact("from_a_coroutine")
def _():
    @sync_to_async
    def inside():
        with register_database("blog", NEW):
            return async_to_sync(one)()

    async def one():
        async with get_app_session("blog") as session:
            return session.info.dbname

    return [asyncio.run(inside()) == name_of(NEW), sessions(NEW, 0)]


@fact("the_past_is_bounded")
def _():
    from appdb_router import registering

    registering._KEPT = 3
    for _ in range(9):
        with register_database("blog", NEW):
            Post.objects.count()
    mine = [item.alias for item in connections.all(initialized_only=True)]
    return [len(connections.settings), list(connections), mine]
""",
    )

    assert facts == {
        "own_thread": [1, 0],
        "other_thread": [1, 0],
        "pool": [[None], ["other", "own", "pooled", "waited"], 0],
        "unused_pool": 0,
        "asynchronous": [True, 0, ["b", "c"]],
        "idle_loop": 0,
        "from_a_coroutine": [True, 0],
        "the_past_is_bounded": [4, ["default"], ["default"]],
    }


def test_a_database_of_its_own_is_replaced_and_comes_back(shop: Project) -> None:
    shop.env["BLOG_DATABASE_URL"] = url_of(shop, "third") + "?pool_max_size=2"

    facts = facts_of(
        shop,
        """
add("third")


@fact("replaced")
def _():
    with register_database("blog", NEW):
        add("new")
        inside = [alias_for("blog"), sessions(THIRD, 0)]
    add("third again")
    return [inside, alias_for("blog"), rows(NEW), rows(THIRD)]


@fact("migrated")
def _():
    with psycopg.connect(SERVER, autocommit=True) as direct:
        direct.execute(f"CREATE DATABASE {name_of(NEW)}_empty")
    try:
        with register_database("blog", NEW + "_empty"):
            call_command("migrate", database=alias_for("blog"), verbosity=0)
            add("migrated")
            tables = get_connection("blog").introspection.table_names()
            found = [rows(NEW + "_empty"), "blog_post" in tables, "shop_item" in tables]
    finally:
        with psycopg.connect(SERVER, autocommit=True) as direct:
            direct.execute(f"DROP DATABASE {name_of(NEW)}_empty")
    return found


@fact("masked")
def _():
    from django.test import RequestFactory
    from django.views.debug import get_exception_reporter_filter

    url = "postgresql://u:hush-hush@127.0.0.1/x"
    with register_database("blog", url):
        return [get_database_url("blog"), "hush" in str(discover_app_database("blog"))]
""",
    )

    assert facts["replaced"] == [["blog@1", 0], "blog", ["new"], ["third", "third again"]]
    assert facts["migrated"] == [["migrated"], True, False]
    assert facts["masked"] == ["postgresql://u:***@127.0.0.1/x", False]


@pytest.mark.slow
def test_a_hundred_threads_lose_nothing(shop: Project) -> None:
    """Threads register, write and undo at once; each row is in one of the databases."""
    facts = facts_of(
        shop,
        """
# The server has a limit of connections, and others use it too.
server = threading.Semaphore(12)
start = threading.Barrier(100)
failures, written = [], []


def work(number):
    title = f"{number:03}"
    try:
        start.wait()
        if number % 2:
            # A reader of the routes: whatever it is told is a database that works.
            for turn in range(3):
                with server:
                    add(f"{title} {turn}")
                    with transaction.atomic(using=alias_for("blog")):
                        Post.objects.filter(title=f"{title} {turn}").count()
                    connections.close_all()
                written.append(f"{title} {turn}")
            return
        for turn, url in enumerate((NEW, THIRD, NEW)):
            label = ("blog", "shop")[(number // 2 + turn) % 2]
            with register_database(label, url):
                with server:
                    with get_app_session("blog"):
                        # Both rows, or none, in one database, whatever the others register.
                        add(f"{title} {turn} a"), add(f"{title} {turn} b")
                    add(f"{title} {turn}", Item)
                    connections.close_all()
            written.extend([f"{title} {turn} a", f"{title} {turn} b"])
    except Exception as error:
        failures.append(f"{type(error).__name__}: {error}")


threads = [threading.Thread(target=work, args=(number,)) for number in range(100)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()

found = {url: rows(url) for url in (OLD, NEW, THIRD)}
items = [title for url in found for title in rows(url, "shop_item")]
fact("failures")(lambda: failures[:5])
fact("posts")(lambda: sorted(sum(found.values(), [])) == sorted(written))
fact("items")(lambda: len(items))
fact("pairs")(lambda: all(
    title[:-1] + "b" in titles for titles in found.values() for title in titles
    if title.endswith("a")
))
fact("spread")(lambda: [bool(found[url]) for url in (NEW, THIRD)])
fact("routes")(lambda: [alias_for("blog"), alias_for("shop"), list(connections)])
fact("sessions")(lambda: [sessions(url, 0) for url in (NEW, THIRD)])
""",
    )

    assert facts == {
        "failures": [],
        "posts": True,
        "items": 150,
        "pairs": True,
        "spread": [True, True],
        "routes": ["default", "default", ["default"]],
        "sessions": [0, 0],
    }
