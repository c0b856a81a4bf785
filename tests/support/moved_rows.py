"""What programs in a project under test use to move rows, without the command."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Event
from typing import Any

from django.db import transaction

from tests.support.project import Project
from tests.support.servers import Server

TOKEN = "token"


def moving_project(
    root: Path, source: str, target: str, models: str, *, staying: str | None = None
) -> Project:
    """Return a project whose app `fleet` moves from the default to a database of its own."""
    project = Project(root)
    project.installed_apps = ["appdb_router"]
    project.settings_extra = "MIDDLEWARE = []\nTEMPLATES = []\n"
    project.app("fleet", models=models)
    if staying is not None:
        project.app("rest", models=staying)
    project.env = {"DATABASE_URL": source, "FLEET_DATABASE_URL": target}
    return project


def made(server: Server, name: str) -> str:
    """Make a database, and return its URL."""
    server.execute(f"CREATE DATABASE {server.quote(name)}")
    return server.url(name)


@contextmanager
def opened(*aliases: str) -> Iterator[Any]:
    """Yield connections to the source and the target, which ORM queries by alias use."""
    from appdb_router.services.connecting import separate_connection, standing_in

    with ExitStack() as stack:
        found = []
        for alias in aliases or ("default", "fleet"):
            connection = stack.enter_context(separate_connection(alias, direct=True))
            stack.enter_context(standing_in(connection))
            found.append(connection)
        yield found


def make_tables(connection: Any, *labels: str) -> None:
    """Make the tables of the apps and those of the journal."""
    from django.apps import apps

    from appdb_router import models as journal

    with connection.schema_editor() as editor:
        editor.create_model(journal.MovedTableState)
        editor.create_model(journal.MovedChunk)
        for label in sorted(labels):
            for model in apps.get_app_config(label).get_models():
                if model._meta.can_migrate(connection):
                    editor.create_model(model)


def move_rows(source: Any, target: Any, *, token: str = TOKEN, **options: Any) -> list[Any]:
    """Copy all tables of `fleet`, parts away and back, and return what was reported."""
    from appdb_router.services.moving.copying import CopyOptions, copy_table
    from appdb_router.services.moving.parts import put_parts_back, take_parts_away
    from appdb_router.services.moving.sequences import set_sequences
    from appdb_router.services.moving.tables import moved_tables

    told: list[Any] = []
    tables = moved_tables(["fleet"], source)
    take_parts_away(tables, target, token)
    for table in tables:
        copy_table(
            table,
            source,
            target,
            token,
            CopyOptions(**options),
            report=told.append,
            stop=Event(),
        )
    put_parts_back(tables, target, token, report=lambda *_: None)
    set_sequences(tables, source, target)
    return told


def fresh(source: Any, target: Any) -> None:
    """Delete all rows, and what is written down of a move."""
    for connection in (source, target):
        with connection.constraint_checks_disabled(), transaction.atomic(using=connection.alias):
            names = connection.introspection.table_names()
            for name in sorted(
                names, key=lambda name: ("owner" not in name, "friends" not in name)
            ):
                run(connection, f"DELETE FROM {connection.ops.quote_name(name)}")


def run(connection: Any, statement: str) -> None:
    """Execute a statement."""
    with connection.cursor() as cursor:
        cursor.execute(statement)


def value(connection: Any, statement: str) -> Any:
    """Return the only value of a query."""
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchone()[0]
