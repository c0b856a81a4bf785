"""The way there with a replication slot in the place of triggers, with processes that write."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest

from tests.moving.whole.test_kills import KILLS, LOCKS, RUNS
from tests.support.embedded import Cluster
from tests.support.live_moves import moving_project, writing
from tests.support.project import Project
from tests.support.servers import Server


@pytest.fixture
def logged(
    project: Project, logical: Server, postgres: Server, database_name: Callable[[str], str]
) -> Project:
    servers = {"default": logical, "driver": postgres}
    return moving_project(
        project, {label: server.url(database_name(label)) for label, server in servers.items()}
    )


def status(project: Project) -> dict[str, Any]:
    found = project.manage("db_move", "driver", "--status", "--format", "json").stdout
    return dict(json.loads(found))


LEFT = """
    SELECT 'slot', slot_name::text FROM pg_replication_slots WHERE database = current_database()
    UNION ALL SELECT 'trigger', tgname::text FROM pg_trigger WHERE tgname LIKE 'appdb_router_cap%'
    UNION ALL SELECT 'publication', pubname::text FROM pg_publication
"""


def left(project: Project, server: Server) -> list[tuple[str, str]]:
    """Return what is left of listening at the source."""
    name = project.env["DATABASE_URL"].rpartition("/")[2]
    return [(str(kind), str(found)) for kind, found in server.fetch(LEFT, database=name)]


@pytest.mark.slow
def test_there_and_back_with_a_slot(logged: Project, logical: Server) -> None:
    """Nothing acknowledged is lost or doubled, and no slot stays behind."""
    plan = logged.manage("db_move", "driver", "--plan", "--replication").stdout
    assert "Note: A replication slot makes the server of 'default' keep its write-ahead log" in plan
    assert "Nothing stands in the way." in plan
    with writing(logged) as writers:
        logged.manage("db_move", "driver", "--replication")
        before = writers.written()
        assert status(logged)["home"] == "driver"
        assert left(logged, logical) == []
        logged.manage("db_move", "driver", "--rollback")
        assert status(logged)["home"] == "default"
        logged.manage("db_move", "driver", "--restart", "--noinput", "--replication")
        assert writers.written() > before
    assert status(logged)["slot"] is None
    logged.manage("db_move", "driver", "--finalize", "--noinput")
    assert left(logged, logical) == []


def failing(project: Project, *options: str) -> tuple[int, str]:
    """Return the exit code of `db_move driver`, and what it says."""
    result = project.manage("db_move", "driver", *options, check=False)
    return result.returncode, result.stderr.strip()


@contextmanager
def opened(server: Server, database: str, statement: str) -> Iterator[None]:
    """Have a transaction open in this block."""
    with psycopg.connect(
        host=server.host, port=server.port, user=server.user, dbname=database
    ) as connection:
        connection.execute(statement)
        yield
        connection.rollback()


def test_what_stays_of_a_move_that_stops(logged: Project, logical: Server) -> None:
    """A slot that is lost is noticed, and each way out takes it away."""
    database = logged.env["DATABASE_URL"].rpartition("/")[2]
    short = ("--replication", "--cut-over-timeout", "3")

    # A slot waits for the transactions of all databases.
    with opened(logical, "postgres", "SELECT pg_current_xact_id()"):
        assert failing(logged, *short) == (
            13,
            "CommandError: Making the replication slot needs a moment after all transactions that"
            " write in any database of the server of 'default', which has not come for 3 seconds:"
            " a transaction that stays open, or a long query. Nothing was changed. End it, and go"
            " on with --resume; --cut-over-timeout waits longer.",
        )
    assert status(logged)["slot"] is None
    with opened(logical, database, "LOCK TABLE driver_trip IN ROW EXCLUSIVE MODE"):
        assert failing(logged, "--resume")[0] == 13
    [(_, slot), (_, publication)] = left(logged, logical)
    assert slot == publication
    kept = status(logged)["slot"]
    assert kept == {"name": slot, "bytes": kept["bytes"]}
    assert kept["bytes"] > 0
    text = logged.manage("db_move", "driver", "--status").stdout
    assert f"The replication slot {slot} keeps " in text

    lose(logical)
    text = logged.manage("db_move", "driver", "--status").stdout
    assert f"The server has given the replication slot {slot} up: --restart" in text
    code, said = failing(logged, "--resume")
    assert (code, "was given up by the server" in said) == (12, True)
    logged.manage("db_move", "driver", "--restart", "--noinput", "--replication")
    assert left(logged, logical) == []
    logged.manage("db_move", "driver", "--rollback")

    with opened(logical, database, "LOCK TABLE driver_trip IN ROW EXCLUSIVE MODE"):
        assert failing(logged, "--restart", "--noinput", *short)[0] == 13
    logical.execute(f"SELECT pg_drop_replication_slot('{slot}')", database=database)
    code, said = failing(logged, "--resume")
    assert (code, "its publication is gone" in said) == (12, True)
    # Without the option, and so with triggers.
    logged.manage("db_move", "driver", "--restart", "--noinput")
    assert left(logged, logical) == []
    plan = logged.manage("db_move", "driver", "--plan", "--replication", "--offline", check=False)
    assert plan.returncode == 11
    assert "In the way: --replication follows an app that writes while it moves" in plan.stdout


def lose(server: Server) -> None:
    """Let the server give up all slots."""
    server.execute("ALTER SYSTEM SET max_slot_wal_keep_size = '1MB'")
    server.execute("SELECT pg_reload_conf()")
    for _ in range(6):
        server.execute("SELECT pg_logical_emit_message(true, '', 'x')")
        server.execute("SELECT pg_switch_wal()")
    server.execute("CHECKPOINT")
    server.execute("ALTER SYSTEM RESET max_slot_wal_keep_size")
    server.execute("SELECT pg_reload_conf()")


WRITE = """
    from driver.models import Trip

    Trip.objects.create(token="{token}", amount=7)
    assert Trip.objects.filter(token="seed-1").update(amount=8) == 1
    Trip.objects.filter(token="seed-2").delete()
"""


@pytest.mark.slow
def test_the_server_is_killed(
    logged: Project,
    logical: Server,
    logical_cluster: tuple[Server, Cluster],
    postgres: Server,
) -> None:
    """The slot is there afterwards, and tells what was written before and after."""
    database = logged.env["DRIVER_DATABASE_URL"].rpartition("/")[2]
    with opened(postgres, database, "LOCK TABLE driver_trip IN EXCLUSIVE MODE"):
        process = logged.popen("db_move", "driver", "--replication")
        deadline = time.monotonic() + 60
        while status(logged)["phase"] != "copying":
            assert time.monotonic() < deadline
        logged.python(WRITE.format(token="before"))
        logical_cluster[1].kill()
    _, said = process.communicate(timeout=30)
    assert process.returncode == 1
    assert "go on with --resume" in said.lower()
    logical_cluster[1].start()
    assert status(logged)["phase"] == "copying"
    logged.python(WRITE.format(token="after").replace("amount=8", "amount=9"))

    logged.manage("db_move", "driver", "--resume")

    assert left(logged, logical) == []
    found = logged.python(
        """
        from driver.models import Trip
        print(Trip.objects.db_manager("driver").count(), Trip.objects.get(token="seed-1").amount)
        print(sorted(Trip.objects.filter(amount=7).values_list("token", flat=True)))
        """
    )
    assert found.stdout == "501 9.00\n['after', 'before', 'seed-7']\n"


@pytest.mark.slow
@pytest.mark.timeout(120 + 20 * KILLS)
def test_killed_at_any_moment_with_a_slot(logged: Project, logical: Server) -> None:
    """The slot is there as long as it is needed, whatever moment it is, and no longer."""
    seed = int.from_bytes(os.urandom(4))
    code = RUNS.format(kills=KILLS, seed=seed, options=["--replication"])
    with writing(logged):
        result = logged.python(code, timeout=100 + 20 * KILLS, check=False)
        assert result.returncode == 0, (seed, result.stdout, result.stderr)
    assert left(logged, logical) == []
    name = logged.env["DATABASE_URL"].rpartition("/")[2]
    assert logical.fetch(LOCKS.format(name=name)) == [], seed
