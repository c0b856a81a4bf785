"""Bringing databases to the state that the code needs: created, migrated, verified."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from io import StringIO
from threading import Event
from typing import TextIO

from django.db import Error, connections

from ..circuit_handler import past_circuits
from ..exceptions import DatabaseOperationError, MissingTablesError
from ..topology import Database, Topology
from .checking import Kind
from .connecting import describe_error, has_direct_url
from .creating import CreateOptions, ensure_database, ensure_schema
from .executing import FAILED
from .identity import check_same_schema
from .leftovers import describe_leftovers
from .locking import migration_lock
from .migrating import Executor, find_finished, migrate, one_at_a_time
from .migration_session import migration_session
from .ordering import WaitsForOthersError, in_rounds, waits_for
from .probing import Probe, Status, is_in_memory, probe_all
from .repairing import repair
from .scheduling import run_in_order
from .timeouts import Timeouts, remedy
from .verifying import verify_records

__all__ = ["Options", "Outcome", "initialise", "initialise_one", "plan", "targets"]


@dataclass(frozen=True)
class Options:
    """What to do with each database; ``lock_timeout`` is in seconds.

    ``repair`` has the apps to repair, by alias.
    """

    create: CreateOptions = field(default_factory=CreateOptions)
    migrate: bool = True
    lock_timeout: float = 600
    executor: Executor = Executor.APPS
    timeouts: Timeouts = field(default_factory=Timeouts)
    repair: Mapping[str, Collection[str]] = field(default_factory=dict)
    verbosity: int = 0
    stdout: TextIO | None = None


@dataclass(frozen=True)
class Outcome:
    """What was done with a database, or why it was not: ``error`` is ``None`` on success.

    One that ``waits`` needs migrations in other databases before the rest of its own. ``output`` is
    what the migrations wrote, if they did not write at once; ``exit_code`` is the one for the cause
    of an error, see ``checking.Kind``.
    """

    alias: str
    created: bool = False
    applied: tuple[str, ...] = ()
    error: str | None = None
    waits: bool = False
    output: str = ""
    exit_code: int = 0

    @property
    def is_unchanged(self) -> bool:
        """Whether the database was found as it should be."""
        return not (self.created or self.applied or self.error)

    @property
    def is_further(self) -> bool:
        """Whether something was done."""
        return self.created or bool(self.applied) or not self.error

    def behind(self, earlier: "Outcome") -> "Outcome":
        """Return the outcome of two rounds."""
        created, applied = earlier.created or self.created, (*earlier.applied, *self.applied)
        return replace(self, created=created, applied=applied)


def targets(
    topology: Topology, labels: Iterable[str] = (), *, all_apps: bool = False
) -> list[Database]:
    """Return the databases of the apps ``labels``, of all, or else the default; core first.

    A shared alias is represented by its canonical one, so that each physical database comes once.
    Raises ``UnknownLabelError`` for a label that is not installed.
    """
    canonical = topology.canonical_databases()
    wanted = {topology.alias_of(label) for label in labels}
    if all_apps:
        return canonical
    return [item for item in canonical if item.alias in (wanted or {"default"})]


def plan(databases: Iterable[Database]) -> dict[str, Probe]:
    """Return what is there, by alias, without changing anything."""
    return probe_all((database.alias for database in databases), direct=True)


def initialise(
    databases: Iterable[Database],
    options: Options = Options(),
    *,
    jobs: int = 1,
    after: Mapping[str, Collection[str]] | None = None,
    stop: Event | None = None,
    started: Callable[[str], object] | None = None,
) -> Iterator[Outcome]:
    """Initialise databases, up to ``jobs`` at once, and yield what became of each.

    ``after`` gives the aliases that an alias waits for; by default migrations and the core alias
    say so.
    ``started`` is called with an alias before its turn. A database that fails does not stop the
    others. When ``stop`` is set, those that are being migrated are finished, waiting for other
    processes ends, and no other database is begun.
    """
    aliases = [database.alias for database in databases]
    stop = stop or Event()
    finished = find_finished(aliases) if options.migrate else set()
    if after is None:
        # Reading all migrations for the order takes longer than finding that nothing is to be done.
        after = {} if finished.issuperset(aliases) else waits_for(aliases)
    initialise_one_of = initialise_one if jobs == 1 else _initialise_in_thread

    def work(alias: str) -> Outcome:
        if started is not None:
            started(alias)
        return Outcome(alias) if alias in finished else initialise_one_of(alias, options, stop=stop)

    def work_on_all(names: Sequence[str]) -> Iterator[Outcome]:
        return run_in_order(names, work, after=after, jobs=jobs, stop=stop)

    done = set()
    for outcome in in_rounds(work_on_all, aliases):
        done.add(outcome.alias)
        yield outcome
    for alias in aliases:
        if alias not in done:
            code = Kind.UNREACHABLE.exit_code
            yield Outcome(alias, error="Stopped before it was begun.", exit_code=code)


@past_circuits()
def initialise_one(
    alias: str, options: Options = Options(), *, stop: Event | None = None
) -> Outcome:
    """Create, migrate and verify the database of ``alias``; errors are part of the outcome.

    ``stop`` ends waiting for another process.
    """
    created = False
    try:
        _refuse_memory(alias)
        created = ensure_database(alias, options.create)
        applied = _migrate(alias, options, stop) if options.migrate else ()
    except Exception as error:  # noqa: BLE001  A migration may raise anything; the others go on.
        waits = isinstance(error, WaitsForOthersError)
        applied = getattr(error, "applied", ())
        lacks = isinstance(error, MissingTablesError)
        code = (Kind.RECORDED if lacks else Kind.UNREACHABLE).exit_code
        text = _explained(error, alias)
        return Outcome(alias, created, applied, text, waits, exit_code=code)
    return Outcome(alias, created=created, applied=applied)


def _initialise_in_thread(alias: str, options: Options, *, stop: Event) -> Outcome:
    """Initialise with the output kept together, and leave no connection of this thread behind."""
    output = StringIO()
    try:
        outcome = initialise_one(alias, replace(options, stdout=output), stop=stop)
    finally:
        connections.close_all()
    return replace(outcome, output=output.getvalue())


def describe_plan(found: Probe) -> str:
    """Return in words what ``initialise_one`` would do with a database in this state."""
    if found.status is Status.UNREACHABLE:
        return f"cannot be reached: {found.error}"
    if found.status is Status.MISSING:
        return "would be created and migrated"
    if found.pending_migrations:
        return f"would get {count(found.pending_migrations, 'migration')}"
    return "has no pending migrations"


def count(items: Iterable[object], noun: str) -> str:
    """Return the number of ``items`` with ``noun`` in the right number."""
    number = len(list(items))
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _migrate(alias: str, options: Options, stop: Event | None) -> tuple[str, ...]:
    with (
        migration_session(alias, options.timeouts) as connection,
        migration_lock(connection, timeout=options.lock_timeout, stop=stop),
    ):
        if has_direct_url(alias):
            ensure_schema(alias)
            check_same_schema(alias, connection)
        with one_at_a_time:
            repaired = repair(alias, options.repair.get(alias, ()))
        try:
            migrated = migrate(
                alias,
                executor=options.executor,
                verbosity=options.verbosity,
                stdout=options.stdout,
            )
        except Error:
            # A migration fails too where an earlier one is recorded and was never applied.
            verify_records(alias)
            raise
        return (*repaired, *migrated)


def _explained(error: Exception, alias: str) -> str:
    """Return what happened, what is left of it in the database, and what to do."""
    text = describe_error(error, alias)
    if isinstance(error, DatabaseOperationError):
        return text
    what = " in ".join((type(error).__name__, *_failed_migrations(error)))
    with one_at_a_time:
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
