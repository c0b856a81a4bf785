"""Foreign keys into another database, which no server can check."""

from collections.abc import Iterable, Iterator
from typing import Any

from django.db.migrations.migration import Migration
from django.db.migrations.operations import AddField, AlterField, CreateModel
from django.db.models import Field
from django.db.models.fields.related import RelatedField

from ..exceptions import DatabaseOperationError
from ..topology import get_topology
from .loading import flat


def refuse_crossing(using: str, plan: Iterable[tuple[Migration, bool]]) -> None:
    """Raise ``DatabaseOperationError`` if ``plan`` makes a foreign key into another database.

    The server would say that the other table does not exist, after other migrations were applied.
    """
    topology = get_topology()
    here = topology.canonical_aliases.get(using, using)
    found = [
        f"{owner}.{name} to {target} in {topology.routes[label]!r} ({migration})"
        for migration, is_backwards in plan
        if not is_backwards and topology.routes.get(migration.app_label) == here
        for owner, name, target, label in _constraints(migration)
        if topology.routes.get(label, here) != here
    ]
    if found:
        raise DatabaseOperationError(
            f"Foreign keys from {here!r} into another database: {'; '.join(found)}. No server"
            " checks these. Keep both apps in one database, with together= of build_databases(),"
            " or give the field db_constraint=False, in the migration as well."
        )


def _constraints(migration: Migration) -> Iterator[tuple[str, str, str, str]]:
    """Yield model, field, target and target's label of each foreign key that is to be made."""
    for model, name, field in _fields(migration):
        if not isinstance(field, RelatedField):
            continue
        # ForeignKey keeps db_constraint itself, ManyToManyField keeps it on its remote_field.
        holder = field if hasattr(field, "db_constraint") else field.remote_field
        if not getattr(holder, "db_constraint", True) or getattr(
            field.remote_field, "through", None
        ):
            continue
        target: Any = field.remote_field.model
        text = target if isinstance(target, str) else target._meta.label
        label = text.split(".")[0] if "." in text else migration.app_label
        yield f"{migration.app_label}.{model}", name, text, label


def _fields(migration: Migration) -> Iterator[tuple[str, str, "Field[Any, Any]"]]:
    for operation in flat(migration.operations):
        if isinstance(operation, CreateModel):
            if operation.options.get("managed", True) and not operation.options.get("proxy"):
                yield from ((operation.name, name, field) for name, field in operation.fields)
        elif isinstance(operation, AddField | AlterField):
            yield operation.model_name, operation.name, operation.field
