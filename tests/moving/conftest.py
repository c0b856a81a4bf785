"""Projects whose app `fleet` moves, with a database on each engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.moved_rows import made, moving_project
from tests.support.project import Project
from tests.support.servers import Server

ENGINES = ("sqlite", "postgres", "mariadb")

MODELS = """
class Car(models.Model):
    name = models.CharField(max_length=20)
    kind = models.CharField(max_length=5, unique=True, null=True)
    parent = models.ForeignKey("self", models.CASCADE, null=True)
    friends = models.ManyToManyField("self", symmetrical=False)

class Stop(models.Model):
    pk = models.CompositePrimaryKey("day", "name")
    day = models.IntegerField()
    name = models.CharField(max_length=9)

class Sight(models.Model):
    moment = models.DateTimeField(primary_key=True)

class Code(models.Model):
    code = models.UUIDField(primary_key=True)

class Flag(models.Model):
    flag = models.BooleanField(primary_key=True)

class Line(models.Model):
    text = models.TextField(null=True)
"""

STAYING = """
class Owner(models.Model):
    car = models.ForeignKey("fleet.Car", models.CASCADE, related_name="+")
    other = models.ForeignKey("self", models.CASCADE, null=True)
    note = models.CharField(max_length=20, default=", (REFERENCES", db_index=True)
"""


@dataclass(frozen=True)
class Fleet:
    """A project, and the URLs of the source and the target."""

    project: Project
    source: str
    target: str

    def run(self, program: str) -> list[str]:
        """Run a program with connections to both, and return the lines that it prints."""
        lines = "\n".join(f"    {line}" for line in program.strip("\n").splitlines())
        return self.project.python(f"{PRELUDE}\n{lines}\n").stdout.splitlines()


PRELUDE = """
import json
from contextlib import closing
from threading import Event
from django.db import Error, connections, transaction
from appdb_router.exceptions import MoveError
from appdb_router.models import MovedChunk, MovedTableState
from appdb_router.services.connecting import separate_connection
from appdb_router.services.moving import (
    columns, copying, fitting, keys, kinds, parts, raw_copying, reading_ahead, rows,
    sequences, settling, staying, suiting, tables)
from fleet.models import *
from tests.support.moved_rows import fresh, make_tables, move_rows, opened, run, value

with opened() as (source, target):
    found = {table.model.__name__: table for table in tables.moved_tables(["fleet"], source)}
"""


@pytest.fixture(scope="module")
def engine_urls(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    unique: Callable[[str], str],
) -> Iterator[Callable[[str], str]]:
    """A maker of databases: the URL of a new one on an engine."""
    gone: list[tuple[Server, str]] = []

    def make(engine: str) -> str:
        if engine == "sqlite":
            return f"sqlite:///{tmp_path_factory.mktemp('sqlite') / 'db.sqlite3'}"
        server: Server = request.getfixturevalue(engine)
        name = unique(engine)
        gone.append((server, name))
        return made(server, name)

    yield make
    for server, name in gone:
        server.drop(name)


def fleet_between(
    folder: Path, engine_urls: Callable[[str], str], source: str, target: str
) -> Fleet:
    """Return a project that moves from one engine to another, its tables made."""
    urls = engine_urls(source), engine_urls(target)
    project = moving_project(folder, *urls, MODELS, staying=STAYING)
    program = """
        from tests.support.moved_rows import make_tables, opened

        with opened(ALIAS) as (connection,):
            make_tables(connection, LABELS)
    """
    both = project.env
    # As it was before anybody thought of moving: with constraints.
    project.env = {"DATABASE_URL": urls[0]}
    project.python(program.replace("ALIAS", "'default'").replace("LABELS", "'rest', 'fleet'"))
    project.env = both
    project.python(program.replace("ALIAS", "'fleet'").replace("LABELS", "'fleet'"))
    return Fleet(project, *urls)


@pytest.fixture(scope="module")
def on_postgres(
    tmp_path_factory: pytest.TempPathFactory, engine_urls: Callable[[str], str]
) -> Fleet:
    return fleet_between(tmp_path_factory.mktemp("fleet"), engine_urls, "postgres", "postgres")


@pytest.fixture(scope="module", params=ENGINES)
def to_each(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    engine_urls: Callable[[str], str],
) -> Fleet:
    """A project that moves from SQLite to each engine; to SQLite from MariaDB."""
    source = "mariadb" if request.param == "sqlite" else "sqlite"
    folder = tmp_path_factory.mktemp("fleet")
    return fleet_between(folder, engine_urls, source, request.param)
