"""What is followed and compared while rows are written, step by step."""

from __future__ import annotations

import json

from tests.moving.whole.conftest import Live
from tests.support.facts import ask

BEGIN = """
from contextlib import contextmanager
from threading import Event

from django.db import OperationalError, connections, transaction

from appdb_router.exceptions import MoveError
from appdb_router.models import RowChange
from appdb_router.services.moving import following, forward, returning
from appdb_router.services.moving.comparing import Difference
from appdb_router.services.moving.databases import opened_databases
from appdb_router.services.moving.journal import (
    SOURCE, begin_journal, make_tables, read_journal
)
from appdb_router.services.moving.listening import listen
from appdb_router.services.moving.passing import passing
from appdb_router.services.moving.running import MoveOptions, Run
from appdb_router.services.moving.tables import moved_tables

TOKEN = "0123456789abcdef0123456789abcdef"


class Quiet:
    def __init__(self):
        self.notes = []

    def phase(self, phase):
        pass

    def copied(self, copied):
        pass

    def note(self, text):
        self.notes.append(text)


@contextmanager
def begun(**options):
    with opened_databases("default", "driver") as databases:
        make_tables(databases.source, databases.target)
        fields = {"label": "driver", "labels": ["driver"], "source": "default",
                  "target": "driver", "token": TOKEN, "home": SOURCE, "flips": 0}
        chosen = MoveOptions(max_lag=1, cut_over_timeout=1, **options)
        journal = begin_journal(databases.source, fields, chosen.as_dict())
        tables = moved_tables(["driver"], databases.source)
        yield Run(databases, journal, tables, chosen, Quiet(), Event())


@contextmanager
def moved():
    with opened_databases("default", "driver") as databases:
        journal = read_journal(databases.source, "driver")
        tables = moved_tables(["driver"], databases.source)
        options = MoveOptions.from_dict(journal.row.options)
        yield Run(databases, journal, tables, options, Quiet(), Event())


def execute(connection, sql):
    with connection.cursor() as cursor:
        cursor.execute(sql)


def refused(action, *arguments):
    try:
        action(*arguments)
    except MoveError as error:
        return [error.exit_code, str(error)]
"""

FOLLOWING = (
    BEGIN
    + """
def busy():
    raise OperationalError("database is locked")


def write(run, count):
    execute(run.giver, f"UPDATE driver_trip SET amount = amount + 1 WHERE id <= {count}")


def harm(run, where):
    with passing(run.taker, TOKEN):
        execute(run.taker, f"UPDATE driver_trip SET amount = -1 WHERE {where}")


with begun() as run:
    listen(run)
    forward._copy(run)
    forward._complete(run)

    @fact("catching up")
    def _():
        write(run, 5)
        following.catch_up(run)
        return run.reporter.notes[-1], run.pending_count

    @fact("told to stop")
    def _():
        write(run, 1)
        run.stop.set()
        try:
            return refused(following.follow_all, run), refused(run.retry, busy, run.giver, "It")
        finally:
            run.stop.clear()

    @fact("little enough")
    def _():
        following._FEW = 1
        run.is_compared = True
        write(run, 3)
        following.follow_all(run)
        before = run.pending_count
        following.shorten(run)
        following._FEW = 0
        write(run, 3)
        following.follow_all(run)
        run.suspect("driver_trip", [])
        harm(run, "id = 2")
        following.shorten(run)
        return before, sorted(run.pending["driver_trip"])

    @fact("a difference when nobody writes")
    def _():
        return refused(following.settle, run)

    @fact("more differences than are told apart")
    def _():
        following._MOST_KEYS = 1
        harm(run, "id IN (2, 3, 4)")
        return refused(following.verify, run)

    @fact("mended")
    def _():
        execute(run.giver, "UPDATE driver_trip SET amount = amount WHERE id IN (2, 3, 4)")
        following.verify(run)
        execute(run.giver, "TRUNCATE driver_trip_tags")
        following.follow_all(run)
        pending = sorted(run.pending_tables)
        following.settle(run)
        return pending, sorted(run.pending_tables)

    @fact("bounds")
    def _():
        item = Difference("t", ("1", "a"), ("9", "b"), (("2", "a"),), 1, 1, is_cut=True)
        return following.describe_difference(item)

    @fact("a table of nobody")
    def _():
        RowChange.objects.using("default").create(label="driver", table="gone", key='["1"]')
        return refused(following.settle, run)
"""
)


def test_step_by_step(live: Live) -> None:
    facts = ask(live.project, FOLLOWING)
    stopped = [130, "Stopped. Go on with --resume."]
    differ = "Rows differ: driver_trip at {}. The app stays where it is"
    assert facts["catching up"] == ["5 changes to follow", 0]
    assert facts["told to stop"] == [stopped, stopped]
    assert facts["little enough"] == [3, [["2"]]]
    assert facts["a difference when nobody writes"][0] == 10
    assert differ.format("2") in facts["a difference when nobody writes"][1]
    assert facts["more differences than are told apart"][0] == 10
    assert differ.format("2, …") in facts["more differences than are told apart"][1]
    assert facts["mended"] == [["driver_trip_tags"], []]
    assert facts["bounds"] == "t (behind 1/a up to 9/b) at 2/a, …"
    code, text = facts["a table of nobody"]
    assert (code, text.split(" of tables")[0]) == (
        1,
        "1 changes noted for 'driver' in 'default' are",
    )


RECOVERY = (
    BEGIN
    + """
from appdb_router.services.moving.journal import Phase

@fact("filled in the last moment")
def _():
    with begun(offline=True, is_late=True) as run:
        execute(run.taker, "INSERT INTO driver_tag (name) VALUES ('mine')")
        found = refused(forward.move_forward, run)
        execute(run.taker, "DELETE FROM driver_tag")
        execute(run.taker, "INSERT INTO driver_tag (name) VALUES ('accepted')")
        execute(run.taker, "DELETE FROM driver_tag")
        return found


@fact("writes cannot be refused")
def _():
    with begun(offline=True) as run, transaction.atomic(using="other"):
        execute(connections["other"], "UPDATE driver_trip SET amount = 1 WHERE id = 1")
        return refused(forward.move_forward, run), run.journal.row.gate


@fact("there")
def _():
    with begun() as run:
        run.journal.note(constraints=forward.staying_constraints(run.tables, run.giver))
        forward.move_forward(run)
        return run.journal.phase, run.giver.alias


@fact("killed between the two databases")
def _():
    with moved() as run:
        returning._leave(run)
    with moved() as run:
        returning.move_back(run)
        return run.journal.phase, run.giver.alias
"""
)


def resumed(live: Live) -> str:
    """Go on with the move, and return its phase."""
    live.project.manage("db_move", "driver", "--resume")
    written = live.project.manage("db_move", "driver", "--status", "--format", "json").stdout
    phase: str = json.loads(written)["phase"]
    return phase


def test_what_a_kill_leaves_is_gone_on_with(live: Live) -> None:
    live.project.settings_extra = """
        DATABASES["other"] = {
            **{k: v for k, v in DATABASES["default"].items() if k != "APPDB_ROUTER"},
        }
    """
    facts = ask(live.project, RECOVERY)
    assert facts["filled in the last moment"][0] == 11
    assert "got rows in this moment" in facts["filled in the last moment"][1]
    (code, _), gate = facts["writes cannot be refused"]
    assert (code, gate) == (13, "open")
    assert facts["there"] == ["moved", "driver"]
    assert facts["killed between the two databases"] == ["returned", "default"]

    live.execute("default", "UPDATE appdb_router_move SET phase = 'returning'")
    assert resumed(live) == "returned"
    live.project.manage("db_move", "driver", "--restart", "--noinput")
    live.execute("default", "UPDATE appdb_router_move SET phase = 'finalizing'")
    live.execute("default", "DROP TABLE driver_trip_tags, driver_trip, driver_tag, driver_vehicle")
    assert resumed(live) == "finalized"
