"""`appdb_router.testing`: the databases of a test, and how often each is asked."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from tests.rehearsal.suite import write
from tests.support.facts import ask
from tests.support.project import Project
from tests.support.servers import Server

HELPERS = """
import asyncio
import sys

from django.contrib.auth.models import User
from django.db import connections, transaction
from appdb_router import alias_for
from appdb_router.testing import assert_num_queries, databases_for
from driver.models import Trip
from riders.models import Rider

fact("one")(lambda: sorted(databases_for("driver")))
fact("several")(lambda: sorted(databases_for(Trip, Rider(), "auth")))
fact("all")(lambda: sorted(databases_for("__all__")))
fact("none")(lambda: databases_for())
fact("unknown")(lambda: databases_for("drivers"))
fact("type")(lambda: type(databases_for("driver")).__name__)
fact("is_light")(lambda: "pytest" not in sys.modules)


def work():
    rider = Rider.objects.create(name="secret")
    with transaction.atomic(alias_for(Trip)), transaction.atomic(alias_for(Trip)):
        Trip.objects.create(rider=rider, name="secret")


def count(numbers, function=work):
    with assert_num_queries(numbers):
        function()


# A savepoint and its release count.
fact("right")(lambda: count({"driver": 3, Rider: 1}))
fact("added_up")(lambda: count({Trip: 1, "riders": 1, "driver": 2, User: 0}))
fact("wrong")(lambda: count({"driver": 2, Rider: 1}))
fact("forgotten")(lambda: count({"driver": 3}))
fact("unknown_target")(lambda: count({"drivers": 1}))
fact("no_queries")(lambda: count({"auth": 1}, lambda: None))
fact("error")(lambda: count({"driver": 9}, lambda: 1 / 0))
fact("by_hand")(lambda: count({"other": 1}, lambda: connections["other"].cursor().execute("X")))
fact("by_alias")(lambda: count({"default": 1}, Rider.objects.count))
fact("left")(lambda: {name: connections[name].execute_wrappers for name in connections})


@fact("coroutine")
def _():
    async def main():
        count({"driver": 1})

    asyncio.run(main())
"""


def helpers(project: Project, **urls: str) -> dict[str, object]:
    write(project)
    project.env.update(urls)
    project.settings_extra = (
        'DATABASES["other"] = {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}\n'
    )
    project.manage("db_init", "--all-apps", "--verbosity=0")
    facts = ask(project, HELPERS)
    # The name of a savepoint has the thread in it.
    for name in ("wrong", "forgotten"):
        facts[name] = re.sub(r'SAVEPOINT "\w+"', "SAVEPOINT x", facts[name])
    return facts


RIDER = 'INSERT INTO "riders_rider" ("name") VALUES (%s) RETURNING "riders_rider"."id"'
TRIP = (
    "SAVEPOINT x",
    'INSERT INTO "driver_trip" ("rider_id", "name") VALUES (%s, %s) RETURNING "driver_trip"."id"',
    "RELEASE SAVEPOINT x",
)


def message(alias: str, found: int, wanted: int, *queries: str) -> str:
    text = f"AssertionError: Queries on {alias!r}: {found} instead of {wanted}."
    return "\n".join([text, *(f"  {number}. {sql}" for number, sql in enumerate(queries, 1))])


UNKNOWN = "UnknownLabelError: No installed app has the label 'drivers'. Did you mean 'driver' or"
UNKNOWN += " 'riders'?"
EXPECTED = {
    "none": "TypeError: databases_for() got no target. Pass labels or models, or '__all__'.",
    "unknown": UNKNOWN,
    "type": "set",
    "is_light": True,
    "right": None,
    "added_up": None,
    "unknown_target": UNKNOWN,
    "no_queries": message("default", 0, 1),
    "error": "ZeroDivisionError: division by zero",
    "by_hand": 'OperationalError: near "X": syntax error',
    "by_alias": None,
    "coroutine": "SynchronousOnlyOperation: Queries belong to a thread's connections. Count them"
    " where they are made.",
}


@pytest.mark.parametrize("server", ["sqlite", "postgres"])
def test_helpers(
    project: Project,
    server: str,
    request: pytest.FixtureRequest,
    database_name: Callable[[str], str],
) -> None:
    def url(name: str) -> str:
        if server == "sqlite":
            return f"sqlite:///{name}.sqlite3"
        found: Server = request.getfixturevalue(server)
        return found.url(database_name(name))

    urls = {"DATABASE_URL": url("main"), "DRIVER_DATABASE_URL": url("driver")}

    assert helpers(project, **urls) == EXPECTED | {
        "one": ["driver"],
        "several": ["default", "driver"],
        "all": ["default", "driver"],
        "wrong": message("driver", 3, 2, *TRIP),
        "forgotten": message("default", 1, 0, RIDER),
        "left": {"default": [], "driver": [], "other": []},
    }


def test_helpers_before_the_split(project: Project) -> None:
    assert helpers(project) == EXPECTED | {
        "one": ["default"],
        "several": ["default"],
        "all": ["default"],
        "wrong": message("default", 4, 3, RIDER, *TRIP),
        "forgotten": message("default", 4, 3, RIDER, *TRIP),
        "left": {"default": [], "other": []},
    }
