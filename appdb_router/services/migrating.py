"""Bringing the tables of one database up to date, and verifying the result by its tables."""

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib import import_module
from typing import Any, TextIO

from django.apps import apps
from django.core.management import call_command, get_commands, load_command_class
from django.core.management.base import CommandError
from django.core.management.commands.migrate import Command as MigrateCommand
from django.core.management.sql import emit_post_migrate_signal, emit_pre_migrate_signal
from django.db import connections, router
from django.db.migrations.migration import Migration
from django.utils import translation
from django.utils.module_loading import module_has_submodule

from ..exceptions import DatabaseOperationError
from ..routers import AppDatabaseRouter
from .content_types import core_for, labels_on, missing_labels
from .executing import AppExecutor
from .loading import Key, loading, names_on_disk
from .ordering import Elsewhere, WaitsForOthersError, applicable, require_core
from .probing import is_missing_file, missing_tables_of
from .recording import UNFINISHED, is_unfinished, recorded
from .rendering import rendered_apps
from .verifying import verify

__all__ = ["Executor", "is_up_to_date", "migrate"]


class Executor(StrEnum):
    """Who applies the migrations: this package, or Django's ``migrate`` as it is."""

    APPS = "apps"
    DJANGO = "django"


def migrate(
    alias: str,
    *,
    executor: Executor = Executor.APPS,
    verbosity: int = 0,
    stdout: TextIO | None = None,
    rows: Collection[Key] | None = None,
    elsewhere: Elsewhere | None = None,
) -> tuple[str, ...]:
    """Do on ``alias`` what ``migrate --run-syncdb`` does, verify it, and return what was applied.

    These are migrations, as ``app.name``; those that are only recorded, because their apps live
    elsewhere, are not returned. When nothing is pending, nothing is done, unless an earlier run was
    killed before it had sent its signals. ``rows`` are those of ``django_migrations``, if they are
    known, and ``elsewhere`` is what is known of other databases.

    Raises whatever a migration raises, ``WaitsForOthersError`` if migrations in other
    databases are needed first, and ``DatabaseOperationError`` if tables are missing afterwards.
    """
    applied = apply_migrations(
        alias,
        executor=executor,
        verbosity=verbosity,
        stdout=stdout,
        rows=rows,
        elsewhere=elsewhere,
    )
    verify(alias)
    return applied


def apply_migrations(
    alias: str,
    *,
    executor: Executor,
    verbosity: int,
    stdout: TextIO | None,
    rows: Collection[Key] | None,
    elsewhere: Elsewhere | None,
) -> tuple[str, ...]:
    """Do what ``migrate`` does, but for verifying the tables."""
    before = set(recorded(alias) if rows is None else rows)
    waiting: list[str] = []
    if executor == Executor.DJANGO or not _is_predictable():
        with loading:
            call_command(
                "migrate",
                database=alias,
                run_syncdb=True,
                interactive=False,
                verbosity=verbosity,
                **({"stdout": stdout} if stdout else {}),
            )
    elif not is_up_to_date(alias, before):
        elsewhere = elsewhere or Elsewhere()
        require_core(alias, elsewhere)
        with translation.override(None):
            waiting = _Run(alias, verbosity, stdout, before, elsewhere).run()
    after = recorded(alias)
    if elsewhere:
        elsewhere.note(alias, after)
    if waiting:
        raise WaitsForOthersError(
            f"{'; '.join(waiting)}, where it is not applied. Initialise that database first, or all"
            " with 'db_init --all-apps'.",
            _named(alias, after - before),
        )
    names, _ = names_on_disk()
    if pending := _named(alias, names - after):
        raise DatabaseOperationError(f"After migrating, still pending: {', '.join(pending)}.")
    return _named(alias, after - before)


def _named(alias: str, keys: Collection[Key]) -> tuple[str, ...]:
    """Return as ``app.name`` the migrations of the apps that live here."""
    return tuple(".".join(key) for key in sorted(keys) if router.allow_migrate(alias, key[0]))


def is_up_to_date(alias: str, rows: Collection[Key] | None = None) -> bool:
    """Tell whether nothing is to be done on ``alias``, with one query and without any lock.

    ``rows`` are those of ``django_migrations``, if they are known. Another query is made where apps
    without migrations live, and one to the core alias, for content types and permissions. Raises
    ``django.db.Error`` if a database cannot be asked.
    """
    if rows is None:
        rows = recorded(alias)
    if not is_recorded(alias, rows):
        return False
    core = core_for(alias)
    if core is None:
        return True
    # Asking would create it.
    return not is_missing_file(connections[core]) and not missing_labels(core, labels_on(alias))


def is_recorded(alias: str, rows: Collection[Key]) -> bool:
    """Tell whether all migrations are in ``rows``, and the tables of apps without any are there."""
    names, without = names_on_disk()
    if not names <= set(rows) or is_unfinished(rows):
        return False
    return not missing_tables_of(without, connections[alias])


def _is_predictable() -> bool:
    """Tell whether nobody else has a say in where and how migrations are applied."""
    command = load_command_class(get_commands()["migrate"], "migrate")
    return type(command) is MigrateCommand and [type(item) for item in router.routers] == [
        AppDatabaseRouter
    ]


@dataclass
class _Run:
    """What Django's ``migrate`` does, in the same order, with ``AppExecutor``."""

    alias: str
    verbosity: int
    stdout: TextIO | None
    rows: Collection[Key]
    elsewhere: Elsewhere

    def __post_init__(self) -> None:
        self._command = MigrateCommand(stdout=self.stdout)
        self._command.verbosity = self.verbosity
        self._connection = connections[self.alias]

    def run(self) -> list[str]:
        """Apply what can be applied, and return why the rest has to wait."""
        _import_management()
        self._connection.prepare_database()
        report = self._command.migration_progress_callback
        executor = AppExecutor(self._connection, report, self.rows)
        loader = executor.loader
        if loader.applied_migrations:
            loader.check_consistent_history(self._connection)
        if conflicts := loader.detect_conflicts():
            raise CommandError(_conflicts(conflicts))
        ready, waiting = applicable(self.alias, loader.pending(), loader.graph, self.elsewhere)
        plan = [(migration, False) for migration in ready]
        self._emit(emit_pre_migrate_signal, plan, executor)
        executor.recorder.note(UNFINISHED)
        if missing_tables_of(loader.unmigrated_apps, self._connection):
            self._command.sync_apps(self._connection, loader.unmigrated_apps)
        executor.apply(ready)
        self._emit(emit_post_migrate_signal, plan, executor)
        if core := core_for(self.alias):
            self.elsewhere.add_types(core, labels_on(self.alias), rendered_apps(executor))
        executor.recorder.take_back(UNFINISHED)
        return waiting

    def _emit(self, emit: Any, plan: list[tuple[Migration, bool]], executor: AppExecutor) -> None:
        emit(
            self.verbosity,
            False,
            self.alias,
            stdout=self._command.stdout,
            apps=rendered_apps(executor),
            plan=plan,
        )


@cache
def _import_management() -> None:
    """Import where Django's ``migrate`` looks for receivers of its signals."""
    for config in apps.get_app_configs():
        if module_has_submodule(config.module, "management"):
            import_module(".management", config.name)


def _conflicts(found: dict[str, list[str]]) -> str:
    names = "; ".join(f"{', '.join(names)} in {label}" for label, names in found.items())
    return (
        f"Conflicting migrations detected; multiple leaf nodes in the migration graph: ({names}).\n"
        "To fix them run 'python manage.py makemigrations --merge'"
    )
