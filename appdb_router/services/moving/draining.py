"""Replaying what was written to the giver's tables while they are moved."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial

from django.db import IntegrityError, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from .keys import Key, quoted, translated
from .passing import passing
from .queueing import Changes, Written, forget, read_queue
from .replacing import replace_rows
from .rows import delete_keys, read_rows, write_rows
from .settling import are_postgresql, settle
from .tables import MovedTable

# Entries of the queue that one step takes.
LIMIT = 5000


@dataclass
class Drained:
    """What a step brought up to date.

    ``keys`` are those of the rows, by the name of the table and as the giver writes them; of the
    tables ``whole`` all rows were replaced. ``entries`` is how many entries of the queue are done,
    and ``rows`` how many rows there are now for them.
    """

    keys: dict[str, set[Key]] = field(default_factory=dict)
    whole: frozenset[str] = frozenset()
    rows: int = 0
    entries: int = 0


def drain(
    tables: Iterable[MovedTable],
    giver: BaseDatabaseWrapper,
    taker: BaseDatabaseWrapper,
    label: str,
    token: str,
    *,
    limit: int | None = LIMIT,
) -> Drained:
    """Bring the taker's rows up to date with ``limit`` entries of the giver's queue, or all.

    Keys and rows are read in one snapshot of the giver, which is the transaction that is open
    there, if there is one. The taker's rows are replaced in one transaction, and then the entries
    are deleted: killed in between, the next step does the same once more. If a part of the queue
    breaks a constraint, such as two rows that exchanged unique values, all of it is replayed at
    once, on PostgreSQL with the rows that refer to those if need be.

    Raises ``IntegrityError`` if all of it breaks one, too.
    """
    wanted = {table.name: table for table in tables}
    settle(giver)
    settle(taker)
    step = partial(_step, wanted, giver, taker, label, token)
    if limit is not None:
        with suppress(IntegrityError):
            return step(limit)
    with suppress(IntegrityError):
        return step(None)
    return step(None, take_along=True)


def _step(
    wanted: dict[str, MovedTable],
    giver: BaseDatabaseWrapper,
    taker: BaseDatabaseWrapper,
    label: str,
    token: str,
    limit: int | None,
    *,
    take_along: bool = False,
) -> Drained:
    with _snapshot(giver):
        changes = read_queue(giver, label, wanted, limit)
        if not changes.ids:
            return Drained()
        with passing(taker, token), transaction.atomic(using=taker.alias):
            rows = _replace(wanted, changes, giver, taker, take_along=take_along)
    forget(giver, changes)
    return Drained(
        {name: written.keys for name, written in changes.tables.items()},
        frozenset(name for name, written in changes.tables.items() if written.is_whole),
        rows,
        len(changes.ids),
    )


def _replace(
    wanted: dict[str, MovedTable],
    changes: Changes,
    giver: BaseDatabaseWrapper,
    taker: BaseDatabaseWrapper,
    *,
    take_along: bool,
) -> int:
    """Replace the rows in the order of ``wanted``, in which parents come first."""
    if are_postgresql(giver, taker):
        return replace_rows(wanted, changes.tables, giver, taker, take_along=take_along)
    found = [
        (table, changes.tables[name]) for name, table in wanted.items() if name in changes.tables
    ]
    for table, written in reversed(found):
        _delete(table, written, giver, taker)
    return sum(_write(table, written, giver, taker) for table, written in found)


def _delete(
    table: MovedTable, written: Written, giver: BaseDatabaseWrapper, taker: BaseDatabaseWrapper
) -> None:
    if not written.is_whole:
        delete_keys(table, taker, translated(table, written.keys, giver, taker))
        return
    with taker.cursor() as cursor:
        cursor.execute(f"DELETE FROM {quoted(taker, [table.name])[0]}")  # noqa: S608


def _write(
    table: MovedTable, written: Written, giver: BaseDatabaseWrapper, taker: BaseDatabaseWrapper
) -> int:
    keys = None if written.is_whole else written.keys
    return write_rows(table, taker, read_rows(table, giver, keys=keys))


@contextmanager
def _snapshot(giver: BaseDatabaseWrapper) -> Iterator[None]:
    """Let all that is read in this block be of one moment."""
    if giver.in_atomic_block:
        yield
        return
    with transaction.atomic(using=giver.alias):
        # SQLite has no other transactions.
        if giver.vendor != "sqlite":
            with giver.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        yield
