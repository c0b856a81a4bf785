"""What stands in the way of a move, and what there is to move: looked at, nothing changed."""

import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from django.db import Error
from django.db.backends.base.base import BaseDatabaseWrapper

from ...exceptions import MoveError
from ..catalogs import sqlite_file
from ..connecting import describe_error
from ..inspecting import describe_gap, find_gaps
from ..loading import SharedLoader
from .copying import rows_and_bytes
from .databases import Databases
from .filling import has_rows
from .fitting import find_misfits
from .route import MoveRoute
from .running import MoveOptions
from .settling import is_slow_driver
from .slot_checks import slot_note, slot_problems
from .staying import staying_constraints
from .suiting import column_problems
from .tables import MovedTable, moved_tables
from .unnoticed import capture_problems

__all__ = ["MovePlan", "PlannedTable"]

# Bytes a second, indexes and verification included, of a move between two servers on one disk.
_USUAL_RATE = 30_000_000
# The move's own sessions, those of its look-ups included.
_SESSIONS = 5

# Making triggers and taking constraints away is the owner's; so is a role that may be the owner.
_NOT_OWNED = """
    SELECT c.relname FROM pg_class c
    WHERE c.oid = ANY(SELECT to_regclass(quoted) FROM unnest(%s::text[]) AS quoted)
      AND NOT pg_has_role(c.relowner, 'USAGE')
    ORDER BY 1
"""
# What a policy hides from the owner too would be lost.
_HIDDEN = """
    SELECT c.relname FROM pg_class c
    WHERE c.oid = ANY(SELECT to_regclass(quoted) FROM unnest(%s::text[]) AS quoted)
      AND c.relforcerowsecurity
    ORDER BY 1
"""
_FREE_SESSIONS = """
    SELECT current_setting('max_connections')::int
         - current_setting('superuser_reserved_connections')::int
         - (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend')
"""


@dataclass(frozen=True)
class PlannedTable:
    """A table to move, with its rows and bytes; these are estimates, ``None`` if not known.

    A table without a primary key ``has_key`` false, and is copied while nobody may write.
    """

    name: str
    rows: int
    bytes: int | None
    has_key: bool


@dataclass(frozen=True)
class MovePlan:
    """What a move would do: ``failures`` stand in its way, ``notes`` are worth knowing."""

    label: str
    labels: tuple[str, ...]
    source: str
    target: str
    is_online: bool
    tables: tuple[PlannedTable, ...] = ()
    failures: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def rows(self) -> int:
        """The rows of all tables, about."""
        return sum(table.rows for table in self.tables)

    @property
    def bytes(self) -> int:
        """The bytes of all tables, as far as they are known."""
        return sum(table.bytes or 0 for table in self.tables)

    @property
    def seconds(self) -> float:
        """How long the move may take: a rough estimate, from the bytes."""
        return max(1.0, self.bytes / _USUAL_RATE)

    def as_dict(self) -> dict[str, Any]:
        """Return the plan as ``db_move --plan --format json`` shows it."""
        return {
            "label": self.label,
            "labels": list(self.labels),
            "source": self.source,
            "target": self.target,
            "mode": "online" if self.is_online else "offline",
            "tables": [vars(table) for table in self.tables],
            "rows": self.rows,
            "bytes": self.bytes,
            "seconds": self.seconds,
            "failures": list(self.failures),
            "notes": list(self.notes),
        }


def look_ahead(
    route: MoveRoute,
    databases: Databases,
    options: MoveOptions,
    *,
    may_be_filled: bool,
) -> tuple[MovePlan, tuple[MovedTable, ...]]:
    """Return what the move would do, and its tables.

    ``may_be_filled`` allows rows in the target, of an earlier try. Each value is looked at that
    another engine might not hold.
    """
    plan = MovePlan(
        route.label, route.labels, route.source, route.target, is_online=not options.offline
    )
    failures = list(_gaps(route, databases))
    if failures:
        return replace(plan, failures=tuple(failures)), ()
    tables = moved_tables(route.labels, databases.source)
    problems = (
        _problems(tables, databases, may_be_filled=may_be_filled),
        _slot_problems(route, tables, databases, options),
        _misfits(tables, databases),
    )
    failures += [text for group in problems for text in group]
    planned = tuple(_planned(table, databases.source) for table in tables)
    if not may_be_filled:
        failures += lack_of_room(databases.target, sum(table.bytes or 0 for table in planned))
    return (
        replace(
            plan,
            tables=planned,
            failures=tuple(failures),
            notes=(*_notes(tables, databases), *_slot_notes(route, databases, options)),
        ),
        tables,
    )


def refuse_failures(plan: MovePlan) -> None:
    """Raise ``MoveError`` with everything that stands in the way."""
    if plan.failures:
        listed = "\n".join(f"  - {text}" for text in plan.failures)
        raise MoveError(f"{plan.label!r} cannot be moved:\n{listed}", exit_code=11)


def _gaps(route: MoveRoute, databases: Databases) -> Iterator[str]:
    """Yield what is not migrated: until it is, nobody knows what tables there are to be."""
    for connection in (databases.source, databases.target):
        alias = connection.alias
        loader = SharedLoader(connection)
        pending = [item for item in loader.pending() if item.app_label in route.labels]
        if pending:
            yield (
                f"{alias!r} lacks the migrations {', '.join(map(str, pending))}."
                f" Run 'manage.py db_init --app {route.label}', or 'migrate --database {alias}'."
            )
        else:
            for gap in find_gaps(connection, route.labels):
                yield f"In {alias!r}, {describe_gap(gap)}"


def _problems(
    tables: tuple[MovedTable, ...], databases: Databases, *, may_be_filled: bool
) -> Iterator[str]:
    yield from column_problems(tables, databases.source, databases.target)
    if not may_be_filled:
        yield from _filled(tables, databases.target)
    for connection in (databases.source, databases.target):
        yield from capture_problems(tables, connection)
        if connection.vendor == "postgresql":
            yield from _rights(tables, connection)
            yield from _sessions(connection)


def _slot_problems(
    route: MoveRoute, tables: tuple[MovedTable, ...], databases: Databases, options: MoveOptions
) -> Iterable[str]:
    if not options.replication:
        return ()
    return slot_problems(tables, databases.source, route.label, offline=options.offline)


def _slot_notes(route: MoveRoute, databases: Databases, options: MoveOptions) -> list[str]:
    if options.offline or not options.replication:
        return []
    return [slot_note(databases.source, route.label)]


def _misfits(tables: tuple[MovedTable, ...], databases: Databases) -> list[str]:
    return find_misfits(tables, databases.source, databases.target, report=lambda *_: None)


def _filled(tables: tuple[MovedTable, ...], target: BaseDatabaseWrapper) -> Iterator[str]:
    found = [table.name for table in tables if has_rows(table.name, target)]
    if found:
        yield (
            f"In {target.alias!r} there are rows in {', '.join(found)}, which nobody has moved"
            " there. If nobody needs them, such as those that migrations make, begin with"
            " --empty-target, which deletes them."
        )


def _rights(tables: tuple[MovedTable, ...], connection: BaseDatabaseWrapper) -> Iterator[str]:
    quoted = [connection.ops.quote_name(table.name) for table in tables]
    if names := _names(connection, _NOT_OWNED, quoted):
        yield (
            f"In {connection.alias!r} this role does not own {', '.join(names)}, and triggers and"
            " constraints are the owner's. Use the owner's URL as the direct URL."
        )
    if names := _names(connection, _HIDDEN, quoted):
        yield (
            f"In {connection.alias!r} row security hides rows of {', '.join(names)} from their"
            " owner too (FORCE ROW LEVEL SECURITY). Switch that off for the move."
        )


def _names(connection: BaseDatabaseWrapper, query: str, quoted: list[str]) -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute(query, [quoted])
        return [name for (name,) in cursor.fetchall()]


def _sessions(connection: BaseDatabaseWrapper) -> Iterator[str]:
    with connection.cursor() as cursor:
        cursor.execute(_FREE_SESSIONS)
        [free] = cursor.fetchone()
    if free < _SESSIONS:
        yield (
            f"The server of {connection.alias!r} has {free} connections left, and a move needs"
            f" {_SESSIONS}. See 'manage.py db_list --connections'."
        )


def lack_of_room(target: BaseDatabaseWrapper, size: int) -> list[str]:
    """Return what is wrong if ``size`` bytes do not fit on the disk of ``target``.

    Only that of an SQLite file can be looked at: no server tells how much room it has.
    """
    path = sqlite_file(target) if target.vendor == "sqlite" else None
    if path is None:
        return []
    free = shutil.disk_usage(path.parent).free
    if free >= size:
        return []
    return [
        f"The rows take about {size:,} bytes, and there are {free:,} left where {target.alias!r}"
        " is. Make room there."
    ]


def _notes(tables: tuple[MovedTable, ...], databases: Databases) -> Iterator[str]:
    source = databases.source
    for table in tables:
        if not table.key:
            yield (
                f"{table.name} has no primary key: it is copied as a whole when the app changes"
                " over, and nobody can write to it meanwhile."
            )
    if found := staying_constraints(tables, source):
        names = ", ".join(sorted(str(item["name"] or item["table"]) for item in found))
        yield (
            f"{len(found)} foreign keys between these tables and those that stay in"
            f" {source.alias!r} are dropped when the app changes over, and added again on the way"
            f" back: {names}."
        )
    if is_slow_driver():
        yield (
            "psycopg runs without its C implementation, which copies almost twice as fast."
            " Install 'psycopg[binary]' or 'psycopg[c]'."
        )


def _planned(table: MovedTable, source: BaseDatabaseWrapper) -> PlannedTable:
    try:
        rows, size = rows_and_bytes(table, source)
    except Error as error:
        raise MoveError(
            f"{table.name} in {source.alias!r} cannot be read:"
            f" {describe_error(error, source.alias)}",
            exit_code=11,
        ) from None
    return PlannedTable(table.name, rows, size, bool(table.key))
