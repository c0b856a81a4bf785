"""Creating, migrating and verifying one database of a run."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from io import StringIO
from threading import Event

from django.db import Error, connections
from django.db.backends.base.base import BaseDatabaseWrapper

from ..circuit_handler import past_circuits
from ..exceptions import DatabaseOperationError, MissingTablesError
from ..topology import get_topology
from .checking import Kind
from .connecting import describe_error, has_direct_url
from .creating import ensure_schema
from .executing import FAILED
from .identity import check_same_schema
from .leftovers import describe_leftovers
from .locking import migration_lock
from .looking import Look, look_at
from .migrating import apply_migrations
from .migration_session import migration_session
from .opening import Opener
from .ordering import Elsewhere, WaitsForOthersError
from .outcomes import Options, Outcome
from .probing import is_in_memory
from .recording import recorded
from .repairing import needs_repair, repair
from .timeouts import Timeouts, remedy
from .verifying import verify, verify_records


@dataclass
class Worker:
    """Works at the databases that ``opener`` opens, one after the other or in several threads."""

    options: Options
    opener: Opener
    stop: Event
    elsewhere: Elsewhere = field(default_factory=Elsewhere)

    @past_circuits()
    def work(self, alias: str) -> Outcome:
        """Initialise the database of ``alias``; errors are part of the outcome."""
        try:
            _refuse_memory(alias)
            with self.opener.open(alias) as connection:
                applied: tuple[str, ...] = ()
                look = None
                if self.options.migrate:
                    applied, look = self._migrate(alias, connection)
        except Exception as error:  # noqa: BLE001  A migration may raise anything.
            return _failed(alias, error, created=self.opener.take_created(alias))
        return Outcome(alias, self.opener.take_created(alias), applied, look=look)

    def work_in_thread(self, alias: str) -> Outcome:
        """Do it with the output kept together, and keep no connection but that of the core alias.

        That one is asked for content types after each database.
        """
        output = StringIO()
        try:
            outcome = replace(self, options=replace(self.options, stdout=output)).work(alias)
        finally:
            for connection in connections.all(initialized_only=True):
                if connection.alias != get_topology().core_alias:
                    connection.close()
        return replace(outcome, output=output.getvalue())

    def _migrate(
        self, alias: str, connection: BaseDatabaseWrapper
    ) -> tuple[tuple[str, ...], Look | None]:
        options = self.options
        with (
            migration_session(alias, options.timeouts, connection),
            migration_lock(connection, timeout=options.lock_timeout, stop=self.stop),
        ):
            self.opener.begin()
            if has_direct_url(alias):
                ensure_schema(alias)
                check_same_schema(alias, connection)
            repaired: tuple[str, ...] = ()
            if needs_repair(labels := options.repair.get(alias, ()), rows := recorded(alias)):
                repaired = repair(alias, labels)
                rows = recorded(alias)
            try:
                migrated = apply_migrations(
                    alias,
                    executor=options.executor,
                    verbosity=options.verbosity,
                    stdout=options.stdout,
                    rows=rows,
                    elsewhere=self.elsewhere,
                )
            except Error:
                # A migration fails too where an earlier one is recorded and was never applied.
                verify_records(alias)
                raise
            return (*repaired, *migrated), self._verified(connection)

    def _verified(self, connection: BaseDatabaseWrapper) -> Look | None:
        """Verify the tables, and return what this session sees unless another would see more."""
        look = None
        if not has_direct_url(connection.alias) and self.options.timeouts == Timeouts():
            with suppress(Error):
                look = look_at(connection)
        if look is None or look.lacking:
            verify(connection.alias)
        return look


def _failed(alias: str, error: Exception, *, created: bool) -> Outcome:
    lacks = isinstance(error, MissingTablesError)
    return Outcome(
        alias,
        created,
        applied=getattr(error, "applied", ()),
        error=_explained(error, alias),
        waits=isinstance(error, WaitsForOthersError),
        exit_code=(Kind.RECORDED if lacks else Kind.UNREACHABLE).exit_code,
    )


def _explained(error: Exception, alias: str) -> str:
    """Return what happened, what is left of it in the database, and what to do."""
    text = describe_error(error, alias)
    if isinstance(error, DatabaseOperationError):
        return text
    what = " in ".join((type(error).__name__, *_failed_migrations(error)))
    return f"{what}: {text}{remedy(error)}{describe_leftovers(alias)}"


def _failed_migrations(error: Exception) -> Iterator[str]:
    # Other notes may hold anything, passwords too.
    for note in getattr(error, "__notes__", ()):
        if note.startswith(FAILED):
            yield note.removeprefix(FAILED)


def _refuse_memory(alias: str) -> None:
    if is_in_memory(connections[alias]):
        raise DatabaseOperationError(
            "The database lives in memory and is gone when this command ends. Name a file, or"
            " leave it to the test runner."
        )
