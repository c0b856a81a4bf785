"""Bringing databases to the state that the code needs: created, migrated, verified."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from threading import Event

from django.db import connections

from ..moves.gate import look_up_all
from ..topology import Database, Topology
from .checking import Kind
from .connecting import has_direct_url
from .finishing import find_finished
from .opening import Opener
from .ordering import in_rounds, waits_for
from .outcomes import Options, Outcome
from .probing import Probe, Status, probe_all
from .scheduling import run_in_order
from .working import Worker

__all__ = ["Options", "Outcome", "initialise", "initialise_one", "plan", "targets"]


def targets(
    topology: Topology, labels: Iterable[str] = (), *, all_apps: bool = False
) -> list[Database]:
    """Return the databases of the apps ``labels``, of all, or else the default; core first.

    A shared alias is represented by its canonical one, so that each physical database comes once.
    An app in a move has two. Raises ``UnknownLabelError`` for a label that is not installed.
    """
    canonical = topology.canonical_databases()
    wanted = {alias for label in labels for alias in topology.aliases_of(label)}
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
    look_up_all()
    stop = stop or Event()
    with closing(Opener(aliases, options.create, stop=stop)) as opener:
        worker = Worker(options, opener, stop)
        yield from _Run(aliases, worker, jobs, started).run(after)


@dataclass
class _Run:
    """One run over several databases."""

    aliases: Sequence[str]
    worker: Worker
    jobs: int
    started: Callable[[str], object] | None

    def run(self, after: Mapping[str, Collection[str]] | None) -> Iterator[Outcome]:
        """Yield what becomes of each database."""
        there = [alias for alias in self.aliases if alias not in self.worker.opener.missing]
        self._finished = find_finished(there) if self.worker.options.migrate else {}
        self._begin_all(after)
        done = set()
        for outcome in in_rounds(self._work_on_all, self.aliases):
            done.add(outcome.alias)
            yield outcome
        for alias in self.aliases:
            if alias not in done:
                yield Outcome(
                    alias,
                    self.worker.opener.take_created(alias),
                    error="Stopped before it was begun.",
                    exit_code=Kind.UNREACHABLE.exit_code,
                )

    def _begin_all(self, after: Mapping[str, Collection[str]] | None) -> None:
        left = [alias for alias in self.aliases if alias not in self._finished]
        # A thread for a single one would only keep its output back.
        self.jobs = max(1, min(self.jobs, len(left)))
        if after is None:
            # Reading all migrations for the order takes longer than finding nothing to do.
            after = waits_for(self.aliases) if left else {}
        self._after = after
        order = list(run_in_order(left, str, after=after, jobs=1, stop=Event()))
        self.worker.opener.arrange(order, room=self.jobs)

    def _work_on_all(self, names: Sequence[str]) -> Iterator[Outcome]:
        return run_in_order(
            names,
            self._work,
            after=self._after,
            jobs=self.jobs,
            stop=self.worker.stop,
            leave=connections.close_all,
        )

    def _work(self, alias: str) -> Outcome:
        if self.started is not None:
            self.started(alias)
        if alias in self._finished:
            look = None if has_direct_url(alias) else self._finished[alias]
            return Outcome(alias, look=look)
        return self.worker.work(alias) if self.jobs == 1 else self.worker.work_in_thread(alias)


def initialise_one(
    alias: str, options: Options = Options(), *, stop: Event | None = None
) -> Outcome:
    """Create, migrate and verify the database of ``alias``; errors are part of the outcome.

    ``stop`` ends waiting for another process.
    """
    stop = stop or Event()
    with closing(Opener([alias], options.create, stop=stop)) as opener:
        return Worker(options, opener, stop).work(alias)


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
