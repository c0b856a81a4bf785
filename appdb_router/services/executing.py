"""Applying to a database the migrations of the apps that live there, and recording the others."""

from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from django.db import transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.migration import Migration
from django.db.migrations.operations import RunPython
from django.db.migrations.operations.base import Operation
from django.db.migrations.recorder import MigrationRecorder
from django.db.migrations.state import ProjectState

from .judging import is_known, is_schema_only, needs_models, operations_to_run, runs_python
from .loading import Key, SharedLoader, flat, replace_operations, take_over
from .recording import BufferingRecorder

# Each table, index and sequence that a transaction makes takes a lock, and PostgreSQL's table of
# locks has room for some thousands.
_LARGEST_GROUP = 40


# The beginning of the note that an error gets.
FAILED = "While applying "


class WholeStateNeeded(BaseException):
    """A ``RunPython`` asks for models of which it declares no need; not for its ``except``."""


class DeclaredModels:
    """The registry that a ``RunPython`` is given: the apps that its migration depends on.

    Whatever else it asks for, its migration is begun again with the models of all apps.
    """

    def __init__(self, apps: Any, absent: Collection[str]) -> None:
        self._apps = apps
        self._absent = absent

    def get_model(self, app_label: str, *args: Any, **kwargs: Any) -> Any:
        """Return the model, as the registry's method of this name does."""
        if app_label.split(".")[0] in self._absent:
            raise WholeStateNeeded
        return self._apps.get_model(app_label, *args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        raise WholeStateNeeded


@dataclass
class Group:
    """Migrations that are applied or only recorded, in one transaction if it ``is_atomic``."""

    is_atomic: bool = True
    may_grow: bool = False
    applied: int = 0
    migrations: list[Migration] = field(default_factory=list)


class SharedExecutor(MigrationExecutor):
    """Django's executor, which reads nothing from disk for the second database.

    ``rows`` are those of ``django_migrations``, if they are known already.
    """

    loader: SharedLoader

    def __init__(
        self,
        connection: BaseDatabaseWrapper,
        progress_callback: Callable[..., Any] | None = None,
        rows: Collection[Key] | None = None,
    ) -> None:
        # Not the inherited one: it would read all migrations from disk again.
        self.connection = connection
        self.loader = SharedLoader(connection, rows)
        self.recorder = MigrationRecorder(connection)
        self.progress_callback = progress_callback


class AppExecutor(SharedExecutor):
    """Django's executor, for a database that has only some of the apps.

    What happens is the same, and the rows of ``django_migrations`` are the same in the same order:
    a migration that would do nothing here is only recorded. The models that the others see are
    those of the apps that they depend on, rather than of all apps.
    """

    recorder: BufferingRecorder

    def __init__(
        self,
        connection: BaseDatabaseWrapper,
        progress_callback: Callable[..., Any] | None = None,
        rows: Collection[Key] | None = None,
    ) -> None:
        super().__init__(connection, rows=rows)
        self.recorder = BufferingRecorder(connection)
        self._report = progress_callback or (lambda *args: None)
        self._done = set(self.loader.applied_migrations or ())
        self._can_roll_back = bool(connection.features.can_rollback_ddl)

    def apply(self, plan: Collection[Migration]) -> None:
        """Apply ``plan``, in the order that Django would, and record it.

        A database without any migration gets several in one transaction.
        """
        wanted = set(plan)
        ordered = [item for item in self.loader.full_plan() if item in wanted]
        self._todo = {item: operations_to_run(item, self.connection.alias) for item in ordered}
        self._labels = self._needed_labels([item for item in ordered if self._todo[item]])
        groups = list(self._groups(ordered, is_empty=not self._done))
        state = self._state()
        for group in groups:
            try:
                state = self._apply_group(group, state)
            except WholeStateNeeded:
                self.recorder.discard()
                self._labels = set(self.loader.migrated_apps)
                state = self._apply_group(group, self._state())
            self._done.update((item.app_label, item.name) for item in group.migrations)
        if self.loader.replacements:
            self.check_replacements()
            self.recorder.flush()

    def _needed_labels(self, applied: Iterable[Migration]) -> set[str]:
        """Return the apps whose models the migrations to apply can see by their dependencies."""
        wanted: set[str] = set()
        for migration in applied:
            if not any(needs_models(operation) for operation in self._todo[migration]):
                continue
            if not is_known(migration) or (
                # It could not be begun again.
                runs_python(migration) and not (migration.atomic and self._can_roll_back)
            ):
                return set(self.loader.migrated_apps)
            wanted.add(migration.app_label)
        parents: dict[str, set[str]] = {}
        for key, node in self.loader.graph.node_map.items():
            parents.setdefault(key[0], set()).update(parent.key[0] for parent in node.parents)
        found: set[str] = set()
        while wanted:
            found.add(label := wanted.pop())
            wanted |= parents.get(label, set()) - found
        return found

    def _groups(self, ordered: Iterable[Migration], *, is_empty: bool) -> Iterator[Group]:
        group = Group()
        for migration in ordered:
            if self._todo[migration]:
                is_atomic = migration.atomic and self._can_roll_back
                may_join = is_empty and is_atomic and is_schema_only(migration)
                starts_it = is_atomic and not group.applied
                if not starts_it and not (may_join and group.may_grow):
                    if group.migrations:
                        yield group
                    group = Group(is_atomic)
                group.may_grow = may_join and group.applied < _LARGEST_GROUP
                group.applied += 1
            group.migrations.append(migration)
        if group.migrations:
            yield group

    def applied_keys(self) -> frozenset[Key]:
        """Return the migrations that are applied now, by their keys."""
        return frozenset(self._done.intersection(self.loader.graph.nodes))

    def applied(self) -> list[Migration]:
        """Return the migrations that are applied now, in the order of the whole plan."""
        plan = self.loader.full_plan()
        return [item for item in plan if (item.app_label, item.name) in self._done]

    def state_after(self, migrations: Iterable[Migration]) -> ProjectState:
        """Return the models after ``migrations``, with those of the apps that have none."""
        state = ProjectState(real_apps=self.loader.unmigrated_apps)
        for migration in migrations:
            take_over(migration)
            migration.mutate_state(state, preserve=False)
        return state

    def _state(self) -> ProjectState:
        return self.state_after(item for item in self.applied() if self._is_needed(item))

    def _is_needed(self, migration: Migration) -> bool:
        return migration.app_label in self._labels

    def _apply_group(self, group: Group, state: ProjectState) -> ProjectState:
        with self._editor(group) as editor:
            for migration in group.migrations:
                if self._todo[migration]:
                    state = self._apply(migration, state, editor)
                elif self._is_needed(migration):
                    take_over(migration)
                    # Rendering once more is cheaper than with each operation.
                    state.__dict__.pop("apps", None)
                    migration.mutate_state(state, preserve=False)
                self.record(migration)
            self.recorder.flush()
        return state

    def record(self, migration: Migration) -> None:
        """Record ``migration`` as applied at the next flush."""
        if migration.replaces:
            # What of these is recorded too, Django's versions do not agree on.
            self.apply_migration(ProjectState(), migration, fake=True)
        else:
            self.recorder.record_applied(migration.app_label, migration.name)

    @contextmanager
    def _editor(self, group: Group) -> Iterator[Any]:
        if group.applied:
            with self.connection.schema_editor(atomic=group.is_atomic) as editor:
                yield editor
        else:
            with transaction.atomic(self.connection.alias):
                yield None

    def _apply(
        self, migration: Migration, state: ProjectState, editor: BaseDatabaseSchemaEditor
    ) -> ProjectState:
        if not self._is_needed(migration):
            # The others belong to the models that the migration leaves behind.
            migration = copy(migration)
            replace_operations(migration, self._todo[migration])
        take_over(migration)
        self._watch(flat(migration.operations))
        if "apps" not in state.__dict__:
            self._report("render_start")
            _ = state.apps
            self._report("render_success")
        self._report("apply_start", migration, False)
        try:
            state = migration.apply(state, editor)
            # Django runs them when it closes the editor, behind each migration.
            for statement in self._joined(editor):
                editor.execute(statement, None)
        except Exception as error:
            error.add_note(f"{FAILED}{migration}")
            raise
        editor.deferred_sql.clear()
        self._report("apply_success", migration, False)
        return state

    def _joined(self, editor: BaseDatabaseSchemaEditor) -> Iterable[Any]:
        """Return the editor's deferred statements, as one where the server takes several."""
        statements: list[Any] = editor.deferred_sql
        if statements and self.connection.vendor == "postgresql" and editor.atomic_migration:
            return ["; ".join(map(str, statements))]
        return statements

    def _watch(self, operations: Iterable[Operation]) -> None:
        for operation in operations:
            if isinstance(operation, RunPython):
                operation.code = partial(self._call, operation.code)

    def _call(self, code: Callable[..., Any], apps: Any, editor: BaseDatabaseSchemaEditor) -> None:
        absent = self.loader.migrated_apps - self._labels
        code(DeclaredModels(apps, absent) if absent else apps, editor)
