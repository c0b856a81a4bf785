"""Moves between engines, while the app's writes are refused."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from tests.support.live_moves import ALL, moving_project
from tests.support.project import Project
from tests.support.servers import Server

PAIRS = [
    ("sqlite", "postgres"),
    ("postgres", "mariadb"),
    ("mariadb", "sqlite"),
    ("sqlite", "sqlite"),
    ("mariadb", "mariadb"),
]

WRITE = """
    from appdb_router import alias_for
    from driver.models import Trip
    from notes.models import Note

    trip = Trip.objects.create(token="{token}")
    Trip.objects.filter(token="seed-3").update(amount=77)
    Note.objects.create(trip=trip, text="{token}")
    Trip.objects.get(token="seed-{number}").delete()
    print(alias_for(Trip), trip.pk)
"""

# What the old database is told by somebody who goes past the app.
PAST = """
    from django.db import DatabaseError, connections

    try:
        with connections["{alias}"].cursor() as cursor:
            cursor.execute("UPDATE driver_trip SET amount = 1")
    except DatabaseError as error:
        print(error)
"""


@pytest.fixture(params=PAIRS, ids="-".join)
def moving(
    request: pytest.FixtureRequest, project: Project, database_name: Callable[[str], str]
) -> Project:
    urls = {}
    for label, engine in zip(("default", "driver"), request.param, strict=True):
        if engine == "sqlite":
            urls[label] = f"sqlite:///{label}.sqlite3"
        else:
            server: Server = request.getfixturevalue(engine)
            urls[label] = server.url(database_name(label))
    return moving_project(project, urls, rows=60)


# A row that is not the same, found when the target refuses writes already: MySQL takes no DDL back.
LEAVING = """
    from threading import Event

    from appdb_router.exceptions import MoveError
    from appdb_router.management.move_progress import Lines
    from appdb_router.services.moving import returning
    from appdb_router.services.moving.databases import opened_databases
    from appdb_router.services.moving.journal import read_journal
    from appdb_router.services.moving.passing import passing
    from appdb_router.services.moving.running import MoveOptions, Run
    from appdb_router.services.moving.tables import moved_tables
    from appdb_router.services.moving.triggers import are_refused

    with opened_databases("default", "driver") as databases:
        journal = read_journal(databases.source, "driver")
        tables = moved_tables(["driver"], databases.source)
        options = MoveOptions.from_dict(journal.row.options)
        run = Run(databases, journal, tables, options, None, Event())
        for amount in (-1, 1):
            with passing(databases.source, run.token), databases.source.cursor() as cursor:
                cursor.execute("SELECT min(id) FROM driver_trip")
                [key] = cursor.fetchone()
                cursor.execute(
                    "UPDATE driver_trip SET amount = amount + %s WHERE id = %s", [amount, key]
                )
            if amount < 0:
                run.suspect("driver_trip", [(str(key),)])
                try:
                    returning._leave(run)
                except MoveError as error:
                    print(error.exit_code, are_refused(tables, databases.target, "driver"))
"""


def rows(project: Project) -> list[list[list[object]]]:
    found: list[list[list[object]]] = json.loads(project.python(ALL).stdout)
    return found


def test_there_and_back(moving: Project) -> None:
    before = rows(moving)
    assert "Nothing stands in the way." in moving.manage("db_move", "driver", "--plan").stdout
    moving.manage("db_move", "driver", "--chunk-rows", "25")
    assert rows(moving) == before
    assert "appdb_router: the app 'driver'" in moving.python(PAST.format(alias="default")).stdout
    alias, first = moving.python(WRITE.format(token="new", number=1)).stdout.split()
    assert alias == "driver"
    written = rows(moving)
    assert written != before
    if "mysql" in moving.env["DRIVER_DATABASE_URL"]:
        assert moving.python(LEAVING).stdout == "10 False\n"
    moving.manage("db_move", "driver", "--rollback")
    assert rows(moving) == written
    assert "appdb_router: the app 'driver'" in moving.python(PAST.format(alias="driver")).stdout
    alias, second = moving.python(WRITE.format(token="newer", number=2)).stdout.split()
    assert (alias, int(second) > int(first)) == ("default", True)
    written = rows(moving)
    moving.manage("db_move", "driver", "--restart", "--noinput", "--verify", "stream")
    assert rows(moving) == written
    moving.manage("db_move", "driver", "--finalize", "--noinput")
    assert rows(moving) == written
    moving.env.pop("DRIVER_DATABASE_MOVE_FROM")
    assert rows(moving) == written
    assert "ready" in moving.manage("db_init", "--all-apps").stdout
