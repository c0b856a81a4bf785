"""Reading rows ahead of their being written, in a session and a thread of their own.

While the one server finishes a chunk and commits it, the other would have nothing to do.
"""

import hashlib
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from queue import Full, Queue
from threading import Event, Thread
from types import TracebackType
from typing import NamedTuple, Self

from django.db.backends.base.base import BaseDatabaseWrapper

from .keys import Key, between, next_boundary
from .raw_copying import copy_statements, stream
from .settling import end_thread, end_when_alone, session, settle
from .tables import MovedTable

# Blocks that wait for being written: a few MiB.
_ROOM = 64
# Seconds after which the thread notices that nobody waits for it any more.
_PAUSE = 0.2


class Place(NamedTuple):
    """The rows of a chunk: those behind ``lower``, up to ``upper``; ``None`` is no bound."""

    number: int
    lower: Key | None
    upper: Key | None


def places(
    table: MovedTable,
    connection: BaseDatabaseWrapper,
    number: int,
    lower: Key | None,
    rows: int,
) -> Iterator[Place]:
    """Yield the places of the chunks from ``number`` on; the last one has no upper bound."""
    while True:
        upper = next_boundary(table, connection, lower, rows) if table.key else None
        yield Place(number, lower, upper)
        if upper is None:
            return
        number, lower = number + 1, upper


@dataclass
class SentChunk:
    """A chunk that is being read.

    ``digest`` is the SHA-256 of its ``blocks``, and known when they have all been taken.
    """

    place: Place
    queue: "Queue[SentChunk | bytes | str | BaseException | None]" = field(repr=False)
    digest: str = ""

    def blocks(self) -> Iterator[bytes]:
        """Yield the blocks of the stream. Raises what reading them raises."""
        while not isinstance(item := self.queue.get(), str):
            if isinstance(item, BaseException):
                raise item
            assert isinstance(item, bytes)  # noqa: S101  The order in which they are put.
            yield item
        self.digest = item


class ReadingAhead:
    """Reads the chunks of a table from one PostgreSQL server, to be written to another.

    To be used as a context; ``chunks`` are then to be taken one after the other, each with all of
    its blocks. ``digest`` is whether to sum them up.
    """

    def __init__(
        self,
        table: MovedTable,
        giver: BaseDatabaseWrapper,
        taker: BaseDatabaseWrapper,
        *,
        number: int,
        lower: Key | None,
        rows: int,
        digest: bool,
    ) -> None:
        self._table, self._giver, self._taker = table, giver, taker
        self._first, self._rows, self._digest = (number, lower), rows, digest
        # Here, and not in the thread, the taker is asked what there is to know of its table.
        _, self.receiving = copy_statements(table, giver, taker, between(table, giver, None, None))
        self._queue: Queue[SentChunk | bytes | str | BaseException | None] = Queue(_ROOM)
        self._is_left = Event()
        self._reader: BaseDatabaseWrapper | None = None
        self._thread = Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._is_left.set()
        end_thread(self._thread, None if error is None else self._reader)

    def chunks(self) -> Iterator[SentChunk]:
        """Yield the chunks. Raises what reading them raises."""
        while (item := self._queue.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            assert isinstance(item, SentChunk)  # noqa: S101  The order in which they are put.
            yield item

    def _run(self) -> None:
        try:
            with session(self._giver.alias) as self._reader:
                self._read(self._reader)
            self._put(None)
        except BaseException as error:  # noqa: BLE001  Raised again where somebody waits.
            self._put(error)

    def _read(self, reader: BaseDatabaseWrapper) -> None:
        end_when_alone(reader)
        settle(reader)
        for place in places(self._table, reader, *self._first, self._rows):
            self._put(SentChunk(place, self._queue))
            self._put(self._send(reader, place))
            if self._is_left.is_set():
                return

    def _send(self, reader: BaseDatabaseWrapper, place: Place) -> str:
        summed = hashlib.sha256()
        condition = between(self._table, reader, place.lower, place.upper)
        sending, _ = copy_statements(self._table, reader, self._taker, condition)
        with closing(stream(reader, sending)) as blocks:
            for block in blocks:
                if self._digest:
                    summed.update(block)
                self._put(block)
                if self._is_left.is_set():
                    break
        return summed.hexdigest() if self._digest else ""

    def _put(self, item: SentChunk | bytes | str | BaseException | None) -> None:
        """Put ``item`` where it waits, unless nobody is there to take it."""
        while not self._is_left.is_set():
            with suppress(Full):
                self._queue.put(item, timeout=_PAUSE)
                return
