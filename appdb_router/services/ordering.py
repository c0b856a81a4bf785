"""In which order databases are migrated: each after those that its migrations depend on."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import partial
from graphlib import CycleError, TopologicalSorter
from typing import Any, Protocol, Self, TypeVar

from django.db import Error, connections
from django.db.migrations.graph import MigrationGraph
from django.db.migrations.migration import Migration

from ..exceptions import DatabaseOperationError
from ..moves.gate import active_moves
from ..relations.homes import OWN_LABEL
from ..topology import Topology, get_topology
from .connecting import separate_connection, standing_in
from .content_types import core_for, create, migrations_of_core, missing_labels
from .judging import needs_models, operations_to_run
from .loading import Key, SharedLoader
from .probing import is_missing_file
from .recording import recorded


class WaitsForOthersError(DatabaseOperationError):
    """What is left to apply needs migrations in other databases; the rest has been ``applied``."""

    def __init__(self, message: str, applied: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.applied = applied


class Elsewhere:
    """What is in other databases, as far as a run knows: records and types are only added."""

    def __init__(self) -> None:
        self._rows: dict[str, Collection[Key]] = {}
        self._untyped: tuple[Any, set[str]] = (None, set())

    def note(self, alias: str, rows: Collection[Key]) -> None:
        """Note what is recorded on ``alias`` now."""
        self._rows[alias] = rows

    def has(
        self, alias: str, is_in: Callable[[Collection[Key]], bool], *, ask: bool = True
    ) -> bool:
        """Tell whether something was in the records of ``alias``, or is, if it may ``ask``."""
        if is_in(self._rows.get(alias, ())):
            return True
        if ask:
            self._rows[alias] = _recorded_elsewhere(alias)
        return ask and is_in(self._rows[alias])

    def add_types(self, core: str, labels: Collection[str], registry: Any) -> None:
        """Make on ``core`` the content types and permissions that ``labels`` lack of ``registry``.

        Databases are mostly left with the same models, so that one query asks for those of all.
        """
        known, untyped = self._untyped
        if known is not registry:
            others = (label for label in get_topology().routes if label != OWN_LABEL)
            untyped = set(missing_labels(core, others, registry))
            self._untyped = registry, untyped
        create(core, untyped.intersection(labels), registry)
        untyped.difference_update(labels)


def prerequisites(topology: Topology) -> dict[str, set[str]]:
    """Return for each canonical alias those that are to be migrated before it.

    These are the core alias, and the databases of the apps that the migrations depend on. Of
    databases that wait for each other the first in the usual order is begun with.
    """
    order = [database.alias for database in topology.canonical_databases()]
    before: dict[str, set[str]] = {alias: set() for alias in order}
    for key, node in SharedLoader(None).graph.node_map.items():
        for alias in topology.aliases_of(key[0]):
            before[alias].update(
                topology.routes[parent.key[0]]
                for parent in node.parents
                if not topology.has_tables(parent.key[0], alias)
            )
    for move in active_moves():
        # Whether the app may be migrated is written there.
        before[move.target].add(move.source)
    for alias, others in before.items():
        if topology.core_alias is not None:
            others.add(topology.core_alias)
        others.discard(alias)
    while circle := _circle(before):
        # Each but the first waits for the one in front of it.
        first = min(circle, key=order.index)
        before[first].discard(circle[circle.index(first) - 1])
    return before


def _circle(before: Mapping[str, set[str]]) -> list[str]:
    try:
        TopologicalSorter(before).prepare()
    except CycleError as error:
        return list(error.args[1][1:])
    return []


def require_core(alias: str, elsewhere: Elsewhere) -> None:
    """Raise ``WaitsForOthersError`` if content types of apps on ``alias`` have no place yet."""
    core = core_for(alias)
    if core is not None and not elsewhere.has(core, migrations_of_core().issubset):
        raise WaitsForOthersError(
            f"The database {core!r}, which holds the content types and permissions of all apps, is"
            " not initialised. Initialise it first, with 'db_init --app contenttypes', or all with"
            " 'db_init --all-apps'."
        )


def applicable(
    alias: str, plan: Iterable[Migration], graph: MigrationGraph, elsewhere: Elsewhere
) -> tuple[list[Migration], list[str]]:
    """Return what of ``plan`` can be applied now, and why the rest cannot.

    A migration waits for those that it depends on in other databases: they are recorded in this
    one as well, which says nothing about their tables.
    """
    topology = get_topology()
    here = topology.canonical_of(alias)
    asked: set[str] = set()
    ready: list[Migration] = []
    waiting: dict[Key, str] = {}
    for migration in plan:
        key = (migration.app_label, migration.name)
        needs = any(needs_models(item) for item in operations_to_run(migration, alias))
        for parent in (node.key for node in sorted(graph.node_map[key].parents)):
            home = topology.routes[parent[0]]
            if parent in waiting:
                waiting[key] = ""
            elif needs and not topology.has_tables(parent[0], here):
                is_in = partial(_is_applied, parent, graph.nodes[parent])
                if not elsewhere.has(home, is_in, ask=home not in asked):
                    asked.add(home)
                    waiting[key] = f"{migration} needs {'.'.join(parent)} in {home!r}"
        if key not in waiting:
            ready.append(migration)
    return ready, [reason for reason in waiting.values() if reason]


def _is_applied(key: Key, migration: Migration | None, rows: Collection[Key]) -> bool:
    replaces = migration.replaces if migration else ()
    return key in rows or (bool(replaces) and all(tuple(item) in rows for item in replaces))


def _recorded_elsewhere(alias: str) -> set[Key]:
    """Return what is recorded on ``alias``: nothing, if there is no such database yet."""
    if is_missing_file(connections[alias]):
        return set()
    try:
        with separate_connection(alias, direct=True) as connection, standing_in(connection):
            return recorded(alias)
    except Error:
        return set()


def waits_for(aliases: Iterable[str]) -> dict[str, list[str]]:
    """Return for each of ``aliases`` those of them that it waits for.

    None waits if the migrations cannot be read.
    """
    names = list(aliases)
    try:
        before = prerequisites(get_topology())
    except Exception:  # noqa: BLE001  Migrating says what is wrong, of each database.
        return {}
    return {name: [other for other in names if other in before[name]] for name in names}


class Waiting(Protocol):
    """The outcome of an alias, as far as rounds are concerned."""

    @property
    def alias(self) -> str:
        """The alias."""

    @property
    def waits(self) -> bool:
        """Whether something is left to apply that waits for other databases."""

    @property
    def is_further(self) -> bool:
        """Whether something was done."""

    def behind(self, earlier: Self) -> Self:
        """Return the outcome of both rounds."""


Result = TypeVar("Result", bound=Waiting)


def in_rounds(
    work: Callable[[Sequence[str]], Iterator[Result]], aliases: Iterable[str]
) -> Iterator[Result]:
    """Call ``work`` with ``aliases``, and again with those that wait while some get any further."""
    earlier: dict[str, Result] = {}
    left = list(aliases)
    while left:
        waiting: dict[str, Result] = {}
        is_further = False
        seen = set()
        for found in work(left):
            seen.add(found.alias)
            is_further |= found.is_further
            alias = found.alias
            outcome = found.behind(earlier[alias]) if alias in earlier else found
            if not outcome.waits:
                yield outcome
            else:
                waiting[alias] = outcome
        # Those that were not begun again because of a stop are as they were.
        waiting = {**{name: item for name, item in earlier.items() if name not in seen}, **waiting}
        if not is_further:
            yield from waiting.values()
            return
        earlier, left = waiting, list(waiting)
