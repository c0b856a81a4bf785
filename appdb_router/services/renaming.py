"""``RenameModel`` of an app whose content types are in another database.

Django renames a content type on the database that it migrates, if the router lets the app's
operations run there. Here that is never so. The rule that holds instead: a content type is renamed
on the core alias in the transaction that records the migration there, whichever of the two
databases is migrated first. So it is renamed exactly once, whenever a process is killed.
"""

from collections.abc import Iterable
from typing import Any

from django.apps import apps
from django.db import IntegrityError, connections, transaction
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.migration import Migration
from django.db.migrations.operations import RenameModel
from django.db.migrations.operations.base import Operation
from django.utils.module_loading import import_string

from ..exceptions import DatabaseOperationError
from ..relations.homes import canonical
from ..topology import get_topology
from .executing import AppExecutor
from .loading import replace_operations

Pair = tuple[str, str]


class RenameContentTypes(Operation):
    """What ``migration`` renames; it is put behind the migration's own operations."""

    reduces_to_sql = False
    needs_models = False

    def __init__(self, migration: Migration) -> None:
        self.migration = migration
        self.pairs = renames(migration)

    def state_forwards(self, app_label: str, state: Any) -> None:
        """Change nothing: content types are rows."""

    def database_forwards(
        self,
        app_label: str,
        schema_editor: BaseDatabaseSchemaEditor,
        from_state: Any,  # noqa: ARG002  Of Django's signature.
        to_state: Any,  # noqa: ARG002
    ) -> None:
        """Rename on the core alias, now if it is the one that is migrated."""
        core = _core_alias()
        if canonical(schema_editor.connection.alias) == core:
            _rename(core, app_label, self.pairs)
        else:
            _record_on_core(core, (app_label, self.migration.name))

    def database_backwards(
        self,
        app_label: str,
        schema_editor: BaseDatabaseSchemaEditor,
        from_state: Any,  # noqa: ARG002
        to_state: Any,  # noqa: ARG002
    ) -> None:
        """Rename back where the record is taken back."""
        if canonical(schema_editor.connection.alias) == _core_alias():
            back = [(new, old) for old, new in reversed(self.pairs)]
            _rename(_core_alias(), app_label, back)


def renames(migration: Migration) -> list[Pair]:
    """Return the models that ``migration`` renames: their old and new names, in lower case."""
    return [
        (operation.old_name_lower, operation.new_name_lower)
        for operation in migration.operations
        if isinstance(operation, RenameModel)
    ]


def add_renames(using: str, plan: Iterable[tuple[Migration, bool]]) -> None:
    """Add the renaming of content types to the migrations of ``plan`` that need it on ``using``."""
    topology = get_topology()
    core, here = topology.core_alias, canonical(using)
    migrations = [migration for migration, _ in plan]
    # With the table of content types there are none yet.
    if core is None or any(item.app_label == "contenttypes" for item in migrations):
        return
    for migration in migrations:
        home = topology.routes.get(migration.app_label)
        # At home on the core alias, Django does it.
        if home != core and here in {home, core} and renames(migration):
            replace_operations(migration, [*migration.operations, RenameContentTypes(migration)])


def _rename(alias: str, label: str, pairs: Iterable[Pair]) -> None:
    content_types = _content_type().objects
    for old, new in pairs:
        found = content_types.using(alias).filter(app_label=label, model=old)
        try:
            with transaction.atomic(using=alias):
                found.update(model=new)
        except IntegrityError:
            # As in Django: both are there, and ``remove_stale_contenttypes`` asks about the old.
            continue
    content_types.clear_cache()


def _record_on_core(alias: str, key: tuple[str, str]) -> None:
    connection = connections[alias]
    if _content_type()._meta.db_table not in connection.introspection.table_names():
        return
    executor = AppExecutor(connection)
    graph, applied = executor.loader.graph, executor.loader.applied_migrations or {}
    if key in applied or key not in graph:
        return
    todo = [graph.nodes[item] for item in graph.forwards_plan(key) if item not in applied]
    routes = get_topology().routes
    if own := [str(item) for item in todo if routes.get(item.app_label) == alias]:
        raise DatabaseOperationError(
            f"{'.'.join(key)} renames a model whose content type is in the database {alias!r},"
            f" which lacks {', '.join(own)}. Migrate {alias!r} first."
        )
    with transaction.atomic(using=alias):
        for migration in todo:
            _rename(alias, migration.app_label, renames(migration))
            executor.record(migration)
        executor.recorder.flush()
        for migration in todo:
            _rename_permissions(alias, migration)


def _rename_permissions(alias: str, migration: Migration) -> None:
    """Do what a receiver does since Django 6.1 when the database of permissions is migrated."""
    if not apps.is_installed("django.contrib.auth"):
        return
    name = "django.contrib.auth.management.rename_permissions_after_model_rename"
    try:
        rename = import_string(name)
    except ImportError:
        return
    config = apps.get_app_config(migration.app_label)
    rename(config, plan=[(migration, False)], using=alias, verbosity=0)


def _content_type() -> Any:
    return apps.get_model("contenttypes", "ContentType")


def _core_alias() -> str:
    # Without one, nothing was added.
    return str(get_topology().core_alias)
