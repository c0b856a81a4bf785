"""Comparing the tables and columns that the models need with those that are there."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from django.apps import apps
from django.apps.registry import Apps
from django.db import router
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Model

from ..topology import label_of
from .catalogs import Standing, fold_column, standing_tables
from .connecting import standing_in
from .loading import SharedLoader

__all__ = ["Gap"]


@dataclass(frozen=True)
class NeededTable:
    """A table that a model of the app ``label`` needs, many-to-many tables included."""

    label: str
    name: str
    columns: tuple[str, ...]


@dataclass(frozen=True)
class Gap:
    """What an app needs in a database and does not find there.

    ``tables`` are missing as a whole; ``columns``, as ``table.column``, in tables that are there;
    ``present`` are the app's tables that are there. ``migrations`` are recorded as applied and
    should have made all of this; without any, no migration makes it.
    """

    label: str
    tables: tuple[str, ...]
    columns: tuple[str, ...]
    present: tuple[str, ...]
    migrations: tuple[str, ...]

    @property
    def is_whole(self) -> bool:
        """Whether the app was never there: all of its tables are missing, and recorded."""
        return bool(self.migrations) and not self.present

    def __str__(self) -> str:
        found = (("table", self.tables), ("column", self.columns))
        return " and ".join(
            f"the {noun}{'s' * (len(names) > 1)} {', '.join(names)}"
            for noun, names in found
            if names
        )


def needed_tables(connection: BaseDatabaseWrapper, registry: Apps = apps) -> list[NeededTable]:
    """Return the tables that the models of ``registry`` need in the database of ``connection``.

    These are the managed models that are routed there, with the tables of their many-to-many
    fields. ``registry`` may be that of a migration's state.
    """
    return [
        NeededTable(label_of(model), model._meta.db_table, tuple(_columns(model, connection)))
        for model in registry.get_models(include_auto_created=True)
        if _is_made(model, connection)
    ]


def table_names() -> set[str]:
    """Return the names of the tables of all managed models, wherever they are routed."""
    models = apps.get_models(include_auto_created=True)
    return {model._meta.db_table for model in models if model._meta.managed}


def find_gaps(
    connection: BaseDatabaseWrapper, labels: Iterable[str] | None = None
) -> tuple[Gap, ...]:
    """Return what is missing for each app, or for those in ``labels``.

    What a pending migration is going to make is not missing yet.
    """
    needed = needed_tables(connection)
    standing = standing_tables(connection, (table.name for table in needed))
    lacking = lacking_labels(connection, needed, standing)
    if labels is not None:
        lacking &= set(labels)
    if not lacking:
        return ()
    return tuple(_explain(connection, needed, sorted(lacking)))


def lacking_labels(
    connection: BaseDatabaseWrapper,
    needed: Iterable[NeededTable],
    standing: Mapping[str, Standing],
) -> frozenset[str]:
    """Return the apps of which a table or column of ``needed`` is not in ``standing``."""
    return frozenset(table.label for table in needed if _lacks(table, standing, connection))


def describe_gap(gap: Gap, elsewhere: Mapping[str, Collection[str]] | None = None) -> str:
    """Return in words what is missing, why, and what helps.

    ``elsewhere`` has the missing tables that stand in other databases, by alias.
    """
    if not gap.migrations:
        return (
            f"{gap.label!r} needs {gap}, which no migration makes. Run 'makemigrations', or, if the"
            " app has no migrations, add by hand what is missing."
        )
    places = "".join(
        f" In {alias!r} there {'is' if len(names) == 1 else 'are'} {', '.join(sorted(names))}."
        for alias, names in sorted((elsewhere or {}).items())
        if names
    )
    span = gap.migrations[0] + (f" to {gap.migrations[-1]}" if len(gap.migrations) > 1 else "")
    text = f"{gap.label!r} is recorded as migrated ({span}), but lacks {gap}.{places}"
    if gap.is_whole:
        return (
            f"{text} It was recorded while the app lived in another database, or its tables were"
            " removed. 'db_init --repair' takes the records back and migrates again."
        )
    return (
        f"{text} Here there is {', '.join(gap.present)}, so this cannot be repaired: restore what"
        " is missing."
    )


def _explain(
    connection: BaseDatabaseWrapper, needed: list[NeededTable], lacking: list[str]
) -> Iterator[Gap]:
    """Tell false records from changes of the models that no migration knows."""
    with standing_in(connection):
        loader = SharedLoader(connection)
    loader.take_over_all()
    applied = [key for key in loader.applied_migrations if key in loader.graph.nodes]
    state = loader.graph.make_state(nodes=applied, real_apps=loader.unmigrated_apps)
    recorded = needed_tables(connection, state.apps)
    standing = standing_tables(connection, (table.name for table in [*needed, *recorded]))
    for label in lacking:
        mine = [table for table in recorded if table.label == label]
        if label in loader.unmigrated_apps:
            # Its missing tables are pending; a missing column nobody is going to add.
            mine = [table for table in mine if table.name in standing]
        names = tuple(sorted(name for app, name in applied if app == label))
        yield from _gap(connection, label, mine, standing, names)
        if label in loader.migrated_apps and set(loader.graph.leaf_nodes(label)) <= set(applied):
            known = {(table.name, column) for table in mine for column in table.columns}
            unknown = [
                NeededTable(label, table.name, tuple(sorted(rest)))
                for table in needed
                if table.label == label
                and (rest := {c for c in table.columns if (table.name, c) not in known})
            ]
            yield from _gap(connection, label, unknown, standing, ())


def _gap(
    connection: BaseDatabaseWrapper,
    label: str,
    wanted: list[NeededTable],
    standing: dict[str, Standing],
    migrations: tuple[str, ...],
) -> Iterator[Gap]:
    tables = {table.name for table in wanted}
    columns = sorted(
        f"{table.name}.{column}"
        for table in wanted
        if table.name in standing
        for column in _lacks(table, standing, connection)
    )
    missing = sorted(tables - standing.keys())
    if missing or columns:
        present = sorted(tables & standing.keys())
        yield Gap(label, tuple(missing), tuple(columns), tuple(present), migrations)


def _lacks(
    table: NeededTable, standing: Mapping[str, Standing], connection: BaseDatabaseWrapper
) -> list[str]:
    there = standing[table.name].columns if table.name in standing else frozenset()
    return [name for name in table.columns if fold_column(connection, name) not in there]


def _is_made(model: type[Model], connection: BaseDatabaseWrapper) -> bool:
    # The table of a many-to-many field is made with the model that has the field.
    source: Any = model._meta.auto_created or model
    return source._meta.can_migrate(connection) and router.allow_migrate_model(
        connection.alias, model
    )


def _columns(model: type[Model], connection: BaseDatabaseWrapper) -> Iterator[str]:
    """Yield the columns that the schema editor makes: a field without a type has none."""
    for field in model._meta.local_fields:
        if field.column and field.db_parameters(connection)["type"] is not None:
            yield field.column
