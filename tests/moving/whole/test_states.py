"""What the state of a move allows, and what stands in its way."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress

import psycopg
import pytest

from tests.conftest import Role
from tests.moving.whole.conftest import Live
from tests.support.embedded import Cluster
from tests.support.facts import ask
from tests.support.project import Project, command
from tests.support.servers import Server

MOVE = ("db_move", "driver")


def refused(live: Live, *arguments: str, code: int) -> str:
    """Return the error of a command that ends with ``code``."""
    result = live.project.manage(*arguments, check=False)
    assert result.returncode == code, (result.returncode, result.stdout, result.stderr)
    return result.stderr


def state(live: Live) -> dict[str, object]:
    """Return what ``--status`` says."""
    found: dict[str, object] = json.loads(
        live.project.manage(*MOVE, "--status", "--format", "json").stdout
    )
    return found


@contextmanager
def open_transaction(
    live: Live,
    alias: str = "default",
    lock: str = "UPDATE driver_trip SET amount = amount WHERE token = 'seed-1'",
) -> Iterator[None]:
    """Keep a transaction open that has written to a table of the app, or holds another lock."""
    server = live.server
    with psycopg.connect(
        host=server.host, port=server.port, user=server.user, dbname=live.names[alias]
    ) as connection:
        connection.execute(lock)
        yield
        connection.rollback()


def stop_while_copying(live: Live, *options: str) -> None:
    """Begin a move, and tell it to stop when the first rows are copied."""
    slowly = ("--chunk-rows", "20", "--rate-limit", "20kB", "--format", "json")
    process = live.project.popen(*MOVE, *slowly, *options)
    assert process.stdout is not None
    for line in process.stdout:
        if json.loads(line)["event"] == "copied":
            break
    process.send_signal(signal.SIGTERM)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 143, stderr


def test_what_is_not_begun(live: Live) -> None:
    assert "No move of 'driver' was begun" in refused(live, *MOVE, "--resume", code=12)
    assert "is not begun" in refused(live, *MOVE, "--rollback", code=12)
    assert "is not begun" in refused(live, *MOVE, "--finalize", "--noinput", code=12)
    assert "No installed app has the label 'drivr'" in refused(live, "db_move", "drivr", code=2)
    assert "no database 'nowhere'" in refused(live, *MOVE, "--from", "nowhere", code=2)
    assert "by its settings" in refused(live, *MOVE, "--to", "default", code=2)
    limited = (*MOVE, "--rate-limit", "fast")
    assert "'fast' is not a number of bytes, such as 15000000" in refused(live, *limited, code=2)
    live.project.env.pop("DRIVER_DATABASE_MOVE_FROM")
    assert "set DRIVER_DATABASE_MOVE_FROM" in refused(live, *MOVE, code=2)
    assert "in 'driver' already" in refused(live, *MOVE, "--from", "driver", code=2)


def test_all_that_stands_in_the_way_is_said_at_once(live: Live) -> None:
    live.execute("driver", "INSERT INTO driver_tag (name) VALUES ('mine')")
    live.execute("driver", "ALTER TABLE driver_trip ALTER amount TYPE numeric(12, 3)")
    live.execute("default", "ALTER TABLE driver_vehicle FORCE ROW LEVEL SECURITY")
    result = live.project.manage(*MOVE, "--plan", "--format", "json", check=False)
    assert result.returncode == 11
    plan = json.loads(result.stdout)
    assert plan["mode"] == "online"
    assert [table["name"] for table in plan["tables"]] == [
        "driver_vehicle",
        "driver_tag",
        "driver_trip",
        "driver_trip_tags",
    ]
    for text in ("numeric(12,3)", "--empty-target", "FORCE ROW LEVEL SECURITY"):
        assert any(text in failure for failure in plan["failures"]), (text, plan["failures"])
    assert any("notes_note" in note for note in plan["notes"])
    error = refused(live, *MOVE, code=11)
    assert error.count("\n  - ") == len(plan["failures"])
    assert state(live)["phase"] == "not begun"
    live.execute("driver", "DROP TABLE driver_trip_tags")
    gap = "In 'driver', 'driver' is recorded as migrated (0001_initial), but lacks"
    assert gap in refused(live, *MOVE, code=11)
    live.execute("driver", "DELETE FROM django_migrations WHERE app = 'driver'")
    assert "lacks the migrations driver.0001_initial" in refused(live, *MOVE, code=11)


def test_what_a_role_or_a_lock_keeps_from_moving(live: Live, role: Callable[..., Role]) -> None:
    stranger = role(live.server)
    live.execute("driver", f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {stranger.name}")
    owner = live.project.env["DRIVER_DATABASE_URL"]
    live.project.env["DRIVER_DATABASE_URL"] = live.server.url(
        live.names["driver"], user=stranger.name, password=stranger.password
    )
    plan = live.project.manage(*MOVE, "--plan", check=False).stdout
    assert "In 'driver' this role does not own driver_tag, driver_trip, driver_trip_tags" in plan
    assert "this role does not own driver_tag" in refused(live, *MOVE, code=11)
    live.project.env["DRIVER_DATABASE_URL"] = owner
    name = live.names["default"]
    live.server.execute(f"ALTER DATABASE {live.server.quote(name)} SET lock_timeout = '200ms'")
    with open_transaction(live, lock="LOCK TABLE driver_trip"):
        error = refused(live, *MOVE, "--plan", code=11)
    assert "driver_trip in 'default' cannot be read: canceling statement due to lock" in error


def test_a_server_with_few_connections_left(
    project: Project, fragile: tuple[Server, Cluster], database_name: Callable[[str], str]
) -> None:
    server, _ = fragile
    name = database_name("driver")
    server.execute(f"CREATE DATABASE {server.quote(name)}")
    project.app("driver", models="class Trip(models.Model):\n    pass\n")
    project.env["DRIVER_DATABASE_URL"] = server.url(name)
    project.env["DRIVER_DATABASE_MOVE_FROM"] = "default"
    project.manage("makemigrations", "driver")
    project.manage("db_init", "--all-apps")
    [(most,)] = server.fetch(
        "SELECT current_setting('max_connections')::int"
        " - current_setting('superuser_reserved_connections')::int"
    )
    try:
        with ExitStack() as stack:
            for _ in range(most - 2):
                stack.enter_context(
                    psycopg.connect(
                        host=server.host, port=server.port, user=server.user, dbname="postgres"
                    )
                )
            plan = project.manage(*MOVE, "--plan", check=False).stdout
    finally:
        server.drop(name)
    assert "The server of 'driver' has 1 connections left, and a move needs 5." in plan


def test_a_table_without_a_key_is_copied_at_the_change(live: Live) -> None:
    for alias in live.names:
        live.execute(alias, "ALTER TABLE driver_trip_tags DROP CONSTRAINT driver_trip_tags_pkey")
    live.project.env["PSYCOPG_IMPL"] = "python"
    live.project.warm = False
    plan = live.project.manage(*MOVE, "--plan").stdout
    assert "driver_trip_tags has no primary key: it is copied as a whole when the app" in plan
    assert "psycopg runs without its C implementation" in plan
    live.project.manage(*MOVE)
    assert state(live)["home"] == "driver"
    rows = "SELECT trip_id, tag_id FROM driver_trip_tags ORDER BY 1, 2"
    assert live.fetch("driver", rows) == live.fetch("default", rows) != []


def test_rows_that_nobody_moved_there_are_deleted_on_request(live: Live) -> None:
    live.execute("driver", "INSERT INTO driver_tag (name) VALUES ('mine')")
    asked = live.project.manage(*MOVE, "--empty-target", check=False, input="drivers\n")
    assert (asked.returncode, "Nothing was changed." in asked.stderr) == (1, True)
    moved = live.project.manage(*MOVE, "--empty-target", input="driver\n")
    assert "The rows of driver in 'driver' are deleted." in moved.stdout
    assert live.fetch("driver", "SELECT count(*) FROM driver_tag WHERE name = 'mine'") == [(0,)]


def test_a_transaction_that_stays_open_delays_the_change_only(live: Live) -> None:
    with open_transaction(live):
        error = refused(live, *MOVE, "--cut-over-timeout", "1", code=13)
    assert "Noting writes needs a lock" in error
    live.project.manage(*MOVE, "--resume", "--cut-over-timeout", "1")
    assert state(live)["home"] == "driver"
    assert "not for --restart" in refused(live, *MOVE, "--restart", "--noinput", code=12)
    with open_transaction(live, "driver"):
        error = refused(live, *MOVE, "--rollback", code=13)
    assert "Changing over needs a lock on the tables in 'driver'" in error
    live.project.manage(*MOVE, "--resume")
    assert (state(live)["home"], state(live)["phase"]) == ("default", "returned")
    assert "nothing to go on with" in refused(live, *MOVE, "--resume", code=12)


def test_a_difference_stops_before_the_change(live: Live) -> None:
    stop_while_copying(live, "--cut-over-timeout", "1", "--verify", "stream")
    assert state(live)["phase"] == "copying"
    plain = live.project.manage(*MOVE, "--status").stdout
    assert "driver: from default to driver, copying\n  The app lives in default" in plain
    assert "Go on with --resume" in refused(live, *MOVE, code=12)
    changed = refused(live, *MOVE, "--resume", "--chunk-rows", "7", code=12)
    assert "chunk_rows is 7, and was 20" in changed
    with open_transaction(live):
        error = refused(live, *MOVE, "--resume", code=13)
    assert "Changing over needs a lock on the tables in 'default'" in error
    assert (state(live)["home"], state(live)["phase"]) == ("default", "cutting_over")
    live.execute("driver", "ALTER TABLE driver_trip DISABLE TRIGGER USER")
    live.execute("driver", "UPDATE driver_trip SET amount = 5 WHERE token = 'seed-7'")
    [(key,)] = live.fetch("driver", "SELECT id FROM driver_trip WHERE token = 'seed-7'")
    error = refused(live, *MOVE, "--resume", code=10)
    assert f"Rows differ: driver_trip at {key}." in error
    assert state(live)["home"] == "default"
    live.project.manage(*MOVE, "--restart", "--noinput", "--verify", "stream")
    assert state(live)["home"] == "driver"


def test_old_tables_are_dropped_only_if_nobody_could_write_to_them(live: Live) -> None:
    live.project.manage(*MOVE)
    triggers = "SELECT tgname FROM pg_trigger WHERE tgrelid = 'driver_trip'::regclass"
    names = live.fetch("default", f"{triggers} AND NOT tgisinternal")
    live.execute("default", "ALTER TABLE driver_trip DISABLE TRIGGER USER")
    error = refused(live, *MOVE, "--finalize", "--noinput", code=12)
    assert "accept writes" in error
    for (name,) in names:
        live.execute("default", f"ALTER TABLE driver_trip ENABLE ALWAYS TRIGGER {name}")
    json_needs = refused(live, *MOVE, "--finalize", "--format", "json", code=2)
    assert "--finalize with --format json needs --noinput" in json_needs
    asked = live.project.manage(*MOVE, "--finalize", check=False)
    assert (asked.returncode, "Nothing was changed." in asked.stderr) == (1, True)
    live.project.manage(*MOVE, "--finalize", "--noinput")
    assert "driver_trip" not in live.server.tables(live.names["default"])
    own = [name for name in live.server.tables(live.names["default"]) if "appdb" in name]
    assert sorted(own) == ["appdb_router_move", "appdb_router_pending_deletion"]
    own = [name for name in live.server.tables(live.names["driver"]) if "appdb" in name]
    assert own == ["appdb_router_pending_deletion"]
    functions = "SELECT proname FROM pg_proc WHERE proname LIKE 'appdb_router%'"
    assert live.fetch("default", functions) == live.fetch("driver", functions) == []
    assert "is finalized" in refused(live, *MOVE, "--rollback", code=12)


def test_rows_that_were_left_behind_are_fetched(live: Live) -> None:
    live.project.env.pop("DRIVER_DATABASE_MOVE_FROM")
    plan = live.project.manage(*MOVE, "--from", "default", "--plan").stdout
    assert "while the app's writes are refused" in plan
    live.project.manage(*MOVE, "--from", "default")
    count = "SELECT count(*) FROM driver_trip"
    assert live.fetch("driver", count) == live.fetch("default", count) == [(500,)]
    written = live.project.python(
        "from driver.models import Trip\nprint(Trip.objects.create(token='new').pk)"
    )
    assert int(written.stdout) > 500
    error = refused(live, *MOVE, "--from", "default", "--rollback", code=12)
    assert "nothing was noted for a way back" in error
    live.project.manage(*MOVE, "--from", "default", "--finalize", "--noinput")
    live.project.manage("db_init", "--all-apps")


def test_another_process_moves_the_app(live: Live) -> None:
    facts = ask(
        live.project,
        """
        from django.core.management import CommandError, call_command
        from appdb_router.services import locking
        from appdb_router.services.connecting import separate_connection

        # Nobody was killed here, so there is little to wait for.
        locking._MOVE_PATIENCE = 0.5

        with separate_connection("default") as other, locking.move_lock(other, "driver"):
            try:
                call_command("db_move", "driver")
            except CommandError as error:
                fact("error")(lambda: [error.returncode, str(error)])
        """,
    )
    assert facts["error"] == [
        1,
        "Another process moves 'driver' out of 'default'. Wait for it, or end it and go on with"
        " --resume.",
    ]


def test_bars_are_for_terminals(live: Live) -> None:
    assert live.project.manage(*MOVE, "--status").stdout.startswith(
        "driver: from default to driver, not begun\n"
    )
    controller, terminal = os.openpty()
    live.project.write_settings()
    process = subprocess.Popen(
        command(["manage.py", *MOVE, "--chunk-rows", "100"]),
        cwd=live.project.root,
        env={**live.project.environment(), "TERM": "xterm", "COLUMNS": "120"},
        stdout=subprocess.PIPE,
        stderr=terminal,
        encoding="utf-8",
    )
    os.close(terminal)
    shown = b""
    # What nobody reads from a terminal stops the process; with the process, it ends.
    with suppress(OSError):
        while part := os.read(controller, 4096):
            shown += part
    os.close(controller)
    written, _ = process.communicate(timeout=60)

    assert process.returncode == 0, shown
    assert "Copying\n" in written
    assert "500 rows, " not in written
    assert "driver_trip" in shown.decode()
    assert "500 of about 500 rows" in shown.decode()


@pytest.mark.parametrize("mode", ["online", "offline"])
def test_events_are_for_programs(live: Live, mode: str) -> None:
    options = ["--offline"] if mode == "offline" else []
    written = live.project.manage(*MOVE, *options, "--format", "json").stdout
    events = [json.loads(line) for line in written.splitlines()]
    phases = [event["phase"] for event in events if event["event"] == "phase"]
    following = ["catching_up"] if mode == "online" else []
    assert phases == [
        "preparing",
        "copying",
        "indexing",
        *following,
        "verifying",
        "cutting_over",
        "moved",
    ]
    copied = {e["table"]: e["rows"] for e in events if e["event"] == "copied"}
    assert copied["driver_trip"] == 500
    assert events[-1]["event"] == "status"
    assert (events[-1]["home"], events[-1]["gate"]) == ("driver", "open")


def test_the_way_back_is_known_from_its_first_moment(live: Live) -> None:
    """Whatever stops it then, it is the way back that is gone on with."""
    live.project.manage(*MOVE)
    live.execute(
        "default",
        """
        CREATE FUNCTION stop() RETURNS trigger LANGUAGE plpgsql AS
            'BEGIN RAISE EXCEPTION ''stopped''; END';
        CREATE TRIGGER stop BEFORE UPDATE ON appdb_router_move FOR EACH ROW
            WHEN (OLD.phase = 'returning') EXECUTE FUNCTION stop()
        """,
    )
    refused(live, *MOVE, "--rollback", code=1)
    assert state(live)["phase"] == "returning"
    live.execute("default", "DROP TRIGGER stop ON appdb_router_move")

    live.project.manage(*MOVE, "--resume")

    found = state(live)
    assert (found["phase"], found["home"]) == ("returned", "default")
