"""What a migration can do to a database, as far as that can be known without running it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import chain
from typing import Any

from django.db import router
from django.db.migrations.migration import Migration
from django.db.migrations.operations import RunPython, RunSQL, SeparateDatabaseAndState
from django.db.migrations.operations.base import Operation

from .loading import flat

_SCHEMA_MODULES = {
    "django.db.migrations.operations.fields",
    "django.db.migrations.operations.models",
}
# They do something besides, such as registering types, and ask the router as the others do.
_OTHER_MODULES = {"django.contrib.contenttypes.management", "django.contrib.postgres.operations"}
_SPECIAL = (RunPython, RunSQL, SeparateDatabaseAndState)
_METHODS = ("apply", "mutate_state")


@dataclass(frozen=True)
class _Judgement:
    """What is known of operations: ``asks_alike`` if all ask the router by their label alone.

    ``is_plain`` tells that the class of the migration overrides nothing of Django's.
    """

    is_plain: bool
    is_known: bool
    is_schema_only: bool
    asks_alike: bool


def is_known(migration: Migration) -> bool:
    """Tell whether all that happens in ``migration`` is Django's own code, or its RunPython's.

    An operation of somebody else may look at any model.
    """
    return _judged(migration).is_known


def is_schema_only(migration: Migration) -> bool:
    """Tell whether ``migration`` changes tables, but neither rows nor anything unknown."""
    return _judged(migration).is_schema_only


def runs_python(migration: Migration) -> bool:
    """Tell whether ``migration`` runs a function, which is given the models."""
    return any(isinstance(operation, RunPython) for operation in flat(migration.operations))


def needs_models(operation: Operation) -> bool:
    """Tell whether ``operation`` looks at models, as all but one of this package's own do."""
    return getattr(operation, "needs_models", True)


def operations_to_run(migration: Migration, alias: str) -> list[Operation]:
    """Return the operations of ``migration`` that are run on ``alias``: where the app lives, all.

    Django leaves it to each operation to ask the router. One of somebody else's may not, and would
    be run on every database, and would need the models of its app there. A migration whose class
    overrides what Django's does is run everywhere, as by Django.
    """
    judged, label = _judged(migration), migration.app_label
    if not judged.is_plain:
        return [*migration.operations]
    if judged.asks_alike:
        return [*migration.operations] if router.allow_migrate(alias, label) else []
    return [
        operation
        for operation in migration.operations
        if any(_is_allowed(item, label, alias) for item in _parts(operation))
    ]


def _judged(migration: Migration) -> _Judgement:
    # The stubs take the hash of an instance for that of the class.
    kind: Any = type(migration)
    operations = migration.operations
    # Receivers of ``pre_migrate`` may have added some.
    return _judged_class(kind) if operations == kind.operations else _judge(kind, operations)


@cache
def _judged_class(kind: Any) -> _Judgement:
    return _judge(kind, kind.operations)


def _judge(kind: type[Migration], operations: Sequence[Operation]) -> _Judgement:
    is_plain = all(getattr(kind, name) is getattr(Migration, name) for name in _METHODS)
    is_known = is_plain and all(_is_known(operation) for operation in _all(operations))
    run = [[*_parts(operation)] for operation in operations]
    return _Judgement(
        is_plain,
        is_known,
        is_known and all(type(item).__module__ in _SCHEMA_MODULES for item in chain(*run)),
        all(run) and all(_asks_by_label(item) for item in chain(*run)),
    )


def _asks_by_label(operation: Operation) -> bool:
    return needs_models(operation) and not getattr(operation, "hints", None)


def _is_allowed(operation: Operation, label: str, alias: str) -> bool:
    if not needs_models(operation):
        return True
    return router.allow_migrate(alias, label, **getattr(operation, "hints", {}))


def _parts(operation: Operation) -> Iterable[Operation]:
    # What derives from SeparateDatabaseAndState may do more than its parts.
    return flat([operation]) if _is_known(operation) else [operation]


def _is_known(operation: Operation) -> bool:
    kind = type(operation)
    if kind in _SPECIAL or not needs_models(operation):
        return True
    return kind.__module__ in _SCHEMA_MODULES | _OTHER_MODULES


def _all(operations: Iterable[Operation]) -> Iterable[Operation]:
    """Yield ``operations`` and all within them, those that change only the state as well."""
    for operation in operations:
        yield operation
        for name in ("database_operations", "state_operations"):
            yield from _all(getattr(operation, name, ()))
