"""Sessions: a transaction on an app's database, synchronous and asynchronous, on real servers."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.support.facts import ask
from tests.support.project import Project
from tests.support.servers import Server

MODELS = "class Post(models.Model):\n    title = models.CharField(max_length=20)\n"

PRELUDE = """
import asyncio
import gc
import os
import threading
import time

import psycopg
from asgiref.sync import async_to_sync, sync_to_async
from django.db import connections
from appdb_router.registry import close_all, get_database_url
from appdb_router.sessions import aclose_all, get_app_session
from blog.models import Post


def count():
    "Count the connections to the database of the app, from outside of it."
    server, _, name = get_database_url("blog").rpartition("/")
    query = "SELECT count(*) FROM pg_stat_activity WHERE datname = %s"
    with psycopg.connect(f"{server}/postgres") as connection:
        return connection.execute(query, [name.partition("?")[0]]).fetchone()[0]


def settles(number):
    "Wait until that many connections are there: a server takes its time to end one."
    deadline = time.monotonic() + 5
    while count() != number and time.monotonic() < deadline:
        time.sleep(0.02)
    return count()


def titles():
    return sorted(Post.objects.values_list("title", flat=True))


INSERT = "INSERT INTO blog_post (title) VALUES (%s)"


async def value(connection, query, *parameters):
    return (await (await connection.execute(query, parameters)).fetchone())[0]


async def one():
    async with get_app_session("blog") as connection:
        return await value(connection, "SELECT 1")
"""


@pytest.fixture
def blog(project: Project, postgres: Server, database_name: Callable[[str], str]) -> Project:
    """A project with an app on PostgreSQL, migrated, and the others on SQLite."""
    project.app("blog", models=MODELS)
    name = database_name("blog")
    postgres.execute(f"CREATE DATABASE {name}")
    project.env = {"BLOG_DATABASE_URL": postgres.url(name)}
    project.makemigrations("blog")
    project.manage("migrate", "--database=blog", "--verbosity=0")
    return project


def extended(project: Project, **parameters: str) -> Project:
    url = project.env["BLOG_DATABASE_URL"]
    query = "&".join(f"{name}={value}" for name, value in parameters.items())
    project.env["BLOG_DATABASE_URL"] = f"{url}?{query}"
    return project


def test_synchronous_sessions(blog: Project) -> None:
    facts = ask(
        blog,
        PRELUDE
        + """
def insert(title, error=None, target="blog"):
    with get_app_session(target) as connection:
        connection.cursor().execute(INSERT, [title])
        inside.append([connection is connections["blog"], connection.in_atomic_block])
        if error:
            raise error


inside = []
fact("commit")(lambda: insert("by label"))
fact("model")(lambda: insert("by model", target=Post))
fact("instance")(lambda: insert("by instance", target=Post()))
fact("error")(lambda: insert("no", ValueError("stop")))
fact("rows")(titles)
fact("inside")(inside.copy)


@fact("nested")
def _():
    with get_app_session("blog"):
        Post.objects.create(title="outer")
        try:
            insert("inner", KeyError())
        except KeyError:
            pass
    return titles()


@fact("again")
def _():
    session = get_app_session("blog")
    for title in ("x", "y"):
        with session:
            Post.objects.create(title=title)
    return titles()[-2:]


@fact("in_use")
def _():
    session = get_app_session("blog")
    with session, session:
        pass


@fact("unknown")
def _():
    return get_app_session("blogg")


async def unsafe():
    with get_app_session("blog"):
        pass


fact("in_coroutine")(lambda: asyncio.run(unsafe()).partition(":")[0])
""",
    )

    assert facts == {
        "commit": None,
        "model": None,
        "instance": None,
        "error": "ValueError: stop",
        "rows": ["by instance", "by label", "by model"],
        "inside": [[True, True]] * 4,
        "nested": ["by instance", "by label", "by model", "outer"],
        "again": ["x", "y"],
        "in_use": "RuntimeError: This session of 'blog' is in use."
        " Call get_app_session() for each block.",
        "unknown": "UnknownLabelError: No installed app has the label 'blogg'."
        " Did you mean 'blog'?",
        "in_coroutine": "SynchronousOnlyOperation: You cannot call this from an async context"
        " - use a thread or sync_to_async.",
    }


def test_asynchronous_sessions(blog: Project) -> None:
    facts = ask(
        blog,
        PRELUDE
        + """
async def insert(title, error=None, target="blog"):
    async with get_app_session(target) as connection:
        await connection.execute(INSERT, [title])
        if error:
            raise error


async def kinds():
    async with get_app_session("blog") as connection:
        cursor = await connection.execute("SELECT now(), '[1]'::jsonb")
        now, document = await cursor.fetchone()
        kinds = [type(connection).__name__, type(cursor).__name__]
        return [*kinds, connection.autocommit, str(now.tzinfo), document]


async def changed():
    async with get_app_session("blog") as connection:
        await connection.set_autocommit(True)
        connection.row_factory = psycopg.rows.dict_row
        await connection.set_autocommit(True)
    async with get_app_session("blog") as connection:
        return [connection.autocommit, (await (await connection.execute("SELECT 1")).fetchone())]


async def in_use():
    session = get_app_session("blog")
    async with session:
        try:
            async with session:
                pass
        except RuntimeError as error:
            first = str(error)
    async with session as connection:
        return [first, await value(connection, "SELECT 1")]


fact("commit")(lambda: asyncio.run(insert("by label")))
fact("model")(lambda: asyncio.run(insert("by model", target=Post)))
fact("error")(lambda: asyncio.run(insert("no", ValueError("stop"))))
fact("refused")(lambda: asyncio.run(insert("x" * 21)))
fact("rows")(titles)
fact("kinds")(lambda: asyncio.run(kinds()))
fact("changed")(lambda: asyncio.run(changed()))
fact("in_use")(lambda: asyncio.run(in_use()))
fact("async_to_sync")(lambda: async_to_sync(one)())
close_all()
fact("left")(lambda: settles(0))
""",
    )

    assert facts == {
        "commit": None,
        "model": None,
        "error": "ValueError: stop",
        "refused": "StringDataRightTruncation: value too long for type character varying(20)",
        "rows": ["by label", "by model"],
        "kinds": ["AsyncConnection", "AsyncCursor", False, "UTC", "[1]"],
        "changed": [False, [1]],
        "in_use": [
            "This session of 'blog' is in use. Call get_app_session() for each block.",
            1,
        ],
        "async_to_sync": 1,
        "left": 0,
    }


def test_one_pool_for_each_event_loop_and_physical_database(
    blog: Project, postgres: Server
) -> None:
    blog.app("notes")
    blog.env["NOTES_DATABASE_URL"] = blog.env["BLOG_DATABASE_URL"]

    facts = ask(
        extended_both(blog, pool_size="2"),
        PRELUDE
        + """
async def server(label):
    async with get_app_session(label) as connection:
        await asyncio.sleep(0.05)
        return connection.info.backend_pid


async def many():
    return await asyncio.gather(*(server(label) for label in ["blog", "notes"] * 10))


async def loops():
    found = await many()
    pids = set(found)
    inside = settles(2)
    await aclose_all()
    return [len(pids), inside, settles(0), await one()]


fact("sizes")(lambda: asyncio.run(loops()))
fact("closed_with_the_loop")(lambda: settles(0))

results = []
barrier = threading.Barrier(3)


async def together():
    pids = set(await many())
    await asyncio.to_thread(barrier.wait)
    results.append(pids)
    await asyncio.to_thread(barrier.wait)


threads = [threading.Thread(target=asyncio.run, args=[together()]) for _ in range(2)]
for thread in threads:
    thread.start()
barrier.wait()
fact("two_loops")(count)
barrier.wait()
for thread in threads:
    thread.join()
fact("distinct")(lambda: len(results[0] | results[1]))
fact("closed_with_both")(lambda: settles(0))
""",
    )

    assert facts == {
        "sizes": [2, 2, 0, 1],
        "closed_with_the_loop": 0,
        "two_loops": 4,
        "distinct": 4,
        "closed_with_both": 0,
    }


def extended_both(project: Project, **parameters: str) -> Project:
    extended(project, **parameters)
    project.env["NOTES_DATABASE_URL"] = project.env["BLOG_DATABASE_URL"]
    return project


def test_connections_are_configured_as_those_of_django(
    blog: Project, role: Callable[..., object], postgres: Server
) -> None:
    name = role(postgres).name  # type: ignore[attr-defined]
    extended(blog, isolation_level="4", assume_role=name, application_name="async")
    blog.settings_extra = "TIME_ZONE = 'Asia/Tokyo'\nUSE_TZ = False"
    blog.env["BLOG_DATABASE_URL"] += "&pool_pre_ping=true"

    facts = ask(
        blog,
        PRELUDE
        + """
NAMES = ["TimeZone", "role", "application_name", "transaction_isolation"]


async def names():
    async with get_app_session("blog") as connection:
        return [await value(connection, f"SHOW {name}") for name in NAMES]


def sync_names():
    with get_app_session("blog") as connection, connection.cursor() as cursor:
        found = []
        for name in NAMES:
            cursor.execute(f"SHOW {name}")
            found.append(cursor.fetchone()[0])
        return found


async def health():
    async with get_app_session("blog") as connection:
        pid = connection.info.backend_pid
    server, _, name = get_database_url("blog").rpartition("/")
    with psycopg.connect(f"{server}/postgres") as other:
        other.execute("SELECT pg_terminate_backend(%s)", [pid])
    time.sleep(0.1)
    return await one()


fact("async")(lambda: asyncio.run(names()))
fact("same")(lambda: asyncio.run(names()) == sync_names())
fact("health")(lambda: asyncio.run(health()))
""",
    )

    assert facts == {
        "async": ["Asia/Tokyo", name, "async", "serializable"],
        "same": True,
        "health": 1,
    }


def test_pool_options_of_a_project(blog: Project) -> None:
    blog.write("blog/database.py", "OPTIONS = {'pool': {'min_size': 3, 'reset': print}}\n")

    facts = ask(
        blog,
        PRELUDE
        + """
async def full():
    await one()
    while count() < 3:
        await asyncio.sleep(0.02)
    return True


fact("min_size")(lambda: asyncio.run(full()))
fact("left")(lambda: settles(0))
""",
    )

    assert facts == {"min_size": True, "left": 0}


def test_a_database_that_is_down_is_named(project: Project) -> None:
    project.app("gone")
    url = "postgresql://app:hidden@127.0.0.1:1/no_such_database"
    project.env["GONE_DATABASE_URL"] = f"{url}?pool_timeout=0.2&pool_max_waiting=1"

    facts = ask(
        project,
        """
import asyncio
import traceback

from django.db import OperationalError, transaction
from appdb_router.registry import close_all
from appdb_router.sessions import get_app_session


def described(error):
    text = "".join(traceback.format_exception(error))
    cause = type(error.__cause__).__name__
    return [type(error).__name__, str(error), cause, error.alias, error.labels, "hidden" in text]


async def enter():
    async with get_app_session("gone"):
        pass


@fact("synchronous")
def _():
    try:
        with get_app_session("gone"):
            pass
    except OperationalError as error:
        return described(error)


@fact("asynchronous")
def _():
    try:
        asyncio.run(enter())
    except OperationalError as error:
        return described(error)


async def many():
    return await asyncio.gather(*(enter() for _ in range(3)), return_exceptions=True)


fact("too many")(lambda: sorted(str(error.__cause__) for error in asyncio.run(many())))
close_all()
""",
    )

    down = "The database 'gone' of the app 'gone' gives no connection: "
    timeout = "couldn't get a connection after 0.20 sec"
    name = "DatabaseUnavailableError"
    assert facts == {
        "synchronous": [name, down + timeout, "OperationalError", "gone", ["gone"], False],
        "asynchronous": [name, down + timeout, "PoolTimeout", "gone", ["gone"], False],
        "too many": [
            timeout,
            *["the pool 'appdb_router.gone' has already 1 requests waiting"] * 2,
        ],
    }


def test_a_loop_ends_while_a_pool_connects(blog: Project, postgres: Server) -> None:
    url = postgres.url("no_such_database", pool_timeout="0.5", pool_min_size="2")
    blog.app("gone")
    blog.env["GONE_DATABASE_URL"] = url.replace(f":{postgres.port}/", ":1/")
    extended(blog, pool_min_size="4")

    facts = ask(
        blog,
        PRELUDE
        + """
import logging

logging.disable(logging.CRITICAL)


async def unreachable():
    async with get_app_session("gone"):
        pass


started = time.monotonic()
fact("growing")(lambda: asyncio.run(one()))
fact("left")(lambda: settles(0))
fact("unreachable")(lambda: asyncio.run(unreachable()))
fact("soon")(lambda: time.monotonic() - started < 8)
""",
    )

    assert facts == {
        "growing": 1,
        "left": 0,
        "unreachable": "DatabaseUnavailableError: The database 'gone' of the app 'gone' gives no"
        " connection: couldn't get a connection after 0.50 sec",
        "soon": True,
    }


def test_a_cancelled_block_gives_its_connection_back(blog: Project) -> None:
    facts = ask(
        extended(blog, pool_size="2", pool_timeout="5"),
        PRELUDE
        + """
import random


async def insert(position):
    async with get_app_session("blog") as connection:
        await connection.execute(INSERT, [position])
        await connection.execute("SELECT pg_sleep(%s)", [random.random() / 200])
        await asyncio.sleep(random.random() / 200)
        if position % 2:
            await asyncio.sleep(60)


async def cancelled():
    loop = asyncio.get_running_loop()
    tasks = [asyncio.create_task(insert(position)) for position in range(200)]
    for task in tasks:
        loop.call_later(random.random(), task.cancel)
    found = await asyncio.gather(*tasks, return_exceptions=True)
    done = {str(position) for position, item in enumerate(found) if item is None}
    rows = titles_outside()
    # A commit may have reached the server before the cancellation stopped the waiting for it.
    right = done <= rows and all(int(title) % 2 == 0 for title in rows)
    kinds = {type(item).__name__ for item in found} - {"NoneType"}
    rest = await asyncio.wait_for(asyncio.gather(*(one() for _ in range(20))), 10)
    return [right, kinds == {"CancelledError"}, sum(rest)]


def titles_outside():
    with psycopg.connect(get_database_url("blog")) as connection:
        return {title for title, in connection.execute("SELECT title FROM blog_post")}


fact("all")(lambda: asyncio.run(cancelled()))
fact("left")(lambda: settles(0))
""",
    )

    assert facts == {"all": [True, True, 20], "left": 0}


LEAKS = """
from concurrent.futures import ThreadPoolExecutor

from django.db import ProgrammingError

WORKERS, FIRST, MORE = 4, 100, 2400


def objects():
    gc.collect()
    return len(gc.get_objects())


def column(number):
    return "no_such_column" if number % 10 == 0 else "1"
"""


@pytest.mark.slow
def test_ten_thousand_asynchronous_sessions_leak_nothing(blog: Project) -> None:
    facts = ask(
        extended(blog, pool_size="3", pool_timeout="5"),
        PRELUDE
        + LEAKS
        + """
async def worker(count):
    for number in range(count):
        try:
            async with get_app_session("blog") as connection:
                await connection.execute(f"SELECT {column(number)}")
        except psycopg.errors.UndefinedColumn:
            pass


async def uses(count):
    await asyncio.gather(*(worker(count) for _ in range(WORKERS)))
    return objects(), len(asyncio.all_tasks())


async def ten_thousand():
    objects_first, tasks_first = await uses(FIRST)
    objects_then, tasks_then = await uses(MORE)
    return [objects_then - objects_first < 200, tasks_then - tasks_first, count()]


fact("growth")(lambda: asyncio.run(ten_thousand()))
fact("left")(lambda: settles(0))
""",
    )

    assert facts == {"growth": [True, 0, 3], "left": 0}


@pytest.mark.slow
def test_ten_thousand_synchronous_sessions_leak_nothing(blog: Project) -> None:
    facts = ask(
        blog,
        PRELUDE
        + LEAKS
        + """
barrier = threading.Barrier(WORKERS, timeout=20)


def uses(count):
    # Each thread has its share, and its connection.
    barrier.wait()
    for number in range(count):
        try:
            with get_app_session("blog") as connection, connection.cursor() as cursor:
                cursor.execute(f"SELECT {column(number)}")
        except ProgrammingError:
            pass


def close():
    barrier.wait()
    connections.close_all()


def in_threads(function, *arguments):
    for future in [threads.submit(function, *arguments) for _ in range(WORKERS)]:
        future.result()
    return objects()


with ThreadPoolExecutor(WORKERS) as threads:
    first = in_threads(uses, FIRST)
    fact("growth")(lambda: [in_threads(uses, MORE) - first < 200, count()])
    in_threads(close)
fact("left")(lambda: settles(0))
""",
    )

    assert facts == {"growth": [True, 4], "left": 0}


def test_loops_that_are_closed_by_hand_do_not_leak(blog: Project) -> None:
    result = blog.python(
        PRELUDE
        + """
import logging
import sys
import weakref

# What asyncio says of the tasks that were pending is not for this test.
logging.disable(logging.CRITICAL)
sys.unraisablehook = lambda _: None
loops = []
for _ in range(5):
    loop = asyncio.new_event_loop()
    loop.run_until_complete(one())
    loop.close()
    loops.append(weakref.ref(loop))
    del loop
gc.collect()
print([loop() for loop in loops], settles(0))
"""
    )

    assert result.stdout == "[None, None, None, None, None] 0\n"


def test_a_loop_that_closes_its_pools_is_closed_without_a_word(blog: Project) -> None:
    result = blog.python(
        PRELUDE
        + """
async def main():
    await one()
    await aclose_all()
    await aclose_all()


loop = asyncio.new_event_loop()
loop.run_until_complete(main())
print(settles(0))
loop.close()
del loop
gc.collect()
"""
    )

    assert (result.stdout, result.stderr) == ("0\n", "")


def test_rows_of_a_test_case_are_invisible(blog: Project) -> None:
    blog.write(
        "blog/tests.py",
        """
        from asgiref.sync import sync_to_async
        from django.db import connections
        from django.test import TestCase, TransactionTestCase

        from appdb_router import alias_for
        from appdb_router.sessions import get_app_session
        from blog.models import Post


        async def look():
            async with get_app_session("blog") as connection:
                cursor = await connection.execute(
                    "SELECT count(*), current_database() FROM blog_post"
                )
                return await cursor.fetchone()


        class Invisible(TestCase):
            databases = {alias_for("blog")}

            async def test_rows(self):
                await Post.objects.acreate(title="A")
                name = connections["blog"].settings_dict["NAME"]
                self.assertTrue(name.startswith("test_"))
                self.assertEqual(await look(), (0, name))


        class Visible(TransactionTestCase):
            databases = {alias_for("blog")}

            async def test_rows(self):
                await Post.objects.acreate(title="A")
                self.assertEqual((await look())[0], 1)
        """,
    )

    result = blog.manage("test", "--verbosity=0")

    assert "Ran 2 tests" in result.stderr
    assert "OK" in result.stderr


def test_connections_in_use_outlive_their_pool(blog: Project) -> None:
    facts = ask(
        blog,
        PRELUDE
        + """
async def main():
    async with get_app_session("blog") as connection:
        await asyncio.gather(aclose_all(), aclose_all())
        gc.collect()
        await asyncio.sleep(0.05)
        found = [await value(connection, "SELECT 2"), await one(), count()]
    return [*found, settles(1)]


fact("in_use")(lambda: asyncio.run(main()))
fact("left")(lambda: settles(0))
""",
    )

    assert facts == {"in_use": [2, 1, 2, 1], "left": 0}


def test_a_task_may_clean_up_while_its_loop_ends(blog: Project) -> None:
    result = blog.python(
        PRELUDE
        + """
async def job(started):
    try:
        started.set()
        await asyncio.sleep(60)
    finally:
        async with get_app_session("blog") as connection:
            await connection.execute(INSERT, ["cleaned up"])


async def main():
    await one()
    started = asyncio.Event()
    tasks.append(asyncio.create_task(job(started)))
    await started.wait()


tasks = []
asyncio.run(main())
print(titles(), settles(1))
"""
    )

    assert (result.stdout, result.stderr) == ("['cleaned up'] 1\n", "")


SQLITE_AND_MARIADB = """
async def enter(label):
    async with get_app_session(label):
        pass


import asyncio
from appdb_router.sessions import aclose_all, get_app_session

for label in ("sessions", "shop"):
    fact(label)(lambda: asyncio.run(enter(label)))


@fact("sync")
def _():
    with get_app_session("shop") as connection, connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        return cursor.fetchone()


fact("nothing_to_close")(lambda: asyncio.run(aclose_all()))
"""


def test_engines_without_asynchronous_connections(
    project: Project, mariadb: Server, database_name: Callable[[str], str]
) -> None:
    name = database_name("shop")
    mariadb.execute(f"CREATE DATABASE {name}")
    project.app("shop")
    project.env["SHOP_DATABASE_URL"] = mariadb.url(name)

    facts = ask(project, SQLITE_AND_MARIADB)

    message = (
        "DatabaseOperationError: The database of the app {!r} cannot be used asynchronously: its"
        " engine is {!r}, not PostgreSQL with psycopg 3. Use 'with' in a function that"
        " asgiref.sync.sync_to_async() runs."
    )
    assert facts == {
        "sessions": message.format("sessions", "django.db.backends.sqlite3"),
        "shop": message.format("shop", "django.db.backends.mysql"),
        "sync": [1],
        "nothing_to_close": None,
    }


def test_psycopg_pool_is_missing(blog: Project) -> None:
    facts = ask(
        blog,
        "import sys\nsys.modules['psycopg_pool'] = None\n"
        + PRELUDE
        + "fact('it')(lambda: asyncio.run(one()))",
    )

    assert facts == {
        "it": "DatabaseOperationError: The database of the app 'blog' cannot be used"
        ' asynchronously: psycopg_pool is not installed. Install "psycopg[pool]".'
    }
