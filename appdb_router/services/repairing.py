"""Taking back records of migrations whose tables are missing, and applying the migrations.

Migrations of other apps that depend on these stay recorded in Django's eyes only as long as what
they depend on is: their rows are put aside, under a name that Django does not know, and put back
one by one as the order of migrations reaches them. So the history is consistent at every moment.
Where the server can undo DDL, all of it is one transaction. Where it cannot, rows that are still
aside tell the next run where to go on.
"""

from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass

from django.core.exceptions import ImproperlyConfigured
from django.db import Error, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations import Migration, RunPython, RunSQL
from django.db.migrations.recorder import MigrationRecorder
from django.db.migrations.state import ProjectState
from django.db.transaction import atomic

from ..exceptions import DatabaseOperationError
from .connecting import separate_connection, standing_in
from .executing import SharedExecutor
from .guarding import existing_tables_kept
from .inspecting import Gap, describe_gap, find_gaps
from .loading import Key, SharedLoader
from .moving.refusing import refuse_moving
from .probing import is_missing_file

__all__ = ["Repair", "plan_repairs", "repair"]

# No app can have a label with a colon.
_ASIDE = "aside:"


@dataclass(frozen=True)
class Repair:
    """What can be done about a gap: all of it, or nothing, and then ``refusal`` says why.

    ``data_migrations`` run Python or SQL of the project's, and are going to run again.
    """

    alias: str
    gap: Gap
    data_migrations: tuple[str, ...] = ()
    refusal: str | None = None

    def __str__(self) -> str:
        if self.refusal:
            return f"{self.alias}: cannot be repaired: {self.refusal}"
        names = ", ".join(self.gap.migrations)
        text = (
            f"{self.alias}: take back the records of {self.gap.label!r} ({names}) and migrate"
            f" again, which makes {self.gap}"
        )
        again = ", ".join(self.data_migrations)
        return text + (f"; these run code of their own again: {again}" if again else "")


def plan_repairs(aliases: Iterable[str]) -> list[Repair]:
    """Return what could be repaired in the databases ``aliases``, without changing anything.

    A database that cannot be looked at is left out: initialising it is going to say why.
    """
    repairs: list[Repair] = []
    for alias in aliases:
        try:
            with separate_connection(alias) as connection:
                if not is_missing_file(connection):
                    repairs += _plan(connection)
        except (Error, ImproperlyConfigured):
            continue
    return repairs


def needs_repair(labels: Collection[str], rows: Collection[Key]) -> bool:
    """Tell whether a repair of ``labels`` is asked for, or one was interrupted, by its records."""
    return bool(labels) or any(app.startswith(_ASIDE) for app, _ in rows)


def repair(alias: str, labels: Collection[str]) -> tuple[str, ...]:
    """Repair the apps ``labels`` as far as all of their tables are missing.

    Call it while holding the lock for migrating; migrations that nothing else here depends on are
    left to the ``migrate`` that has to follow. A repair that was interrupted is finished, also
    without any ``labels``. Returns what was applied, as ``app.name``. Raises whatever a migration
    raises, and ``DatabaseOperationError`` rather than alter a table that exists, or migrate an app
    that is being moved.
    """
    connection = connections[alias]
    recorder = MigrationRecorder(connection)
    if not recorder.has_table():
        return ()
    found = find_gaps(connection, labels) if labels else ()
    false = {gap.label for gap in found if gap.is_whole}
    if not false and not _put_aside(recorder):
        return ()
    with _referential_checks_off(connection), existing_tables_kept(connection):
        with atomic(using=alias):
            _take_back(connection, recorder, false)
            replay = _Replay(connection, recorder)
            in_one = replay.fits_one_transaction
            if in_one:
                replay.run()
        if not in_one:
            replay.run()
    return replay.applied


def _plan(connection: BaseDatabaseWrapper) -> Iterator[Repair]:
    recorded = [gap for gap in find_gaps(connection) if gap.migrations]
    if not recorded:
        return
    with standing_in(connection):
        nodes = SharedLoader(connection).graph.nodes
    for gap in recorded:
        names = tuple(name for name in gap.migrations if _has_code(nodes[gap.label, name]))
        refusal = None if gap.is_whole else describe_gap(gap)
        yield Repair(connection.alias, gap, names, refusal)


class _Replay:
    """Applying what the rows that are aside depend on, and putting the rows back."""

    def __init__(self, connection: BaseDatabaseWrapper, recorder: MigrationRecorder) -> None:
        self._connection = connection
        self._recorder = recorder
        self._executor = SharedExecutor(connection)
        loader = self._executor.loader
        loader.take_over_all()
        rows = _put_aside(recorder)
        self._aside: dict[Key, list[Key]] = {
            key: found
            for key, migration in loader.graph.nodes.items()
            if (found := [row for row in _rows_of(key, migration) if row in rows])
        }
        needed = {key for held in self._aside for key in loader.graph.forwards_plan(held)}
        done = set(loader.applied_migrations) | self._aside.keys()
        self._todo = needed - done
        self.applied = tuple(f"{label}.{name}" for label, name in sorted(self._todo))

    @property
    def fits_one_transaction(self) -> bool:
        return all(self._can_undo(self._executor.loader.graph.nodes[key]) for key in self._todo)

    def run(self) -> None:
        executor, loader = self._executor, self._executor.loader
        state = ProjectState(real_apps=loader.unmigrated_apps)
        plan = executor.migration_plan(loader.graph.leaf_nodes(), clean_start=True)
        for migration, _ in plan:
            key = (migration.app_label, migration.name)
            if key in self._todo:
                state = self._apply(state, migration)
            elif key in self._aside or key in loader.applied_migrations:
                if "apps" in state.__dict__:
                    # Changing a state whose models are made is slow.
                    del state.apps
                state = migration.mutate_state(state, preserve=False)
                _move(self._recorder, self._aside.get(key, ()), from_=_ASIDE, to="")
        # Rows of migrations that no longer exist.
        _move(self._recorder, _put_aside(self._recorder), from_=_ASIDE, to="")
        executor.check_replacements()

    def _apply(self, state: ProjectState, migration: Migration) -> ProjectState:
        connection = self._connection
        try:
            # Django records a migration behind its transaction if constraints are added last.
            with atomic(using=connection.alias) if self._can_undo(migration) else nullcontext():
                state = self._executor.apply_migration(state, migration)
                if connection.in_atomic_block:
                    # PostgreSQL alters no table with checks that wait for the transaction's end.
                    connection.check_constraints()
        except DatabaseOperationError as error:
            raise DatabaseOperationError(f"Repairing stopped at {migration}: {error}") from None
        return state

    def _can_undo(self, migration: Migration) -> bool:
        return migration.atomic and self._connection.features.can_rollback_ddl


def _take_back(
    connection: BaseDatabaseWrapper, recorder: MigrationRecorder, labels: Collection[str]
) -> None:
    """Delete the rows of the apps ``labels``, and put those aside that depend on them.

    Raises Django's ``InconsistentMigrationHistory`` if the history is wrong in other ways too, and
    ``DatabaseOperationError`` if one of them is being moved.
    """
    loader = SharedLoader(connection)
    loader.check_consistent_history(connection)
    graph = loader.graph
    own = [key for key in graph.nodes if key[0] in labels]
    refuse_moving(connection.alias, [(graph.nodes[key], False) for key in own])
    dependents = {key for node in own for key in graph.backwards_plan(node)}
    rows = recorder.applied_migrations().keys()
    aside = [
        row
        for key in dependents
        if key[0] not in labels
        for row in _rows_of(key, graph.nodes[key])
        if row in rows
    ]
    _move(recorder, aside, from_="", to=_ASIDE)
    recorder.migration_qs.filter(app__in=labels).delete()


def _put_aside(recorder: MigrationRecorder) -> set[Key]:
    rows = recorder.migration_qs.filter(app__startswith=_ASIDE).values_list("app", "name")
    return {(app.removeprefix(_ASIDE), name) for app, name in rows}


def _move(recorder: MigrationRecorder, rows: Iterable[Key], *, from_: str, to: str) -> None:
    """Rename the app of ``rows`` from one prefix to the other; the time of applying stays."""
    for label, name in rows:
        recorder.migration_qs.filter(app=from_ + label, name=name).update(app=to + label)


def _rows_of(key: Key, migration: Migration) -> list[Key]:
    """Return the rows that record a migration: a squashed one has those that it replaces too."""
    return [key, *((label, name) for label, name in migration.replaces)]


def _has_code(migration: Migration) -> bool:
    return any(isinstance(item, RunPython | RunSQL) for item in migration.operations)


@contextmanager
def _referential_checks_off(connection: BaseDatabaseWrapper) -> Iterator[None]:
    """Let SQLite's schema editor work inside a transaction, which cannot turn its checks off."""
    needs = connection.vendor == "sqlite"
    with connection.constraint_checks_disabled() if needs else nullcontext():
        yield
