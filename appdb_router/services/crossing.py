"""Relations into another database that cannot work, refused before any SQL."""

from collections.abc import Iterable, Iterator
from typing import Any

from django.db.migrations.migration import Migration
from django.db.migrations.operations import AddField, AlterField, CreateModel
from django.db.models import Field
from django.db.models.fields.related import RelatedField

from ..exceptions import DatabaseOperationError
from ..topology import Topology, get_topology
from .loading import flat


def refuse_crossing(using: str, plan: Iterable[tuple[Migration, bool]]) -> None:
    """Raise ``DatabaseOperationError`` if ``plan`` makes a relation across that cannot work.

    These are a parent model in another database, and deleting by a database (``DB_CASCADE`` and its
    like). Other foreign keys become plain columns.
    """
    topology = get_topology()
    here = topology.canonical_of(using)
    found = [
        f"{owner}.{name} to {target} in {topology.routes[label]!r} ({migration})"
        for migration, is_backwards in plan
        if not is_backwards and _lives(topology, migration.app_label, here)
        for owner, name, target, label in _impossible(migration)
        if label in topology.routes and not _lives(topology, label, here)
    ]
    if found:
        raise DatabaseOperationError(
            f"Relations from {here!r} into another database that cannot work: {'; '.join(found)}."
            " Neither can a model have its parent there, nor can a database delete what belongs to"
            " another's rows. Keep both apps in one database, with together= of build_databases()."
        )


def _lives(topology: Topology, label: str, alias: str) -> bool:
    return label in topology.routes and topology.has_tables(label, alias)


def _impossible(migration: Migration) -> Iterator[tuple[str, str, str, str]]:
    """Yield model, field, target and target's label of what works in one database only."""
    for model, name, field in _fields(migration):
        if not isinstance(field, RelatedField) or not _needs_database(field):
            continue
        target: Any = field.remote_field.model
        text = target if isinstance(target, str) else target._meta.label
        label = text.split(".")[0] if "." in text else migration.app_label
        yield f"{migration.app_label}.{model}", name, text, label


def _needs_database(field: Any) -> bool:
    rel = field.remote_field
    return bool(getattr(rel, "parent_link", False)) or hasattr(
        getattr(rel, "on_delete", None), "on_delete_sql"
    )


def _fields(migration: Migration) -> Iterator[tuple[str, str, "Field[Any, Any]"]]:
    for operation in flat(migration.operations):
        if isinstance(operation, CreateModel):
            if operation.options.get("managed", True) and not operation.options.get("proxy"):
                yield from ((operation.name, name, field) for name, field in operation.fields)
        elif isinstance(operation, AddField | AlterField):
            yield operation.model_name, operation.name, operation.field
