"""Asking for an app's database: URL, source, connection, and closing them all."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import dj_database_url
import pytest

from appdb_router import build_databases
from appdb_router.exceptions import ConfigurationError
from appdb_router.revealing import revealed_url
from tests.support.facts import ask
from tests.support.project import Project
from tests.support.servers import Server

URLS = [
    "postgresql://db1/name",
    "postgres://user@db1:5433/name",
    "postgis://user:secret@db1/name",
    "postgresql://user%40corp:p%40ss%2F%3F%23%25+%20%C3%A9%3A@db1/na%2Fme%3F",
    "postgresql://user:\ufffd@db1/name",
    "postgresql://:secret@db1/name",
    "postgresql://user@[::1]:5432/name",
    "postgresql://h1:5432,h2:5433/name?target_session_attrs=read-write",
    "postgresql:///name?host=h1,h2&port=6432",
    "postgresql:///name?host=/var/run/postgresql",
    "postgresql://user@%2Fvar%2Frun%2Fpostgresql:5433/name",
    "postgresql:///name?host=%40abstract",
    "postgresql://?service=billing",
    "postgresql://db1/name?currentSchema=one,two",
    "postgresql://db1/name?options=-c%20search_path%3Done%5C%20two%20-c%20x%3D1&sslmode=require",
    "postgresql://db1/name?connect_timeout=3&keepalives=1&isolation_level=4",
    "postgresql://db1/name?server_side_binding=true&application_name=a%26b%3Dc",
    "postgresql://db1/name?pool=true&conn_health_checks=true&atomic_requests=yes",
    "postgresql://db1/name?pool_size=4&max_overflow=2&pool_timeout=2.5&pool_max_waiting=9",
    "postgresql://db1/name?conn_max_age=60&disable_server_side_cursors=on",
    "postgresql://db1/name?conn_max_age=none&server_side_binding=false",
    "timescale://db1/name",
    "redshift://db1/name",
    "cockroachdb://root@db1/name",
    "mysql://root:a%3Ab@db1:3307/name?charset=utf8mb4&ssl-ca=/etc/ca.pem",
    "mysql-connector://db1/name?ssl-ca=/etc/ca.pem",
    "mysql://user@localhost/name?unix_socket=/run/mysqld/mysqld.sock",
    "mysql://?read_default_file=/etc/mysql/app.cnf",
    "oracle://scott:tiger@db1:1521/ORCL",
    "mssqlms://sa:secret@db1/name?driver=ODBC%20Driver%2018",
    "sqlite:///db.sqlite3",
    "sqlite:////srv/da%20ta/%C3%A9%3F%23.sqlite3?timeout=2.5&transaction_mode=IMMEDIATE",
    "sqlite://:memory:",
    "sqlite:///file%3Amem%3Fmode=memory?uri=true",
]


def entry(url: str, base_dir: Path) -> dict[str, Any]:
    return build_databases([], base_dir=base_dir, env={"DATABASE_URL": url})["default"]


@pytest.mark.parametrize("url", URLS)
def test_a_revealed_url_makes_the_same_entry(url: str, tmp_path: Path) -> None:
    config = entry(url, tmp_path)

    assert entry(revealed_url(config), tmp_path / "elsewhere") == {
        **config,
        "APPDB_ROUTER": entry(url, tmp_path / "elsewhere")["APPDB_ROUTER"],
    }


def test_a_revealed_url_leaves_out_what_no_url_can_say(tmp_path: Path) -> None:
    config = entry("mysql://db1/name", tmp_path)
    config["OPTIONS"] = {"ssl": {"ca": "a", "cert": "b"}, "conv": {}, "charset": "utf8"}
    assert revealed_url(config) == "mysql://db1/name?charset=utf8"

    config = entry("postgresql://db1/name", tmp_path)
    config["OPTIONS"] = {"pool": False, "context": None}
    assert revealed_url(config) == "postgresql://db1/name"


def test_a_backend_without_a_scheme_has_no_revealed_url(tmp_path: Path) -> None:
    config = {**entry("postgresql://u:secret@db1/name", tmp_path), "ENGINE": "acme.postgresql"}

    with pytest.raises(ConfigurationError) as raised:
        revealed_url(config)

    backends = {repr(item.backend) for item in dj_database_url.ENGINE_SCHEMES.values()}
    assert str(raised.value) == (
        "No URL can name the backend 'acme.postgresql'. Those with a scheme are"
        f" {', '.join(sorted(backends))}. Add one with dj_database_url.register(), or read"
        " settings.DATABASES."
    )


def test_urls_and_sources(project: Project) -> None:
    models = "class Post(models.Model):\n    pass\n"
    project.app("blog", models=models, files={"database.py": "DATABASE_URL = 'sqlite:///b.db'\n"})
    project.app("shop")
    project.app("notes")
    project.env = {
        "AUTH_DATABASE_URL": "postgresql://app:s%40cret@db1/auth_db?pool_size=2",
        "NOTES_DATABASE_URL": "sqlite:///db.sqlite3",
    }

    facts = ask(
        project,
        """
        from django.contrib.auth.models import User
        from django.db import connections
        from appdb_router.registry import (
            discover_all_app_databases, discover_app_database, get_connection, get_database_url,
        )
        from blog.models import Post

        found = discover_all_app_databases()

        fact("masked")(lambda: get_database_url("auth"))
        fact("revealed")(lambda: get_database_url("auth", reveal_password=True))
        fact("group")(lambda: vars(discover_app_database("contenttypes")))
        fact("module")(lambda: vars(found["blog"]))
        fact("shared")(lambda: vars(found["notes"]))
        fact("default")(lambda: [found["shop"].alias, found["shop"].source_name])
        fact("labels")(lambda: list(found))
        fact("same")(lambda: all(discover_app_database(label) == found[label] for label in found))
        fact("repr")(lambda: "cret" in repr(found))
        fact("connections")(lambda: [
            get_connection("auth") is connections["auth"],
            get_connection("notes") is connections["default"],
            get_connection(Post) is get_connection(Post()) is connections["blog"],
            [item.connection for item in connections.all(initialized_only=True)],
        ])
        for function in (get_database_url, discover_app_database, get_connection):
            fact(function.__name__)(lambda: function("blogg"))
        """,
    )

    missing = "UnknownLabelError: No installed app has the label 'blogg'. Did you mean 'blog'?"
    assert facts == {
        "masked": "postgresql://app:***@db1/auth_db",
        "revealed": "postgresql://app:s%40cret@db1/auth_db"
        "?pool_min_size=0&pool_reconnect_timeout=5&pool_max_size=2&connect_timeout=5",
        "group": {
            "label": "contenttypes",
            "alias": "auth",
            "canonical_alias": "auth",
            "url": "postgresql://app:***@db1/auth_db",
            "source_kind": "environment",
            "source_name": "AUTH_DATABASE_URL",
        },
        "module": {
            "label": "blog",
            "alias": "blog",
            "canonical_alias": "blog",
            "url": "sqlite:///b.db",
            "source_kind": "database.py",
            "source_name": "blog/database.py",
        },
        "shared": {
            "label": "notes",
            "alias": "notes",
            "canonical_alias": "default",
            "url": "sqlite:///db.sqlite3",
            "source_kind": "environment",
            "source_name": "NOTES_DATABASE_URL",
        },
        "default": ["default", "default="],
        "labels": [
            *("appdb_router", "auth", "blog", "contenttypes", "messages", "notes", "sessions"),
            *("shop", "staticfiles"),
        ],
        "same": True,
        "repr": False,
        "connections": [True, True, True, [None, None, None]],
        "get_database_url": missing,
        "discover_app_database": missing,
        "get_connection": missing,
    }


@pytest.fixture
def pooled(project: Project, postgres: Server, database_name: Callable[[str], str]) -> Project:
    """A project with two PostgreSQL databases, one with a pool, and one on SQLite."""
    name, other = database_name("pooled"), database_name("plain")
    for database in (name, other):
        postgres.execute(f"CREATE DATABASE {database}")
    project.app("blog")
    project.env = {
        "AUTH_DATABASE_URL": postgres.url(name, pool_size="2"),
        "BLOG_DATABASE_URL": postgres.url(other),
    }
    return project


PRELUDE = """
import asyncio
import os
import threading
import time

import psycopg
from appdb_router.registry import close_all, get_connection, get_database_url
from appdb_router.sessions import aclose_all, get_app_session


def count(label="auth"):
    "Count the connections to the database of an app, from outside of it."
    # Without the pool, which libpq does not know.
    url = get_database_url(label, reveal_password=True).partition("?")[0]
    server, _, name = url.rpartition("/")
    query = "SELECT count(*) FROM pg_stat_activity WHERE datname = %s"
    with psycopg.connect(f"{server}/postgres") as connection:
        return connection.execute(query, [name]).fetchone()[0]


def settles(number, label="auth"):
    "Wait until that many connections are there: a server takes its time to end one."
    deadline = time.monotonic() + 5
    while count(label) != number and time.monotonic() < deadline:
        time.sleep(0.02)
    return count(label)


def query(label):
    with get_connection(label).cursor() as cursor:
        cursor.execute("SELECT 1")
        return cursor.fetchone()[0]


async def aquery(label="auth"):
    async with get_app_session(label) as connection:
        return (await (await connection.execute("SELECT 1")).fetchone())[0]
"""


def test_close_all(pooled: Project) -> None:
    facts = ask(
        pooled,
        PRELUDE
        + """
fact("opened")(lambda: [query("auth"), query("blog"), query("sessions")])


def request():
    query("auth")
    get_connection("auth").close()  # Django's end of a request; the pool keeps it.


thread = threading.Thread(target=request)
thread.start()
thread.join()
loop = asyncio.new_event_loop()
fact("async")(lambda: loop.run_until_complete(aquery()))
fact("before")(lambda: [settles(3), settles(1, "blog")])
close_all()
fact("after")(lambda: [settles(0), settles(0, "blog")])
fact("again")(lambda: [query("auth"), settles(1), close_all(), settles(0)])
fact("nothing_open")(close_all)


async def in_coroutine():
    close_all()


fact("in_coroutine")(lambda: asyncio.run(in_coroutine()))
loop.run_until_complete(loop.shutdown_asyncgens())
for task in asyncio.all_tasks(loop):
    task.cancel()
loop.run_until_complete(asyncio.sleep(0.1))
loop.close()
""",
    )

    assert facts == {
        "opened": [1, 1, 1],
        "async": 1,
        "before": [3, 1],
        "after": [0, 0],
        "again": [1, 1, None, 0],
        "nothing_open": None,
        "in_coroutine": "SynchronousOnlyOperation: close_all() would block the event loop."
        " Use 'await aclose_all()' in a coroutine.",
    }


def test_close_all_reaches_the_event_loop_of_another_thread(pooled: Project) -> None:
    facts = ask(
        pooled,
        PRELUDE
        + """
loop = asyncio.new_event_loop()
thread = threading.Thread(target=loop.run_forever)
thread.start()
fact("async")(lambda: asyncio.run_coroutine_threadsafe(aquery(), loop).result())
fact("before")(lambda: settles(1))
close_all()
fact("after")(lambda: settles(0))
fact("again")(lambda: asyncio.run_coroutine_threadsafe(aquery(), loop).result())
close_all()
loop.call_soon_threadsafe(loop.stop)
thread.join()
loop.close()
""",
    )

    assert facts == {"async": 1, "before": 1, "after": 0, "again": 1}


def test_threads_have_connections_of_their_own(pooled: Project) -> None:
    facts = ask(
        pooled,
        PRELUDE
        + """
from concurrent.futures import ThreadPoolExecutor

def identity(_):
    connection = get_connection("blog")
    query("blog")
    found = id(connection), connection.connection.info.backend_pid
    barrier.wait()
    connection.close()
    return found

barrier = threading.Barrier(8)
with ThreadPoolExecutor(8) as executor:
    found = list(executor.map(identity, range(8)))
fact("objects")(lambda: len({first for first, _ in found}))
fact("servers")(lambda: len({second for _, second in found}))
""",
    )

    assert facts == {"objects": 8, "servers": 8}


def test_a_process_ends_without_a_word(pooled: Project) -> None:
    result = pooled.python(
        PRELUDE
        + """
query("auth"), query("blog"), asyncio.run(aquery())
print("done")
"""
    )

    assert (result.stdout, result.stderr) == ("done\n", "")


def test_a_forked_process_leaves_its_parent_the_connections(pooled: Project) -> None:
    result = pooled.python(
        PRELUDE
        + """
import sys
import warnings

from appdb_router.async_pools import _running_pools, close_pools


async def server():
    async with get_app_session("auth") as connection:
        return connection.info.backend_pid


loop = asyncio.new_event_loop()
query("blog")
before = loop.run_until_complete(server())
warnings.simplefilter("ignore")  # Of forking beside other threads, and the child's copy of a loop.
child = os.fork()
if not child:
    # That copy cannot be closed: its selector is its parent's as well.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    close_pools()
    own = asyncio.run(server())
    copy = vars(loop)["_appdb_router_pools"]
    fresh = loop.run_until_complete(_running_pools())
    loop.run_until_complete(copy.closer.aclose())
    loop.run_until_complete(copy.aclose())
    assert fresh.pid == os.getpid() != copy.pid
    sys.exit(own == before)
_, status = os.waitpid(child, 0)
print(status, query("blog"), loop.run_until_complete(server()) == before)
loop.run_until_complete(aclose_all())
loop.run_until_complete(loop.shutdown_asyncgens())
loop.close()
"""
    )

    assert (result.stdout, result.stderr) == ("0 1 True\n", "")
