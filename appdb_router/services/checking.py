"""Whether every database is in the state that the code needs; looking changes nothing."""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from ..moves.gate import look_up_all
from ..topology import Topology, get_topology
from .asking import TIMEOUT
from .catalogs import MOST_ROWS
from .connecting import separate_connection
from .inspecting import describe_gap, find_gaps
from .looking import Leftover, Look, find_leftovers, look_at_all, same_places, tables_elsewhere
from .probing import Probe, Status, probe_all

__all__ = ["Finding", "Kind", "Report", "check"]


class Kind(StrEnum):
    """The kinds of findings."""

    UNREACHABLE = "unreachable"
    RECORDED = "recorded"
    MISSING = "missing"
    LEFT_BEHIND = "left-behind"
    SAME_DATABASE = "same-database"
    PENDING = "pending"
    LEFTOVER = "leftover"
    SEQUENCE = "sequence"
    INDEX = "index"

    @property
    def exit_code(self) -> int:
        """The exit code of a command that found this and nothing with a lower one."""
        return _EXIT_CODES[self]

    @property
    def is_warning(self) -> bool:
        """Whether ``db_init`` succeeds in spite of it, since it neither caused it nor mends it."""
        return self in {Kind.LEFTOVER, Kind.SEQUENCE, Kind.INDEX}


# 2 is argparse's: a wrong option.
_EXIT_CODES = {
    Kind.UNREACHABLE: 1,
    Kind.RECORDED: 3,
    Kind.MISSING: 3,
    Kind.LEFT_BEHIND: 4,
    Kind.SAME_DATABASE: 5,
    Kind.PENDING: 6,
    Kind.LEFTOVER: 7,
    Kind.SEQUENCE: 8,
    Kind.INDEX: 9,
}


@dataclass(frozen=True)
class Finding:
    """Something that is not as it should be in the database of ``alias``.

    ``label`` is the app it concerns, or ``None`` for the whole database; ``items`` are the tables,
    columns, migrations, sequences, indexes or aliases in question.
    """

    alias: str
    kind: Kind
    label: str | None
    items: tuple[str, ...]
    message: str

    def as_dict(self) -> dict[str, Any]:
        """Return the finding as ``--format json`` shows it."""
        return {
            "alias": self.alias,
            "kind": str(self.kind),
            "app": self.label,
            "items": list(self.items),
            "message": self.message,
        }


@dataclass(frozen=True)
class Report:
    """What was found, by the alias of each database that was checked."""

    findings: Mapping[str, tuple[Finding, ...]]

    def all_findings(self) -> list[Finding]:
        """Return what was found in all databases."""
        return [finding for found in self.findings.values() for finding in found]

    @property
    def exit_code(self) -> int:
        """The lowest of the findings' exit codes, 0 without any."""
        return min((finding.kind.exit_code for finding in self.all_findings()), default=0)


def check(topology: Topology, labels: Iterable[str] = (), *, timeout: int = TIMEOUT) -> Report:
    """Check the databases of the apps ``labels``, or of all, and return what was found.

    All databases of the project are looked at, since rows of an app may stand in another one.
    ``timeout`` bounds connecting, in seconds. Raises ``UnknownLabelError``.
    """
    chosen = set(labels) or set(topology.routes)
    look_up_all()
    topology = get_topology()
    aliases = {alias for label in chosen for alias in topology.aliases_of(label)}
    canonical = [item.alias for item in topology.canonical_databases()]
    probes = probe_all(canonical, timeout=timeout)
    reachable = [alias for alias in canonical if probes[alias].status is Status.REACHABLE]
    findings = [finding for alias in canonical for finding in _closed(alias, probes[alias])]
    for alias in reachable:
        if alias in aliases:
            findings += _inside(alias, probes[alias], chosen, reachable)
    findings += examine(reachable, chosen)
    order = list(Kind)
    return Report(
        {
            alias: tuple(
                sorted(
                    (finding for finding in findings if finding.alias == alias),
                    key=lambda finding: (order.index(finding.kind), finding.label or ""),
                )
            )
            for alias in canonical
            if alias in aliases or any(finding.alias == alias for finding in findings)
        }
    )


def examine(
    aliases: Iterable[str],
    labels: Collection[str],
    known: Mapping[str, Look] = MappingProxyType({}),
) -> Iterator[Finding]:
    """Yield what only a look at several databases shows, and the state of sequences and indexes.

    It concerns the apps ``labels``; rows of theirs are looked for in all of ``aliases``. ``known``
    are the looks that need not be taken again.
    """
    names = list(aliases)
    taken = look_at_all(alias for alias in names if alias not in known)
    looks = {alias: known.get(alias) or taken[alias] for alias in names}
    for alias, look in looks.items():
        if look.status is Status.UNREACHABLE:
            yield _unreachable(alias, look.error)
        yield from _of_tables(look, {label for label in labels if _is_in_use(label, alias)})
    for first, *others in same_places(looks):
        for alias in others:
            yield Finding(
                alias,
                Kind.SAME_DATABASE,
                None,
                (first,),
                f"Its server says that this is the database of {first!r}, although their URLs"
                " differ. Write the same host, port and name into both.",
            )
    for leftover in find_leftovers(looks, labels):
        if _is_in_use(leftover.label, leftover.alias):
            yield _left(leftover)


def _is_in_use(label: str, alias: str) -> bool:
    """Tell whether the tables of the app ``label`` on ``alias`` are not the other ones of a move.

    Those are empty, locked, or being written to by the move.
    """
    topology = get_topology()
    return label not in topology.moves or topology.routes[label] == alias


def _closed(alias: str, probe: Probe) -> Iterator[Finding]:
    if probe.status is Status.MISSING:
        message = "The database does not exist. 'db_init' creates it."
        yield Finding(alias, Kind.UNREACHABLE, None, (), message)
    elif probe.status is Status.UNREACHABLE:
        yield _unreachable(alias, probe.error)


def _unreachable(alias: str, error: str | None) -> Finding:
    return Finding(alias, Kind.UNREACHABLE, None, (), f"The database cannot be looked at: {error}")


def _inside(
    alias: str, probe: Probe, labels: Collection[str], reachable: Iterable[str]
) -> Iterator[Finding]:
    """Yield the pending migrations, and the tables and columns that are missing."""
    pending: dict[str, list[str]] = {}
    for name in probe.pending_migrations:
        # ``label.name``, or ``label (without migrations)``.
        pending.setdefault(re.split("[. ]", name)[0], []).append(name)
    for label in pending.keys() & labels:
        text = f"Pending: {', '.join(pending[label])}."
        yield Finding(alias, Kind.PENDING, label, tuple(pending[label]), text)
    with separate_connection(alias) as connection:
        gaps = find_gaps(connection, labels)
    for gap in gaps:
        text = describe_gap(gap, tables_elsewhere(gap, alias, reachable))
        kind = Kind.RECORDED if gap.migrations else Kind.MISSING
        yield Finding(alias, kind, gap.label, (*gap.tables, *gap.columns), text)


def _of_tables(look: Look, labels: Collection[str]) -> Iterator[Finding]:
    label_of = {table.name: table.label for table in look.needed}
    for state in look.sequences:
        label, column = label_of[state.table], f"{state.table}.{state.column}"
        if label in labels and state.next_value is None:
            text = f"The sequence of {column} cannot be read: grant SELECT on {state.sequence}."
            yield Finding(look.alias, Kind.SEQUENCE, label, (state.sequence,), text)
        elif label in labels and state.is_behind:
            text = (
                f"The sequence of {column} gives {state.next_value} next, but the column is at"
                f" {state.maximum}. 'sqlsequencereset {label}' prints what sets it right."
            )
            yield Finding(look.alias, Kind.SEQUENCE, label, (state.sequence,), text)
    for table, index in look.invalid_indexes:
        if label_of[table] in labels:
            text = (
                f"The index {index} of {table} is invalid: it is being built, or building it"
                f" failed. Then run REINDEX INDEX CONCURRENTLY {index}."
            )
            yield Finding(look.alias, Kind.INDEX, label_of[table], (index,), text)


def _left(leftover: Leftover) -> Finding:
    tables = ", ".join(f"{name} ({_rows(number)})" for name, number in leftover.rows.items())
    if leftover.is_all:
        kind = Kind.LEFT_BEHIND
        text = (
            f"{leftover.label!r} has no rows here, but in {leftover.where!r}, where it no longer"
            f" looks: {tables}. Move them, or accept the empty tables with"
            " 'db_init --allow-empty'."
        )
    else:
        kind = Kind.LEFTOVER
        text = (
            f"{leftover.label!r} has rows here and stale ones in {leftover.where!r}: {tables}."
            " Drop those tables when you are sure: queries there would find them."
        )
    return Finding(leftover.alias, kind, leftover.label, tuple(leftover.rows), text)


def _rows(number: int | None) -> str:
    if number is None:
        return "rows cannot be counted"
    if number > MOST_ROWS:
        return f"more than {MOST_ROWS} rows"
    return f"{number} row{'' if number == 1 else 's'}"
