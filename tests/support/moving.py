"""A project with an app in a move, whose flips are made by hand in the middle of what it does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.project import Project
from tests.support.servers import Server

SHOP = """
class Customer(models.Model):
    name = models.CharField(max_length=40)
"""

TRIPS = """
from django.contrib.contenttypes.fields import GenericForeignKey, GenericRelation


class Tag(models.Model):
    name = models.CharField(max_length=40)


class Note(models.Model):
    text = models.CharField(max_length=40)
    content_type = models.ForeignKey("contenttypes.ContentType", models.CASCADE)
    object_id = models.IntegerField()
    about = GenericForeignKey()


class Trip(models.Model):
    title = models.CharField(max_length=40)
    distance = models.IntegerField(default=0)
    # A move drops the constraint with the flip; nobody does that here.
    customer = models.ForeignKey(
        "shop.Customer", models.CASCADE, null=True, db_constraint=False
    )
    before = models.ForeignKey("self", models.SET_NULL, null=True, related_name="later")
    tags = models.ManyToManyField(Tag)
    notes = GenericRelation(Note)


class Express(Trip):
    speed = models.IntegerField(default=0)
"""

# What a move does, in the fewest steps, on connections of its own.
FLIPS = """
import threading
from contextlib import ExitStack, contextmanager

from django.apps import apps
from django.db import connections, transaction

from appdb_router.models import Move
from appdb_router.services.connecting import separate_connection, standing_in
from appdb_router.topology import get_topology

MOVE = get_topology().moves["trips"]
SOURCE, TARGET = MOVE.source, MOVE.target
TABLES = [
    model._meta.db_table
    for model in apps.get_app_config("trips").get_models(include_auto_created=True)
]
MESSAGE = "appdb_router: the app trips has moved"


def elsewhere(work, *args, **kwargs):
    "Do it in another thread, so with other connections, and wait for it."
    errors = []

    def run():
        try:
            with ExitStack() as stack:
                for alias in (SOURCE, TARGET):
                    connection = stack.enter_context(separate_connection(alias))
                    stack.enter_context(standing_in(connection))
                work(*args, **kwargs)
        except Exception as error:
            errors.append(error)
        finally:
            connections.close_all()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(20)
    assert not thread.is_alive(), "what the flip waits for waits for the flip"
    if errors:
        raise errors[0]


def execute(alias, *statements):
    with connections[alias].cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


def _begin(**values):
    with connections[SOURCE].schema_editor() as editor:
        editor.create_model(Move)
    Move.objects.using(SOURCE).create(
        label=MOVE.leader, labels=list(MOVE.labels), source=SOURCE, target=TARGET, token="t",
        options={}, details={}, **{"home": "source", "gate": "open", "phase": "copying", **values},
    )


def begin(**values):
    elsewhere(_begin, **values)


def change(**values):
    elsewhere(lambda: Move.objects.using(SOURCE).update(**values))


def refuse(alias):
    _accept(alias)
    vendor = connections[alias].vendor
    for table in TABLES:
        if vendor == "postgresql":
            execute(
                alias,
                f"CREATE OR REPLACE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$"
                f" BEGIN RAISE EXCEPTION '{MESSAGE}' USING ERRCODE = 'AR001'; END $$",
                f"CREATE TRIGGER refused BEFORE INSERT OR UPDATE OR DELETE ON {table}"
                " FOR EACH STATEMENT EXECUTE FUNCTION refuse()",
            )
            continue
        what = {
            "mysql": f"SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = '{MESSAGE}', MYSQL_ERRNO = 1644",
            "sqlite": f"BEGIN SELECT RAISE(ABORT, '{MESSAGE}'); END",
        }[vendor]
        for event in ("INSERT", "UPDATE", "DELETE"):
            execute(
                alias,
                f"CREATE TRIGGER refused_{table}_{event} BEFORE {event} ON {table}"
                f" FOR EACH ROW {what}",
            )


def _accept(alias):
    vendor = connections[alias].vendor
    for table in TABLES:
        if vendor == "postgresql":
            execute(alias, f"DROP TRIGGER IF EXISTS refused ON {table}")
        else:
            for event in ("INSERT", "UPDATE", "DELETE"):
                execute(alias, f"DROP TRIGGER IF EXISTS refused_{table}_{event}")


def read(alias, table):
    with connections[alias].cursor() as cursor:
        cursor.execute(f"SELECT * FROM {table}")
        return [column[0] for column in cursor.description], cursor.fetchall()


def _copy(giver, taker):
    _accept(taker)
    with connections[taker].constraint_checks_disabled(), transaction.atomic(using=taker):
        for table in reversed(TABLES):
            execute(taker, f"DELETE FROM {table}")
        for table in sorted(TABLES, key=lambda name: ("express" in name, name)):
            columns, rows = read(giver, table)
            places = ", ".join(["%s"] * len(columns))
            with connections[taker].cursor() as cursor:
                for row in rows:
                    cursor.execute(
                        f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({places})", row
                    )
    if connections[taker].vendor == "postgresql":
        for table in TABLES:
            if "express" not in table:
                execute(
                    taker,
                    f"SELECT setval(pg_get_serial_sequence('{table}', 'id'),"
                    f" (SELECT COALESCE(MAX(id), 0) + 100 FROM {table}))",
                )


def _flip():
    move = Move.objects.using(SOURCE).get()
    ends = (SOURCE, TARGET) if move.home == "source" else (TARGET, SOURCE)
    giver, taker = ends
    move.home = "target" if move.home == "source" else "source"
    move.flips += 1
    if giver != SOURCE:
        # The flip of a rollback is not one transaction, so writers wait.
        Move.objects.using(SOURCE).update(gate="waiting")
    with ExitStack() as stack:
        if connections[giver].vendor == "postgresql":
            stack.enter_context(transaction.atomic(using=giver))
            execute(giver, f"LOCK TABLE {', '.join(TABLES)} IN SHARE ROW EXCLUSIVE MODE")
        _copy(giver, taker)
        refuse(giver)
        if giver == SOURCE:
            move.save(using=SOURCE)
    if giver != SOURCE:
        move.save(using=SOURCE)


def flip():
    elsewhere(_flip)


def home():
    found = []
    elsewhere(lambda: found.append(Move.objects.using(SOURCE).get().home))
    return {"source": SOURCE, "target": TARGET}[found[0]]


@contextmanager
def flipping(*words):
    "Flip in front of the first statement that writes to the app, or begins with one of `words`."
    flips = []
    words = words or ("INSERT", "UPDATE", "DELETE")

    def wrap(execute, sql, params, many, context):
        if not flips and sql.startswith(words) and any(table in sql for table in TABLES):
            flips.append(context["connection"].alias)
            flip()
        return execute(sql, params, many, context)

    with ExitStack() as stack:
        for alias in (SOURCE, TARGET):
            stack.enter_context(connections[alias].execute_wrapper(wrap))
        yield flips


def titles(alias):
    "Ask the database itself."
    found = []
    elsewhere(lambda: found.extend(row[0] for row in _rows(alias)))
    return sorted(found)


def _rows(alias):
    with connections[alias].cursor() as cursor:
        cursor.execute("SELECT title FROM trips_trip")
        return cursor.fetchall()
"""


@dataclass(frozen=True)
class Moving:
    """A project whose app ``trips`` is moved from the default, on ``engine``; no row is there."""

    project: Project
    engine: str
    server: Server | None
    names: dict[str, str]


def write(project: Project, urls: dict[str, str]) -> None:
    """Write the apps, with the variables of the move."""
    project.app("shop", models=SHOP)
    project.app("trips", models=TRIPS)
    project.write("flips.py", FLIPS)
    # Before there are URLs of databases that are not there yet.
    project.makemigrations("shop", "trips")
    project.env |= {
        "DATABASE_URL": urls["default"],
        "TRIPS_DATABASE_URL": urls["trips"],
        "TRIPS_DATABASE_MOVE_FROM": "default",
    }


@contextmanager
def moving_project(
    request: pytest.FixtureRequest, folder: Path, unique: Callable[[str], str], engine: str
) -> Iterator[Moving]:
    """Make a project with its databases, which are gone afterwards."""
    server: Server | None = None if engine == "sqlite" else request.getfixturevalue(engine)
    names = {alias: unique(f"m{alias}") for alias in ("default", "trips")}
    if server is None:
        urls = {alias: f"sqlite:///{folder / name}.sqlite3" for alias, name in names.items()}
    else:
        urls = {alias: server.url(name) for alias, name in names.items()}
    project = Project(folder)
    write(project, urls)
    try:
        project.manage("db_init", "--all-apps", "--verbosity=0")
        yield Moving(project, engine, server, names)
    finally:
        if server is not None:
            for name in names.values():
                for item in (name, f"test_{name}"):
                    server.drop(item)
