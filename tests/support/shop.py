"""A project with an app between two databases, for tests of what a move does to its tables."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.support.project import Project

ENGINES = ("postgres", "mariadb", "sqlite")

# What the code of a test begins with: `pair()` gives connections to both databases.
PRELUDE = """
from contextlib import contextmanager

from django.apps import apps
from django.db import Error, connections, models, transaction
from appdb_router.models import MovedChunk, MovedTableState, RowChange
from appdb_router.services.connecting import separate_connection, standing_in
from appdb_router.services.moving.tables import MovedTable

TOKEN = "0123456789abcdef"


def moved(name):
    model = apps.get_model("shop", name)
    fields = model._meta.local_concrete_fields
    return MovedTable(
        model,
        model._meta.db_table,
        tuple(field.column for field in fields if not field.generated),
        tuple(field.column for field in model._meta.pk_fields),
    )


def moved_all():
    return tuple(
        moved(model.__name__)
        for model in apps.get_app_config("shop").get_models(include_auto_created=True)
    )


@contextmanager
def one(alias="default"):
    with separate_connection(alias) as connection, standing_in(connection):
        yield connection


@contextmanager
def pair():
    with one() as giver, one("other") as taker:
        yield giver, taker


def run(connection, *statements):
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


def rows(connection, statement):
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return [list(row) for row in cursor.fetchall()]


def create(alias, *models):
    with one(alias) as connection, connection.schema_editor() as editor:
        for model in models:
            editor.create_model(model)


def refusal(connection, statement):
    # The error that a statement meets, or what it did.
    try:
        with transaction.atomic(using=connection.alias):
            run(connection, statement)
    except Error as error:
        return str(error.__cause__ or error).splitlines()[0]
    return "done"
"""


def shop_project(
    project: Project,
    request: pytest.FixtureRequest,
    database_name: Callable[[str], str],
    models: str,
    source: str,
    target: str | None = None,
) -> Project:
    """Return `project` with the app shop on the default; `other` is the alias of the target."""
    project.app("shop", models=models)
    project.app("other", models="class Nothing(models.Model):\n    pass\n")
    for label, engine in (("", source), ("OTHER_", target)):
        url = f"sqlite:///{label or 'shop'}.sqlite3"
        if engine is None:
            continue
        if engine != "sqlite":
            server = request.getfixturevalue(engine)
            name = database_name(label or "shop")
            server.execute(f"CREATE DATABASE {server.quote(name)}")
            url = server.url(name)
        project.env[f"{label}DATABASE_URL"] = url
    return project
