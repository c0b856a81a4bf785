"""Transactions around a flip: one that straddles it is to be run again, any other works."""

from __future__ import annotations

from typing import Any

from tests.moves.test_flips import PRELUDE
from tests.support.facts import ask
from tests.support.moving import Moving

TRANSACTIONS = """
import pickle
from copy import deepcopy
from contextlib import contextmanager
from unittest import TestCase

from django.db import DatabaseError, router
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models.signals import post_save
from django.db.transaction import atomic as stock
from appdb_router.exceptions import DatabaseOperationError
from appdb_router.moves import operations
from appdb_router.registry import discover_app_database, get_connection, get_database_url
from appdb_router.repositories import BaseRepository
from appdb_router.sessions import get_app_session
from appdb_router.transaction import atomic, on_commit


class Trips(BaseRepository[Trip]):
    model = Trip


def error(function, *args, **kwargs):
    try:
        function(*args, **kwargs)
    except Exception as found:
        return type(found).__name__
    return None


CONSTANT = alias_for("trips")


@stock(using=CONSTANT)
def decorated(title):
    trip(title)
    return connections[alias_for("trips")].in_atomic_block


@Trips().transaction()
def by_repository(title):
    Trips().add(Trip(title=title))


@atomic("trips", "shop")
def by_apps(title):
    Customer.objects.create(name=title)
    trip(title)


def by_session(title):
    with get_app_session("trips"):
        trip(title)


@contextmanager
def flipping_at_begin():
    "Flip when the first block is open on a database of the app."
    flips = []
    set_autocommit = BaseDatabaseWrapper.set_autocommit

    def patched(self, autocommit, **kwargs):
        set_autocommit(self, autocommit, **kwargs)
        if not autocommit and not flips and threading.current_thread() is threading.main_thread():
            flips.append(True)
            flip()

    BaseDatabaseWrapper.set_autocommit = patched
    try:
        yield
    finally:
        BaseDatabaseWrapper.set_autocommit = set_autocommit


def in_transaction():
    with stock(using=alias_for("trips")):
        return error(trip, "x")


@fact("without a table")
def _():
    with stock():
        first = alias_for("trips")
        Customer.objects.create(name="still works")
    return [first, router.db_for_read(Trip), router.db_for_write(Customer), type(CONSTANT).__name__]


begin()
trip("first")


@fact("straddling")
def _():
    def straddle():
        with stock():
            Customer.objects.create(name="taken back")
            Trip.objects.count()
            flip()
            trip("straddles")

    with TestCase().assertRaises(MoveStraddledError) as raised:
        straddle()
    found = raised.exception
    return [
        isinstance(found, OperationalError), isinstance(found, DatabaseOperationError), found.label,
        str(found), Customer.objects.filter(name="taken back").exists(), titles(TARGET),
    ]


@fact("after the flip")
def _():
    for name, work in {
        "decorated": decorated, "repository": by_repository, "apps": by_apps,
    }.items():
        work(name)
    with stock(using=CONSTANT):
        trip("constant")
    with get_app_session("trips") as connection:
        trip("session")
        same = connection.alias
    return [same, titles(SOURCE), titles(TARGET)]


@fact("where it is")
def _():
    found = discover_app_database("trips")
    return [
        found.alias, found.source_name, get_database_url("trips") == found.url,
        get_connection("trips").alias, alias_for(Trip), get_topology().routes["trips"],
        pickle.loads(pickle.dumps(alias_for("trips"))), type(deepcopy(alias_for(Trip))).__name__,
        Trip.objects.using(CONSTANT).count() == Trip.objects.count(),
        Trips().queryset().db,
    ]


@fact("explicit")
def _():
    return [
        error(Trip(title="x").save, using="default"),
        error(Trip.objects.using("default").create, title="x"),
        error(Trip.objects.using("default").update, title="x"),
        error(Trip(title="constant again").save, using=CONSTANT),
        error(Customer.objects.using("default").create, name="x"),
        error(Trip(id=Trip.objects.first().id, title="x").save, force_insert=True),
    ]


@fact("raw")
def _():
    try:
        connections["default"].cursor().execute("INSERT INTO trips_tag (name) VALUES ('x')")
    except DatabaseError as found:
        return str(found).splitlines()[0]


@fact("pinned to an alias of before")
def _():
    def begun_with_an_alias():
        alias = alias_for("trips")
        with stock(using=alias):
            flip()
            Trip.objects.count()

    return [error(begun_with_an_alias), error(begun_with_an_alias), alias_for("trips")]


@fact("entered anew")
def _():
    # The block is entered, then the flip comes, then it is asked again.
    found = []
    for work in (by_apps, by_session):
        with flipping_at_begin():
            work(f"anew {len(found)}")
        found.append(alias_for("trips"))
    return [found, Trip.objects.filter(title__startswith="anew").count()]


@fact("handlers")
def _():
    # A handler of signals writes to another app and to the one that moves, behind the commit.
    def receiver(instance, **kwargs):
        Customer.objects.create(name=f"of {instance.title}")
        Tag.objects.create(name=f"of {instance.title}")

    post_save.connect(receiver, sender=Trip)
    before = home()
    with flipping("INSERT INTO \\"trips_tag\\"") as flips:
        trip("with handlers")
    post_save.disconnect(receiver, sender=Trip)
    return [
        len(flips), Trip.objects.filter(title="with handlers").count(),
        Tag.objects.filter(name="of with handlers").count(),
        Customer.objects.filter(name="of with handlers").count(),
    ]


@fact("handlers that name a database")
def _():
    def receiver(instance, **kwargs):
        Tag.objects.using(at[0]).create(name="named")

    at = [home()]
    post_save.connect(receiver, sender=Trip)
    with flipping("INSERT INTO \\"trips_tag\\""):
        found = error(trip, "written once")
    post_save.disconnect(receiver, sender=Trip)
    return [found, Trip.objects.filter(title="written once").count()]


@fact("waiting")
def _():
    # The middle of a rollback: refused on one side already, and not yet at home on the other.
    def end():
        flip()
        change(gate="open")

    before = home()
    change(gate="waiting")
    elsewhere(refuse, before)
    timer = threading.Timer(0.5, end)
    timer.start()
    made = trip("has waited")
    timer.join()
    return [made._state.db == home() != before, Trip.objects.filter(title="has waited").count()]


@fact("waiting transaction")
def _():
    change(gate="waiting")
    timer = threading.Timer(0.3, lambda: (flip(), change(gate="open")))
    timer.start()
    with atomic("trips"):
        trip("in a transaction")
    timer.join()
    change(gate="waiting")
    with atomic("trips"):
        found = Trip.objects.filter(title="in a transaction").count()
    return found


@fact("impatient")
def _():
    operations.PATIENCE = 0.1
    elsewhere(refuse, home())
    return [error(trip, "x"), change(gate="open"), error(trip, "x")]


@fact("closed")
def _():
    change(gate="closed")
    Trip.objects.count()
    try:
        trip("x")
    except MoveClosedError as found:
        return [str(found), found.label, isinstance(found, OperationalError), in_transaction()]
"""

STRADDLED = (
    "The data of the app 'trips' has moved to another database, and the one that this was written"
    " to takes no more of it. A transaction that began before is to be run again. Code that names a"
    " database with using= should ask for it with alias_for()."
)
CLOSED = (
    "The data of the app 'trips' is being moved to another database. Until that is over nothing can"
    " be written to its tables; reading works."
)
EXPECTED: dict[str, Any] = {
    "without a table": ["default", "default", "default", "HomeAlias"],
    "straddling": [True, True, "trips", STRADDLED, False, ["first"]],
    "after the flip": [
        "trips",
        ["first"],
        ["apps", "constant", "decorated", "first", "repository", "session"],
    ],
    "where it is": [
        *("trips", "TRIPS_DATABASE_URL", True, "trips", "trips", "trips", "trips", "str", True),
        "trips",
    ],
    "explicit": [*["MoveStraddledError"] * 3, None, None, "IntegrityError"],
    "raw": "appdb_router: the app trips has moved",
    "pinned to an alias of before": ["MoveStraddledError", "MoveStraddledError", "trips"],
    "entered anew": [["default", "trips"], 2],
    "handlers": [1, 1, 1, 1],
    "handlers that name a database": ["MoveStraddledError", 1],
    "waiting": [True, 1],
    "waiting transaction": 1,
    "impatient": ["MoveStraddledError", None, "MoveStraddledError"],
    "closed": [CLOSED, "trips", True, "MoveClosedError"],
}


def test_transactions(on_postgres: Moving) -> None:
    facts = ask(on_postgres.project, PRELUDE + TRANSACTIONS, timeout=240)

    assert facts == EXPECTED
