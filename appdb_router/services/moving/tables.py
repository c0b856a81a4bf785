"""The tables of a move, as all of its parts know them."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from django.apps import apps
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Model

from ..catalogs import fold_column
from .columns import StoredTable, column_named, stored_table

__all__ = ["MovedTable", "moved_tables"]


@dataclass(frozen=True)
class MovedTable:
    """A table to move: that of ``model``, an automatic many-to-many table included.

    ``name`` is its ``db_table``. ``columns`` are those that are written, by name, in an order that
    both databases share; what the server computes itself (generated columns) is not among them.
    ``key`` are the columns of the primary key, in its order, and empty where the source has none.
    """

    model: type[Model]
    name: str
    columns: tuple[str, ...]
    key: tuple[str, ...]

    @property
    def label(self) -> str:
        """The app's label."""
        return self.model._meta.app_label


def moved_tables(labels: Collection[str], source: BaseDatabaseWrapper) -> tuple[MovedTable, ...]:
    """Return the tables of the apps ``labels``, parents before children where that is possible.

    The columns are all of those that the source has, also what the models do not know, so that
    nothing stays behind unnoticed; a table that is missing has those of its model.
    """
    models = {
        model._meta.db_table: model
        for label in labels
        for model in apps.get_app_config(label).get_models(include_auto_created=True)
        if _has_table(model, source)
    }
    return tuple(_moved(models[name], source) for name in _ordered(models))


def _has_table(model: type[Model], source: BaseDatabaseWrapper) -> bool:
    # The table of a many-to-many field is made with the model that has the field.
    owner: Any = model._meta.auto_created or model
    return bool(owner._meta.can_migrate(source)) and not model._meta.proxy


def _moved(model: type[Model], source: BaseDatabaseWrapper) -> MovedTable:
    name = model._meta.db_table
    stored = stored_table(source, name)
    known = tuple(_model_columns(model, source))
    if stored is None:
        key = tuple(str(field.column) for field in model._meta.pk_fields)
        return MovedTable(model, name, known, key)
    return MovedTable(
        model,
        name,
        tuple(_all_columns(known, stored, source)),
        tuple(_named_as(known, column, source) for column in stored.key),
    )


def _model_columns(model: type[Model], source: BaseDatabaseWrapper) -> Iterator[str]:
    for field in model._meta.local_concrete_fields:
        if not field.generated and field.db_parameters(source)["type"] is not None:
            yield str(field.column)


def _all_columns(
    known: Sequence[str], stored: StoredTable, source: BaseDatabaseWrapper
) -> Iterator[str]:
    yield from known
    matched = {item.name for name in known if (item := column_named(source, stored, name))}
    for item in stored.columns.values():
        if not item.is_generated and item.name not in matched:
            yield item.name


def _named_as(known: Sequence[str], column: str, source: BaseDatabaseWrapper) -> str:
    """Return the name that the model has for ``column``, if it has one."""
    folded = fold_column(source, column)
    return next((name for name in known if fold_column(source, name) == folded), column)


def _ordered(models: dict[str, type[Model]]) -> list[str]:
    """Return the names of the tables, parents first; of a circle, the first stays the first."""
    parents = {
        name: sorted(_referred(model) & models.keys() - {name}) for name, model in models.items()
    }
    ordered: dict[str, None] = {}

    def visit(name: str, above: frozenset[str]) -> None:
        for parent in parents[name]:
            if parent not in above and parent not in ordered:
                visit(parent, above | {parent})
        ordered[name] = None

    for name in models:
        visit(name, frozenset({name}))
    return list(ordered)


def _referred(model: type[Model]) -> set[str]:
    fields: Any = model._meta.local_concrete_fields
    return {field.related_model._meta.db_table for field in fields if field.remote_field}
