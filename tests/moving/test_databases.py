"""The connections of a move."""

from __future__ import annotations

from collections.abc import Callable

from tests.support.facts import ask
from tests.support.project import Project
from tests.support.servers import Server


def test_a_commit_lasts_whatever_the_server_does(
    project: Project, postgres: Server, database_name: Callable[[str], str]
) -> None:
    """A crash of one server may not take back what the other one was told."""
    project.app("driver")
    for label, value in (("", "off"), ("DRIVER_", "on")):
        name = database_name(label.lower() or "default")
        postgres.execute(f"CREATE DATABASE {name}")
        postgres.execute(f"ALTER DATABASE {name} SET synchronous_commit = {value}")
        project.env[f"{label}DATABASE_URL"] = postgres.url(name)
    postgres.execute(f"ALTER DATABASE {name} SET default_transaction_isolation = serializable")
    project.settings_extra = """
        from psycopg import IsolationLevel

        DATABASES["default"]["OPTIONS"]["isolation_level"] = IsolationLevel.REPEATABLE_READ
    """

    facts = ask(
        project,
        """
from django.db import transaction
from appdb_router.services.moving.databases import opened_databases


def setting(connection, name="synchronous_commit"):
    with connection.cursor() as cursor:
        cursor.execute(f"SHOW {name}")
        return cursor.fetchone()[0]


with opened_databases("default", "driver") as databases:
    fact("source")(lambda: setting(databases.source))
    fact("target")(lambda: setting(databases.target))
    for name, connection in [("first", databases.source), ("second", databases.target)]:
        with transaction.atomic(using=connection.alias):
            fact(name)(lambda: setting(connection, "transaction_isolation"))
""",
    )

    assert facts == {
        "source": "local",
        "target": "on",
        # Whatever the settings of the project or of the database say.
        "first": "read committed",
        "second": "read committed",
    }


def test_a_silent_network_is_noticed_on_both_sides(
    project: Project, postgres: Server, database_name: Callable[[str], str]
) -> None:
    """A move does not wait for hours, and neither does the server keep its locks for so long."""
    project.app("driver")
    for label in ("", "DRIVER_"):
        name = database_name(label.lower() or "default")
        postgres.execute(f"CREATE DATABASE {name}")
        project.env[f"{label}DATABASE_URL"] = postgres.url(name)
    project.env["DRIVER_DATABASE_URL"] += "?tcp_user_timeout=7000"

    facts = ask(
        project,
        """
import os
import socket
from types import SimpleNamespace
from appdb_router.services.moving.listening import opened_slot
from appdb_router.services.moving.databases import opened_databases

NAMES = ("TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT", "TCP_USER_TIMEOUT")

def of_server(connection):
    with connection.cursor() as cursor:
        cursor.execute("SELECT string_agg(setting, ' ' ORDER BY name) FROM pg_settings"
                       " WHERE name ~ '^tcp_'")
        return cursor.fetchone()[0]

def of_client(connection):
    with socket.socket(fileno=os.dup(connection.connection.pgconn.socket)) as found:
        return [found.getsockopt(socket.IPPROTO_TCP, getattr(socket, name)) for name in NAMES]

@fact("all")
def _():
    with opened_databases("default", "driver") as found:
        run = SimpleNamespace(options=SimpleNamespace(replication=True), databases=found,
                              label="driver", tables=())
        with opened_slot(run):
            all_of_them = (found.source, found.target, run.slot.connection)
            return [[of_server(item), of_client(item)] for item in all_of_them]
""",
    )

    [source, target, slot] = facts["all"]
    assert source == slot == ["4 10 5 30000", [10, 5, 4, 30000]]
    assert target == ["4 10 5 30000", [10, 5, 4, 7000]]


def test_what_is_no_two_databases(project: Project) -> None:
    project.app("driver")
    program = """
        from appdb_router.services.moving.databases import opened_databases


        @fact("refused")
        def _():
            with opened_databases("default", "driver"):
                return "not at all"
    """
    (project.root / "a.sqlite3").touch()
    (project.root / "alias.sqlite3").symlink_to("a.sqlite3")
    project.env["DATABASE_URL"] = f"sqlite:///{project.root}/a.sqlite3"
    refusals = {
        f"sqlite:///{project.root}/alias.sqlite3": "'default' and 'driver' are one database, as the"
        " server says, though their URLs differ. There is nothing to move.",
        f"sqlite:///{project.root}/b.sqlite3": "'driver' is not there. 'manage.py db_init' makes"
        " it.",
        "sqlite://:memory:": "'driver' lives in the memory of each process. Name a file.",
    }
    for url, text in refusals.items():
        project.env["DRIVER_DATABASE_URL"] = url
        assert ask(project, program) == {"refused": f"MoveError: {text}"}
