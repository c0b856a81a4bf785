"""The migrations on disk: read once in a process, however many databases there are."""

from collections.abc import Callable, Collection, Iterable
from copy import copy
from functools import wraps
from importlib import import_module
from pkgutil import iter_modules
from threading import RLock
from typing import Any, TypeVar

from django.apps import apps
from django.core.signals import setting_changed
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations.graph import MigrationGraph
from django.db.migrations.loader import MIGRATIONS_MODULE_NAME, MigrationLoader
from django.db.migrations.migration import Migration
from django.db.migrations.operations.base import Operation
from django.db.migrations.recorder import MigrationRecorder
from django.db.models import Field

Key = tuple[str, str]
Result = TypeVar("Result")

# Django's own loader reloads the modules of migrations, which two threads must not do at once.
# Nobody waits for it who holds a lock of a database: what ``_once`` reads was read before.
loading = RLock()


def _once(read: Callable[[], Result]) -> Callable[[], Result]:
    """Call ``read`` in one thread, once, and keep what it returns until a setting changes."""
    found: list[Result] = []

    @wraps(read)
    def get() -> Result:
        if not found:
            with loading:
                if not found:
                    found.append(read())
        return found[0]

    def forget(*, setting: str, **_kwargs: object) -> None:
        if setting in {"INSTALLED_APPS", "MIGRATION_MODULES"}:
            found.clear()

    setting_changed.connect(forget, weak=False)
    return get


class _CopyingLoader(MigrationLoader):
    """Django's loader, which imports and reloads nothing for the second database.

    Each loader has migrations of its own, since receivers of ``pre_migrate`` insert operations.
    """

    def load_disk(self) -> None:
        """Take what the first loader of this process found."""
        found = _disk()
        self.unmigrated_apps = set(found.unmigrated_apps)
        self.migrated_apps = set(found.migrated_apps)
        self.disk_migrations = {
            (label, name): type(migration)(name, label)
            for (label, name), migration in (found.disk_migrations or {}).items()
        }


class SharedLoader(_CopyingLoader):
    """Django's loader, which builds the graph once in a process, however many databases there are.

    ``rows`` are those of ``django_migrations``, if they are known already.
    """

    def __init__(
        self, connection: BaseDatabaseWrapper | None, rows: Collection[Key] | None = None
    ) -> None:
        self._rows = rows
        super().__init__(connection)

    def build_graph(self) -> None:
        """Take over the structure of the first graph, and fill it with migrations of its own."""
        shared = _shared_graph()
        if shared is None:
            super().build_graph()
            return
        self.load_disk()
        self.applied_migrations = self._applied()
        self.replacements = {}
        self.graph = MigrationGraph()
        # It has keys only, which nothing changes once the graph is built.
        self.graph.node_map = shared.node_map
        self.graph.nodes = {key: self.disk_migrations[key] for key in shared.nodes}

    def full_plan(self) -> list[Migration]:
        """Return all migrations in the order in which Django applies them to an empty database."""
        nodes = self.graph.nodes
        shared = _shared_graph()
        return [nodes[key] for key in (_order(self.graph) if shared is None else _shared_order())]

    def pending(self) -> list[Migration]:
        """Return the migrations that are not applied, in the order of Django's ``migrate``."""
        if not self.applied_migrations:
            return self.full_plan()
        return [self.graph.nodes[key] for key in _order(self.graph, self.applied_migrations)]

    def take_over_all(self) -> None:
        """Give each migration operations of its own, see ``take_over``."""
        for migration in self.graph.nodes.values():
            take_over(migration)

    def _applied(self) -> dict[Key, Any]:
        if self._rows is not None:
            return dict.fromkeys(self._rows)
        if self.connection is None:
            return {}
        return MigrationRecorder(self.connection).applied_migrations()


def _order(graph: MigrationGraph, applied: Collection[Key] = ()) -> list[Key]:
    """Return the keys of Django's plan for all leaves of ``graph``."""
    seen = set(applied)
    order = []
    for leaf in graph.leaf_nodes():
        # What an applied leaf depends on is applied, or the history is inconsistent.
        if leaf not in applied:
            for key in graph.forwards_plan(leaf):
                if key not in seen:
                    seen.add(key)
                    order.append(key)
    return order


@_once
def _disk() -> MigrationLoader:
    loader = MigrationLoader(None, load=False)
    loader.load_disk()
    return loader


@_once
def _shared_graph() -> MigrationGraph | None:
    """Return a graph of the files; where migrations replace others, each database has its own."""
    loader = _CopyingLoader(None)
    return None if loader.replacements else loader.graph


@_once
def _shared_order() -> list[Key]:
    shared = _shared_graph()
    return [] if shared is None else _order(shared)


@_once
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
