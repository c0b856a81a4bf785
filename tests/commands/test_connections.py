"""``db_list --connections``: what may be opened, against what real servers allow."""

from __future__ import annotations

import json
import re
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg_pool import ConnectionPool

from appdb_router.async_pools import max_size
from tests.support.project import Project
from tests.support.servers import Server, embedded_postgres, temporary_folder

SECRET = "s3cr3t-pass"
Named = Callable[[str], str]
Roles = Callable[..., Any]


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def allowed(server: Server) -> int:
    """Return how many connections a PostgreSQL server allows to ordinary roles."""
    settings = dict(server.fetch("SELECT name, setting FROM pg_settings"))
    reserved = ("superuser_reserved_connections", "reserved_connections")
    return int(settings["max_connections"]) - sum(int(settings.get(name, 0)) for name in reserved)


def budget(project: Project, *arguments: str) -> dict[str, Any]:
    """Return the part of the JSON document that ``--connections`` adds."""
    result = project.manage("db_list", "--connections", "--format=json", *arguments, check=False)
    assert SECRET not in result.stdout + result.stderr
    found: dict[str, Any] = json.loads(result.stdout)["connections"]
    return found


def tables(text: str) -> str:
    """Return the part of the text that ``--connections`` adds, columns two spaces apart."""
    text = text[text.index("📊 Connections") :]
    text = re.sub(r"Open now: \d+", "Open now: N", text)
    return re.sub(r"(?<=\S) {2,}", "  ", re.sub(r"^ {3,}", "   ", text, flags=re.MULTILINE))


@pytest.fixture
def two(project: Project, postgres: Server, database_name: Named, role: Roles) -> Project:
    """Two apps on one server, spelt differently, with limits for their role and one database."""
    user = role(postgres, password=SECRET)
    postgres.execute(f"ALTER ROLE {user.name} CONNECTION LIMIT 30")
    blog, shop = database_name("blog"), database_name("shop")
    postgres.execute(f"CREATE DATABASE {blog}")
    postgres.execute(f"CREATE DATABASE {shop} CONNECTION LIMIT 8")
    project.app("blog")
    project.app("shop")
    login = {"user": user.name, "password": SECRET}
    project.env = {
        "BLOG_DATABASE_URL": postgres.url(blog, **login, pool_size="2", max_overflow="1"),
        "SHOP_DATABASE_URL": postgres.url(shop, **login, host="localhost"),
    }
    return project


def test_text(two: Project, postgres: Server) -> None:
    user = re.findall("://(.*):", two.env["BLOG_DATABASE_URL"])[0].partition(":")[0]
    shop = two.env["SHOP_DATABASE_URL"].rpartition("/")[2]
    maximum = allowed(postgres)

    result = two.manage("db_list", "--connections", "--workers=4", "--threads=2")

    share, with_async = (-(-100 * number // maximum) for number in (20, 48))
    assert (
        tables(result.stdout)
        == f"""\
📊 Connections of 4 workers with 2 threads each:

🔹 127.0.0.1:{postgres.port}, localhost:{postgres.port}
   Database  Per process  Async  All processes  Async
   blog  3  3  12  12
   shop  2  4  8  16
   together  5  7  20  28

   Limit  Maximum  May open  Share  With async  Share  Verdict
   server  {maximum}  20  {share}%  48  {with_async}%  fine
   database '{shop}'  8  8  100%  24  300%  above half, too many with async
   role '{user}'  30  20  67%  48  160%  above half, too many with async
   Open now: N

🔹 default: not counted, SQLite has no server
"""
    )
    assert result.stdout.startswith("📊 Discovered Databases:\n\n🔹 blog\n")
    assert result.stderr == ""
    assert SECRET not in result.stdout


def test_more_than_a_limit_allows(two: Project, postgres: Server) -> None:
    shop = two.env["SHOP_DATABASE_URL"].rpartition("/")[2]

    result = two.manage("db_list", "--connections", "--workers=9", check=False)

    assert result.returncode == 1
    assert result.stderr == (
        "CommandError: The configuration may open 9 connections for the database"
        f" {shop!r} to 127.0.0.1:{postgres.port}, localhost:{postgres.port}, which allows 8."
        f" The configuration may open 36 connections for the role"
        f" {re.findall('role .(.*?).  ', result.stdout)[0]!r} to 127.0.0.1:{postgres.port},"
        f" localhost:{postgres.port}, which allows 30.\n"
    )


def test_json(two: Project, postgres: Server) -> None:
    found = budget(two, "--workers=2")

    [server] = found["servers"]
    assert found == {
        "workers": 2,
        "threads": 1,
        "servers": [server],
        "not_counted": {"default": "SQLite has no server"},
    }
    limits = {limit["kind"]: limit for limit in server["limits"]}
    assert {**server, "open_now": None} == {
        "addresses": [f"127.0.0.1:{postgres.port}", f"localhost:{postgres.port}"],
        "databases": [
            {
                "alias": "blog",
                "per_process": 3,
                "async_per_process": 3,
                "connections": 6,
                "async_connections": 6,
            },
            {
                "alias": "shop",
                "per_process": 1,
                "async_per_process": 4,
                "connections": 2,
                "async_connections": 8,
            },
        ],
        "limits": [limits["server"], limits["database"], limits["role"]],
        "is_pooler": False,
        "open_now": None,
        "errors": {},
    }
    assert limits["server"]["maximum"] == allowed(postgres)
    assert limits["database"] == {
        "kind": "database",
        "name": two.env["SHOP_DATABASE_URL"].rpartition("/")[2],
        "maximum": 8,
        "connections": 2,
        "with_async": 10,
        "verdict": "fine",
        "verdict_with_async": "too many",
    }


def test_a_shared_alias_opens_nothing(two: Project) -> None:
    two.env["SESSIONS_DATABASE_URL"] = two.env["BLOG_DATABASE_URL"]

    [server] = budget(two)["servers"]

    # The first in INSTALLED_APPS is the canonical one.
    assert [item["alias"] for item in server["databases"]] == ["sessions", "shop"]


def test_one_app(two: Project, postgres_2: Server) -> None:
    two.app("news")
    two.env["NEWS_DATABASE_URL"] = postgres_2.url("postgres")

    found = budget(two, "--app=shop")

    [server] = found["servers"]
    assert [item["alias"] for item in server["databases"]] == ["blog", "shop"]
    assert found["not_counted"] == {}


def test_a_superuser_has_the_limit_of_the_server_alone(two: Project, postgres: Server) -> None:
    two.env["BLOG_DATABASE_URL"] = ""
    shop = two.env["SHOP_DATABASE_URL"].rpartition("/")[2]
    two.env["SHOP_DATABASE_URL"] = postgres.url(shop)

    [server] = budget(two)["servers"]

    assert [limit["kind"] for limit in server["limits"]] == ["server"]


def test_a_server_that_does_not_say_who_it_is(two: Project, postgres: Server) -> None:
    for url in two.env.values():
        name = url.rpartition("/")[2].partition("?")[0]
        postgres.execute("REVOKE EXECUTE ON FUNCTION pg_control_system FROM PUBLIC", database=name)

    found = budget(two)

    assert [server["addresses"] for server in found["servers"]] == [
        [f"127.0.0.1:{postgres.port}"],
        [f"localhost:{postgres.port}"],
    ]
    assert all(server["limits"] for server in found["servers"])


def test_aliases_that_were_added_by_hand(two: Project) -> None:
    two.settings_extra = """
        DATABASES["copy"] = {**DATABASES["shop"], "HOST": "127.0.0.1"}
        del DATABASES["copy"]["APPDB_ROUTER"]
        DATABASES["legacy"] = {"ENGINE": "django.db.backends.dummy"}
    """

    found = budget(two)

    [server] = found["servers"]
    per_process = {
        item["alias"]: (item["per_process"], item["async_per_process"])
        for item in server["databases"]
    }
    # No app is routed there, so no session is.
    assert per_process == {"blog": (3, 3), "copy": (1, 0), "shop": (1, 4)}
    assert found["not_counted"]["legacy"] == (
        "nothing is known of the connections of 'django.db.backends.dummy'"
    )


def test_mariadb(project: Project, mariadb: Server, database_name: Named, role: Roles) -> None:
    user = role(mariadb, password=SECRET)
    mariadb.execute(f"ALTER USER {user.name}@'%' WITH MAX_USER_CONNECTIONS 5")
    for label, host in (("blog", "127.0.0.1"), ("shop", "127.1")):
        name = database_name(label)
        mariadb.execute(f"CREATE DATABASE {name}")
        mariadb.execute(f"GRANT ALL ON {name}.* TO {user.name}@'%'")
        project.app(label)
        project.env[f"{label.upper()}_DATABASE_URL"] = mariadb.url(
            name, user=user.name, password=SECRET, host=host
        )
    [[maximum]] = mariadb.fetch("SELECT @@global.max_connections")

    [server] = budget(project, "--workers=2")["servers"]

    assert server["addresses"] == [f"127.0.0.1:{mariadb.port}", f"127.1:{mariadb.port}"]
    assert [item["async_per_process"] for item in server["databases"]] == [0, 0]
    limits = [
        (limit["kind"], limit["name"], limit["maximum"], limit["connections"], limit["verdict"])
        for limit in server["limits"]
    ]
    assert limits == [
        ("server", "", maximum, 4, "fine"),
        ("role", user.name, 5, 4, "above half"),
    ]
    assert server["open_now"] >= 0


def test_a_server_that_cannot_be_reached(two: Project) -> None:
    two.env["SHOP_DATABASE_URL"] = f"postgresql://u:{SECRET}@127.0.0.1:{free_port()}/dead"

    result = two.manage("db_list", "--connections", "--check", check=False)

    assert result.returncode == 1
    assert "   Status: unreachable: connection" in result.stdout
    assert "   shop could not be asked: connection" in result.stdout
    assert result.stdout.count("Limit  ") == 1
    assert result.stdout.count("Open now: ") == 1
    assert result.stderr.startswith("CommandError: 3 databases not ready: blog, shop, default.")
    assert result.stderr.endswith(" The limits of shop could not be asked.\n")
    assert SECRET not in result.stdout + result.stderr


def test_a_server_that_never_answers(project: Project) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(16)
        port = silent.getsockname()[1]
        # The driver's own limit is taken away: ours has to end the wait.
        project.app("blog", files={"database.py": 'OPTIONS = {"connect_timeout": 100}\n'})
        project.env["BLOG_DATABASE_URL"] = f"mysql://u:{SECRET}@127.0.0.1:{port}/dead"
        project.env["SESSIONS_DATABASE_URL"] = f"postgresql://u@127.0.0.1:{port}/dead"
        project.settings_extra = 'del DATABASES["sessions"]["OPTIONS"]["connect_timeout"]'

        servers = budget(project, "--timeout=1")["servers"]

    errors = {alias: text for server in servers for alias, text in server["errors"].items()}
    assert errors.keys() == {"blog", "sessions"}
    assert errors["sessions"] == "no answer within 2 seconds"


def test_without_the_driver(project: Project) -> None:
    project.app(
        "blog", files={"database.py": 'DATABASE = {"ENGINE": "acme.backend", "NAME": "x"}\n'}
    )

    [server] = budget(project)["servers"]

    assert server["addresses"] == ["no address given"]
    assert "'acme.backend' isn't an available database backend" in server["errors"]["blog"]


def test_without_a_pool_for_sessions(two: Project) -> None:
    two.settings_extra = "import sys\nsys.modules['psycopg_pool'] = None\n"

    [server] = budget(two)["servers"]

    assert [item["async_per_process"] for item in server["databases"]] == [0, 0]


def test_a_service(two: Project) -> None:
    user, password, host, port, name = re.findall(
        r"//(.*?):(.*?)@(.*?):(\d+)/(.*)", two.env["SHOP_DATABASE_URL"]
    )[0]
    file = two.write(
        "pg_service.conf",
        f"[shop]\nhost={host}\nport={port}\ndbname={name}\nuser={user}\npassword={password}\n",
    )
    two.env |= {"PGSERVICEFILE": str(file), "SHOP_DATABASE_URL": "postgresql://?service=shop"}

    [server] = budget(two)["servers"]

    assert server["addresses"][1] == "service=shop"
    # The role and the database are those that the server names.
    assert [limit["connections"] for limit in server["limits"]] == [4, 1, 4]


def test_options_beat_settings(project: Project) -> None:
    project.env["WEB_CONCURRENCY"] = "x"
    project.settings_extra = 'APPDB_ROUTER = {"WORKERS": 4, "THREADS": 5}'

    found = budget(project, "--threads=7")

    assert (found["workers"], found["threads"]) == (4, 7)


def test_options_that_make_no_sense(project: Project) -> None:
    for value in ("0", "²"):
        result = project.manage("db_list", "--connections", f"--workers={value}", check=False)

        assert result.returncode == 2
        assert f"argument --workers: {value!r} is not a whole number from 1 up" in result.stderr


@contextmanager
def pooler(server: Server, clients: int = 1000) -> Iterator[int]:
    """Pass on to a server, and give out keys of its own for cancelling, as PgBouncer does.

    It is gone after so many clients.
    """
    with closing(socket.create_server(("127.0.0.1", 0))) as listener, ExitStack() as stack:

        def accept() -> None:
            for _ in range(clients):
                try:
                    client, _ = listener.accept()
                except OSError:
                    return
                behind = socket.create_connection((server.host, server.port))
                stack.callback(client.close)
                stack.callback(behind.close)
                for target in (send, receive):
                    threading.Thread(target=target, args=(client, behind), daemon=True).start()
            listener.close()

        def send(client: socket.socket, behind: socket.socket) -> None:
            while data := client.recv(65536):
                behind.sendall(data)
            behind.close()

        def receive(client: socket.socket, behind: socket.socket) -> None:
            with behind.makefile("rb") as messages:
                while header := messages.read(5):
                    body = messages.read(struct.unpack("!i", header[1:])[0] - 4)
                    if header[:1] == b"K":
                        body = struct.pack("!i", 2**31 - 1) + body[4:]
                    client.sendall(header + body)

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        thread.join()


def move_shop(project: Project, port: int) -> None:
    # What is not encrypted can be passed on and changed.
    url, plain = project.env["SHOP_DATABASE_URL"], "sslmode=disable&gssencmode=disable"
    project.env["SHOP_DATABASE_URL"] = re.sub(
        r"localhost:\d+(.*)", rf"127.0.0.1:{port}\1?{plain}", url
    )


def test_a_server_that_goes_down_meanwhile(two: Project, postgres: Server) -> None:
    with pooler(postgres, clients=1) as port:
        move_shop(two, port)

        up, down = budget(two)["servers"]

    assert (up["is_pooler"], down["is_pooler"]) == (False, True)
    assert up["open_now"] >= 0
    assert (down["open_now"], down["errors"]) == (None, {})


def test_a_pooler(two: Project, postgres: Server) -> None:
    with pooler(postgres) as port:
        move_shop(two, port)

        result = two.manage("db_list", "--connections", "--workers=9")

    assert "A pooler answers here. Its own limits count; these are of the server behind it." in (
        result.stdout
    )
    # Of the server, the database and the role. It is more than they allow, but that is up to the
    # pooler.
    assert result.stdout.count("  behind a pooler\n") == 3
    assert f"\n🔹 127.0.0.1:{port}\n" in result.stdout


@pytest.mark.parametrize(
    "sizes",
    [
        {},
        {"min_size": 0, "max_size": 7},
        {"min_size": 2},
        {"min_size": 6, "max_size": None},
        {"max_size": 9},
    ],
)
def test_the_size_of_a_pool_is_as_psycopg_has_it(sizes: dict[str, Any]) -> None:
    assert max_size(sizes) == ConnectionPool(open=False, **sizes).max_size


HOLD_ALL = """
import asyncio, json, threading, time

import psycopg
from django.db import connections, transaction
from appdb_router.services.budget import connection_budget
from appdb_router.sessions import get_app_session

TOO_MANY = 6
admin = psycopg.connect({admin!r}, autocommit=True)
release = threading.Event()
seen = []


def count():
    query = "SELECT count(*) FROM pg_stat_activity WHERE usename = %s"
    seen.append(admin.execute(query, [{role!r}]).fetchone()[0])
    return seen[-1]


def settle(number):
    "Wait until so many are open, and look on whether it gets more."
    deadline = time.monotonic() + 20
    while count() < number and time.monotonic() < deadline:
        time.sleep(0.02)
    for _ in range(10):
        time.sleep(0.02)
        count()
    return max(seen)


def hold(alias):
    with transaction.atomic(using=alias), connections[alias].cursor() as cursor:
        cursor.execute("SELECT 1")
        release.wait(60)
    connections[alias].close()


async def hold_async(label, gate):
    async with get_app_session(label) as connection:
        await connection.execute("SELECT 1")
        await gate.wait()


async def hold_all_async():
    gate = asyncio.Event()
    tasks = [asyncio.create_task(hold_async(label, gate))
             for label in ("blog", "shop") for _ in range(TOO_MANY)]
    found = await asyncio.to_thread(settle, both)
    gate.set()
    await asyncio.gather(*tasks)
    return found


# What asking opens is closed when it returns, but the server may take a moment.
[server] = connection_budget(workers=1, threads=2).servers
while count():
    time.sleep(0.02)
seen.clear()
[limit] = [limit for limit in server.limits if limit.kind == "role"]
own, both = limit.connections, limit.with_async

threads = [threading.Thread(target=hold, args=("blog",)) for _ in range(TOO_MANY)]
threads += [threading.Thread(target=hold, args=("shop",)) for _ in range(2)]
for thread in threads:
    thread.start()
opened = settle(own)
waiting = connections["blog"].pool.get_stats()["requests_waiting"]
opened_with_async = asyncio.run(hold_all_async())
release.set()
for thread in threads:
    thread.join()
print(json.dumps([own, opened, waiting, both, opened_with_async]))
"""


def test_the_numbers_are_true(two: Project, postgres: Server) -> None:
    role = two.env["BLOG_DATABASE_URL"].partition("://")[2].partition(":")[0]

    result = two.python(HOLD_ALL.format(admin=postgres.url("postgres"), role=role))

    own, opened, waiting, both, opened_with_async = json.loads(result.stdout)
    assert (own, both) == (5, 12)
    assert (opened, opened_with_async) == (own, both)
    # Six threads wanted one of the three.
    assert waiting == 3


@pytest.mark.slow
def test_how_many_are_open_now(tmp_path: Path, project: Project) -> None:
    # A server of its own: nobody else opens connections there.
    with ExitStack() as stack:
        server = stack.enter_context(embedded_postgres(stack.enter_context(temporary_folder())))
        server.create_role("guest", SECRET)
        for user in ("postgres", "guest", "guest"):
            url = server.url("postgres", user=user, password=SECRET)
            stack.enter_context(closing(psycopg.connect(url)))
        project.app("blog")
        # Another role's sessions are not shown to a guest in full.
        project.env["BLOG_DATABASE_URL"] = server.url("postgres", user="guest", password=SECRET)

        [found] = budget(project)["servers"]

    assert (found["open_now"], found["limits"][0]["maximum"]) == (3, 195)
