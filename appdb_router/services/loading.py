"""The migrations on disk: read once in a process, however many databases there are."""

from collections.abc import Iterable
from copy import copy
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

from django.apps import apps
from django.core.signals import setting_changed
from django.db.migrations.loader import MIGRATIONS_MODULE_NAME, MigrationLoader
from django.db.migrations.migration import Migration
from django.db.migrations.operations.base import Operation
from django.db.models import Field

from .probing import loading

Key = tuple[str, str]


class SharedLoader(MigrationLoader):
    """Django's loader, which imports and reloads nothing for the second database.

    Each loader has migrations of its own, since receivers of ``pre_migrate`` insert operations.
    """

    def load_disk(self) -> None:
        """Take what the first loader of this process found."""
        with loading:
            found = _disk()
        self.unmigrated_apps = set(found.unmigrated_apps)
        self.migrated_apps = set(found.migrated_apps)
        self.disk_migrations = {
            (label, name): type(migration)(name, label)
            for (label, name), migration in (found.disk_migrations or {}).items()
        }


@cache
def _disk() -> MigrationLoader:
    loader = MigrationLoader(None, load=False)
    loader.load_disk()
    return loader


@cache
def names_on_disk() -> tuple[frozenset[Key], frozenset[str]]:
    """Return the migrations by their names, and the apps that have none, importing no migration.

    Raises what importing an app's package of migrations raises.
    """
    names: set[Key] = set()
    without: set[str] = set()
    for config in apps.get_app_configs():
        found = _names(config.label)
        names.update((config.label, name) for name in found or ())
        if found is None:
            without.add(config.label)
    return frozenset(names), frozenset(without)


def _names(label: str) -> list[str] | None:
    module_name, is_explicit = MigrationLoader.migrations_module(label)
    if module_name is None:
        return None
    try:
        module = import_module(module_name)
    except ModuleNotFoundError as error:
        if is_explicit or MIGRATIONS_MODULE_NAME not in str(error.name).split("."):
            raise
        return None
    if getattr(module, "__file__", None) is None or not hasattr(module, "__path__"):
        return None
    found = iter_modules(module.__path__)
    return [item.name for item in found if not item.ispkg and item.name[0] not in "_~"]


def _forget(*, setting: str, **_kwargs: object) -> None:
    if setting in {"INSTALLED_APPS", "MIGRATION_MODULES"}:
        _disk.cache_clear()
        names_on_disk.cache_clear()


setting_changed.connect(_forget)


def take_over(migration: Migration) -> None:
    """Give ``migration`` operations that it shares with no other loader.

    ``RenameField`` changes the fields that other operations hold, so a second database, or another
    thread, would see a model as it is later.
    """
    replace_operations(migration, [_own(operation) for operation in migration.operations])


def replace_operations(migration: Migration, operations: list[Operation]) -> None:
    """Give ``migration`` other operations than its class has."""
    # The stubs know the class attribute only.
    migration.operations = operations  # type: ignore[misc]


def _own(operation: Operation) -> Operation:
    own: Any = copy(operation)
    if isinstance(fields := getattr(own, "fields", None), list):
        own.fields = [(name, field.clone()) for name, field in fields]
    if isinstance(field := getattr(own, "field", None), Field):
        own.field = field.clone()
    for name in ("database_operations", "state_operations"):
        if nested := getattr(own, name, None):
            setattr(own, name, [_own(item) for item in nested])
    result: Operation = own
    return result


def flat(operations: Iterable[Operation]) -> Iterable[Operation]:
    """Yield ``operations``, and the database's of those that are separate from the state's."""
    for operation in operations:
        nested = getattr(operation, "database_operations", None)
        if nested is None:
            yield operation
        else:
            yield from flat(nested)
