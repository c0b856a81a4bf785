"""Comparing the rows of an app in two databases, on its own and at any time."""

from collections.abc import Mapping
from dataclasses import dataclass
from threading import Event
from typing import Any

from django.db import Error

from ...exceptions import MoveError, choices
from ...topology import get_topology
from ..asking import TIMEOUT
from .comparing import Compared, Difference, compare_tables
from .databases import Databases, opened_databases
from .settling import refusal
from .suiting import column_problems
from .tables import moved_tables

__all__ = ["Comparison", "compare_app"]

# Exit codes: a wrong option, and databases that cannot be compared.
_USAGE, _IN_THE_WAY = 2, 11


@dataclass(frozen=True)
class Comparison:
    """What was found in ``source`` and ``target``; ``rows`` are those of the source, by table."""

    labels: tuple[str, ...]
    source: str
    target: str
    rows: Mapping[str, int]
    differences: tuple[Difference, ...]

    def differences_of(self, table: str) -> list[Difference]:
        """Return where the rows of ``table`` differ."""
        return [item for item in self.differences if item.table == table]

    def as_dict(self) -> dict[str, Any]:
        """Return the comparison as ``db_compare --format json`` shows it."""
        return {
            "apps": list(self.labels),
            "source": self.source,
            "target": self.target,
            "tables": [
                {
                    "table": table,
                    "rows": rows,
                    "differences": [_as_dict(item) for item in self.differences_of(table)],
                }
                for table, rows in self.rows.items()
            ],
        }


def compare_app(
    label: str,
    source: str | None = None,
    target: str | None = None,
    *,
    timeout: int = TIMEOUT,
    stop: Event | None = None,
) -> Comparison:
    """Compare all rows of the app ``label``, with its group, in two databases; change nothing.

    These are the two of its move, or the aliases ``source`` and ``target``; without a move one of
    them may be left out, and is the one that the app lives in. ``timeout`` bounds connecting, in
    seconds. Raises ``UnknownLabelError``, ``MoveError`` if there is nothing to compare, if one does
    not have the tables of the other, or if ``stop`` is set; ``DatabaseOperationError`` if a
    database cannot be asked.
    """
    aliases = _aliases(label, source, target)
    labels = get_topology().group_of(label)
    with opened_databases(*aliases, timeout=timeout) as databases:
        try:
            rows, differences = _compare(labels, databases, stop or Event())
        except Error as error:
            raise refusal(f"The tables of {label!r} could not be compared", error) from None
    return Comparison(labels, *aliases, rows, tuple(differences))


def _compare(
    labels: tuple[str, ...], databases: Databases, stop: Event
) -> tuple[dict[str, int], list[Difference]]:
    tables = moved_tables(labels, databases.source)
    if problems := column_problems(tables, databases.source, databases.target):
        raise MoveError(" ".join(problems), _IN_THE_WAY)
    rows = {table.name: 0 for table in tables}

    def count(compared: Compared) -> None:
        rows[compared.table] += compared.rows

    found = compare_tables(tables, databases.source, databases.target, report=count, stop=stop)
    return rows, list(found)


def _aliases(label: str, source: str | None, target: str | None) -> tuple[str, str]:
    """Return the canonical aliases of the two databases."""
    topology = get_topology()
    home = topology.alias_of(label)
    if move := topology.moves.get(label):
        found = (source or move.source, target or move.target)
    elif source or target:
        found = (source or home, target or home)
    else:
        raise MoveError(
            f"{label!r} is not being moved, so nothing says what {home!r} is to be compared with."
            " Name the other database, with --from or --to.",
            _USAGE,
        )
    for alias in found:
        if alias not in topology.canonical_aliases:
            known = map(str, topology.canonical_aliases)
            raise MoveError(
                f"There is no database {alias!r}. Choose from {choices(known)}.", _USAGE
            )
    first, second = map(topology.canonical_of, found)
    if first == second:
        raise MoveError(f"{found[0]!r} and {found[1]!r} are one database.", _USAGE)
    return first, second


def _as_dict(item: Difference) -> dict[str, Any]:
    return {
        "behind": item.lower and list(item.lower),
        "up_to": item.upper and list(item.upper),
        "keys": [list(key) for key in item.keys],
        "has_more": item.is_cut,
        "source_rows": item.giver_rows,
        "target_rows": item.taker_rows,
    }
