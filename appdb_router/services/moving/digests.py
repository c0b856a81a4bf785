"""Reading back what was copied, as the stream of bytes that it arrived as."""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from threading import Event

from django.db.backends.base.base import BaseDatabaseWrapper

from ...exceptions import MoveError
from ...models import MovedChunk
from .comparing import Compared, Range
from .keys import Key, between
from .raw_copying import copy_statements, stream
from .server_side import comparable
from .tables import MovedTable

_STOPPED = 130


def compare_digests(
    tables: Iterable[MovedTable],
    giver: BaseDatabaseWrapper,
    taker: BaseDatabaseWrapper,
    token: str,
    *,
    report: Callable[[Compared], None] = lambda _: None,
    stop: Event | None = None,
) -> dict[str, list[Range]]:
    """Return, by the name of the table, the ranges of keys to be compared in full.

    Of the others the taker gives back the very bytes that the giver sent when they were copied
    with ``token``. What was replayed since, and what was copied without a digest, is not among
    those; nor is anything between other engines than PostgreSQL. Only the taker is read.

    Raises ``MoveError`` when ``stop`` is set.
    """
    found = {}
    with comparable(taker):
        for table in tables:
            wanted = list(_unlike(table, giver, taker, token, report, stop or Event()))
            if wanted:
                found[table.name] = wanted
    return found


def _unlike(
    table: MovedTable,
    giver: BaseDatabaseWrapper,
    taker: BaseDatabaseWrapper,
    token: str,
    report: Callable[[Compared], None],
    stop: Event,
) -> Iterator[Range]:
    chunks = MovedChunk.objects.using(taker.alias).filter(token=token, table=table.name)
    upper: Key | None = None
    for chunk in chunks.order_by("number"):
        if stop.is_set():
            raise MoveError("The verification was stopped before its end.", _STOPPED)
        lower, upper = (key and tuple(key) for key in (chunk.lower, chunk.upper))
        if not chunk.digest or chunk.digest != _digest(table, giver, taker, (lower, upper)):
            yield lower, upper
        report(Compared(table.name, chunk.rows))
    if upper is not None or not chunks:
        # Nothing was copied, or not all of it.
        yield upper, None


def _digest(
    table: MovedTable, giver: BaseDatabaseWrapper, taker: BaseDatabaseWrapper, bounds: Range
) -> str:
    """Return the digest of what the taker would send."""
    statement, _ = copy_statements(table, taker, giver, between(table, taker, *bounds))
    digest = hashlib.sha256()
    for block in stream(taker, statement):
        digest.update(block)
    return digest.hexdigest()
