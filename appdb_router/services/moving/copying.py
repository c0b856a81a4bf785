"""Copying whole tables, in chunks by key of which each is either there or not."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from threading import Event
from typing import Any

from django.db import Error, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from ...models import MovedChunk, MovedTableState
from ..weighing import weigh
from .keys import quoted
from .kinds import VALUE_ERRORS
from .passing import passing
from .patience import stopped
from .raw_copying import Carried, carry, receive
from .reading_ahead import Place, ReadingAhead, SentChunk, places
from .reading_back import ReadingBack, WrittenChunk
from .rows import read_rows, write_rows
from .settling import are_postgresql, is_about_server, refusal, settle
from .tables import MovedTable

__all__ = ["Copied"]


@dataclass(frozen=True)
class CopyOptions:
    """How to copy: rows of a chunk, bytes a second at most, and whether to sum what is sent.

    The digest of a chunk is the SHA-256 of the stream, and is kept between PostgreSQL servers only.
    """

    chunk_rows: int = 50_000
    rate_limit: int | None = None
    digest: bool = False


@dataclass(frozen=True)
class Copied:
    """A chunk that was copied: its rows and bytes, and all rows that the table may have."""

    table: str
    rows: int
    bytes: int
    total_rows: int | None


class Throttle:
    """Waits so long that no more than ``limit`` bytes a second are spent, until it is stopped."""

    def __init__(self, limit: int | None, stop: Event) -> None:
        self._limit = limit
        self._stop = stop
        self._began = time.monotonic()
        self._spent = 0

    def spend(self, size: int) -> None:
        """Count ``size`` bytes, and wait if they came too early."""
        if self._limit is not None:
            self._spent += size
            ahead = self._spent / self._limit - (time.monotonic() - self._began)
            if ahead > 0:
                self._stop.wait(ahead)


class _Counted:
    """Rows that are counted, about in bytes, while they go by."""

    def __init__(self, rows: Iterable[Sequence[Any]], throttle: Throttle) -> None:
        self._rows = rows
        self._throttle = throttle
        self.bytes = 0

    def __iter__(self) -> Iterator[Sequence[Any]]:
        for row in self._rows:
            size = sum(len(v) if isinstance(v, str | bytes) else 8 for v in row)
            self.bytes += size
            self._throttle.spend(size)
            yield row


def copy_table(
    table: MovedTable,
    giver: BaseDatabaseWrapper,
    taker: BaseDatabaseWrapper,
    token: str,
    options: CopyOptions,
    *,
    report: Callable[[Copied], None],
    stop: Event,
    reading: ReadingBack | None = None,
) -> None:
    """Copy what is not yet copied, and write each chunk down in the transaction that writes it.

    A table without a key is one chunk. Nothing is deleted at the taker; ``report`` is called
    for each chunk, and ``reading`` gets those with a digest, to read them back later.
    Raises ``MoveError`` when ``stop`` is set (between two chunks), and for what the taker refuses.
    """
    for connection in (giver, taker):
        settle(connection)
    state, _ = MovedTableState.objects.using(taker.alias).get_or_create(
        token=token, table=table.name, defaults={"parts": []}
    )
    if state.is_copied:
        return
    total = rows_and_bytes(table, giver)[0]
    throttle = Throttle(options.rate_limit, stop)
    with _explained(table), _chunks(table, giver, taker, token, options, throttle) as chunks:
        behind = reading.blocks_of(table) if reading else 0
        for chunk in chunks:
            if stop.is_set():
                raise stopped(f"Stopped while {table.name!r} was copied.")
            with transaction.atomic(using=taker.alias), passing(taker, token):
                place = chunk.place
                _set_commit(taker, is_synchronous=place.upper is None)
                carried = chunk.carry()
                MovedChunk.objects.using(taker.alias).create(
                    token=token,
                    table=table.name,
                    **place._asdict(),
                    rows=carried.rows,
                    bytes=carried.bytes,
                    digest=carried.digest,
                )
                if place.upper is None:
                    state.is_copied = True
                    state.save(using=taker.alias, update_fields=["is_copied"])
            if reading and carried.digest:
                # The last block of before may have had room.
                first, behind = max(0, behind - 1), reading.blocks_of(table)
                reading.add(WrittenChunk(table, place, carried.digest, (first, behind)))
            report(Copied(table.name, carried.rows, carried.bytes, total))


def copy_whole(
    table: MovedTable, giver: BaseDatabaseWrapper, taker: BaseDatabaseWrapper, token: str
) -> int:
    """Make the taker's rows those of the giver, in one transaction there; return their number.

    For a table without a key, while nobody writes to it: the giver reads in the transaction that
    the caller has opened.
    """
    for connection in (giver, taker):
        settle(connection)
    with _explained(table), transaction.atomic(using=taker.alias):
        [name] = quoted(taker, [table.name])
        with taker.cursor() as cursor:
            cursor.execute(f"DELETE FROM {name}")  # noqa: S608
        if are_postgresql(giver, taker):
            carried = carry(table, giver, taker)
        else:
            throttle = Throttle(None, Event())
            carried = _carry_rows(table, giver, taker, Place(0, None, None), throttle)
        MovedTableState.objects.using(taker.alias).update_or_create(
            token=token,
            table=table.name,
            defaults={"is_copied": True},
            create_defaults={"parts": [], "is_copied": True},
        )
    return carried.rows


def rows_and_bytes(table: MovedTable, giver: BaseDatabaseWrapper) -> tuple[int, int | None]:
    """Return about how many rows and bytes the table has; ``None`` where nobody can tell bytes."""
    [size] = weigh(giver, [table.name]).tables
    return size.rows or 0, size.bytes


@dataclass(frozen=True)
class _Chunk:
    """Rows to be copied at once; ``carry`` reads and writes them."""

    place: Place
    carry: Callable[[], Carried]


@contextmanager
def _chunks(
    table: MovedTable,
    giver: BaseDatabaseWrapper,
    taker: BaseDatabaseWrapper,
    token: str,
    options: CopyOptions,
    throttle: Throttle,
) -> Iterator[Iterator[_Chunk]]:
    """Give the chunks that are not there yet, each to be copied before the next is taken."""
    there = MovedChunk.objects.using(taker.alias).filter(token=token, table=table.name)
    last = there.order_by("-number").first()
    number, lower = (last.number + 1, tuple(last.upper)) if last else (0, None)
    if are_postgresql(giver, taker):
        with ReadingAhead(
            table,
            giver,
            taker,
            number=number,
            lower=lower,
            rows=options.chunk_rows,
            digest=options.digest,
        ) as ahead:
            yield (
                _Chunk(sent.place, partial(_carry_on, ahead, sent, taker, throttle))
                for sent in ahead.chunks()
            )
        return
    yield (
        _Chunk(place, partial(_carry_rows, table, giver, taker, place, throttle))
        for place in places(table, giver, number, lower, options.chunk_rows)
    )


def _carry_on(
    ahead: ReadingAhead, sent: SentChunk, taker: BaseDatabaseWrapper, throttle: Throttle
) -> Carried:
    carried = receive(taker, ahead.receiving, sent.blocks(), spend=throttle.spend)
    return replace(carried, digest=sent.digest)


def _carry_rows(
    table: MovedTable,
    giver: BaseDatabaseWrapper,
    taker: BaseDatabaseWrapper,
    place: Place,
    throttle: Throttle,
) -> Carried:
    wanted = read_rows(table, giver, lower=place.lower, upper=place.upper)
    rows = _Counted(wanted, throttle)
    return Carried(write_rows(table, taker, rows), rows.bytes)


def _set_commit(taker: BaseDatabaseWrapper, *, is_synchronous: bool) -> None:
    """Let the commits of all chunks but the last not wait for the disk, on PostgreSQL.

    If the server crashes, the last of them are lost with their rows, so they are copied again; and
    the commit of the last chunk is not over before all are on the disk.
    """
    if taker.vendor == "postgresql" and not is_synchronous:
        with taker.cursor() as cursor:
            cursor.execute("SET LOCAL synchronous_commit = off")


@contextmanager
def _explained(table: MovedTable) -> Iterator[None]:
    """Raise ``MoveError`` for what the rows are refused for, without the servers' own messages."""
    try:
        yield
    except (Error, *VALUE_ERRORS) as error:
        if isinstance(error, Error) and is_about_server(error):
            raise
        raise refusal(f"The rows of {table.name!r} cannot be copied", error) from None
