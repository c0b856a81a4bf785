"""Reading chunks back while indexes are made, in a session and a thread of its own.

While rows are copied, both servers have their work; then an index needs one of the target's
processors. There is no key yet to find the chunks by. But each was appended to the table, so its
rows are in the blocks that the table got with it, in the order in which they came. Where that does
not hold, the digests differ, and the chunk is read once more.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from threading import Event, Thread

from django.db.backends.base.base import BaseDatabaseWrapper

from .digests import digest_of
from .keys import Condition, between, quoted
from .patience import stopped
from .reading_ahead import Place
from .settling import are_postgresql, end_thread, end_when_alone, session, settle
from .tables import MovedTable

# Seconds after which a wish to stop is noticed.
_PAUSE = 0.2

_BLOCKS = """
    SELECT pg_relation_size(to_regclass(%s)) / current_setting('block_size')::int
"""


@dataclass(frozen=True)
class WrittenChunk:
    """A chunk that is there now, and the blocks of its table that may have its rows."""

    table: MovedTable
    place: Place
    digest: str
    blocks: tuple[int, int]


class ReadingBack:
    """Reads back what was written to ``taker``, and keeps which chunks are as they were sent.

    It begins with ``begin()``, when all have been added.
    """

    def __init__(self, giver: BaseDatabaseWrapper, taker: BaseDatabaseWrapper) -> None:
        self._giver, self._taker = giver, taker
        self._chunks: list[WrittenChunk] = []
        self._is_left = Event()
        self._reader: BaseDatabaseWrapper | None = None
        self._thread = Thread(target=self._run, daemon=True)
        self._verified: dict[str, set[int]] = defaultdict(set)
        self._changed: set[str] = set()

    def blocks_of(self, table: MovedTable) -> int:
        """Return how many blocks ``table`` has."""
        with self._taker.cursor() as cursor:
            cursor.execute(_BLOCKS, quoted(self._taker, [table.name]))
            return int(cursor.fetchone()[0])

    def add(self, chunk: WrittenChunk) -> None:
        """Have ``chunk`` read back later, which has been committed."""
        self._chunks.append(chunk)

    def begin(self) -> None:
        """Read back what was added."""
        if self._chunks:
            self._thread.start()

    @property
    def is_busy(self) -> bool:
        """Whether chunks are being read."""
        return self._thread.is_alive()

    def forget(self, tables: Collection[str]) -> None:
        """Take no chunk of ``tables`` for verified, of which rows were replaced since."""
        self._changed.update(tables)

    def verified(self, stop: Event) -> Mapping[str, Collection[int]]:
        """Return the numbers of the chunks that are as they were sent, by table; wait for them.

        Raises ``MoveError`` when ``stop`` is set.
        """
        while self.is_busy:
            if stop.is_set():
                raise stopped("The verification was stopped before its end.")
            self._thread.join(_PAUSE)
        return {name: found for name, found in self._verified.items() if name not in self._changed}

    def leave(self) -> None:
        """Read no more."""
        self._is_left.set()
        if self.is_busy:
            end_thread(self._thread, self._reader)

    def _run(self) -> None:
        # Whatever is wrong shows when the rest is read.
        with (
            suppress(Exception),
            session(self._taker.alias) as self._reader,
        ):
            end_when_alone(self._reader)
            settle(self._reader)
            for chunk in self._chunks:
                if self._is_left.is_set():
                    break
                if chunk.table.name not in self._changed:
                    self._look_at(chunk, self._reader)

    def _look_at(self, chunk: WrittenChunk, reader: BaseDatabaseWrapper) -> None:
        condition = _within(chunk, reader)
        found = digest_of(chunk.table, self._giver, reader, condition, is_ordered=False)
        if found == chunk.digest:
            self._verified[chunk.table.name].add(chunk.place.number)


@contextmanager
def reading_back(
    giver: BaseDatabaseWrapper, taker: BaseDatabaseWrapper
) -> Iterator[ReadingBack | None]:
    """Give what reads back in this block, if the two servers are such that it can."""
    if not are_postgresql(giver, taker):
        yield None
        return
    reading = ReadingBack(giver, taker)
    try:
        yield reading
    finally:
        reading.leave()


def _within(chunk: WrittenChunk, reader: BaseDatabaseWrapper) -> Condition:
    condition, parameters = between(chunk.table, reader, chunk.place.lower, chunk.place.upper)
    first, behind = chunk.blocks
    where = f"ctid >= '({first:d},0)' AND ctid < '({behind:d},0)' AND {condition}"
    return where, parameters
