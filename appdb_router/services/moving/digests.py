"""Reading back what was copied, as the stream of bytes that it arrived as."""

import hashlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from threading import Event

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Sum

from ...models import MovedChunk
from .comparing import Compared, Range
from .keys import Condition, Key, between, quoted
from .patience import stopped
from .raw_copying import copy_statements, stream
from .server_side import comparable
from .tables import MovedTable


def compare_digests(
    tables: Iterable[MovedTable],
    giver: BaseDatabaseWrapper,
    taker: BaseDatabaseWrapper,
    token: str,
    *,
    verified: Mapping[str, Collection[int]] = {},
    report: Callable[[Compared], None] = lambda _: None,
    stop: Event | None = None,
) -> dict[str, list[Range]]:
    """Return, by the name of the table, the ranges of keys to be compared in full.

    Of the others the taker gives back the very bytes that the giver sent when they were copied
    with ``token``. What was replayed since, and what was copied without a digest, is not among
    those; nor is anything between other engines than PostgreSQL. Only the taker is read. Chunks
    that are ``verified``, by table and number, are not read again if the table has no other rows.

    Raises ``MoveError`` when ``stop`` is set.
    """
    found = {}
    with comparable(taker):
        for table in tables:
            known = verified.get(table.name, ())
            wanted = list(_unlike(table, giver, taker, token, known, report, stop or Event()))
            if wanted:
                found[table.name] = wanted
    return found


def _unlike(
    table: MovedTable,
    giver: BaseDatabaseWrapper,
    taker: BaseDatabaseWrapper,
    token: str,
    verified: Collection[int],
    report: Callable[[Compared], None],
    stop: Event,
) -> Iterator[Range]:
    chunks = MovedChunk.objects.using(taker.alias).filter(token=token, table=table.name)
    if verified and _count(table, taker) != chunks.aggregate(rows=Sum("rows"))["rows"]:
        verified = ()
    upper: Key | None = None
    for chunk in chunks.order_by("number"):
        if stop.is_set():
            raise stopped("The verification was stopped before its end.")
        lower, upper = (key and tuple(key) for key in (chunk.lower, chunk.upper))
        if chunk.number not in verified:
            within = between(table, taker, lower, upper)
            if not chunk.digest or chunk.digest != digest_of(table, giver, taker, within):
                yield lower, upper
        report(Compared(table.name, chunk.rows))
    if upper is not None or not chunks:
        # Nothing was copied, or not all of it.
        yield upper, None


def _count(table: MovedTable, taker: BaseDatabaseWrapper) -> int:
    with taker.cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM {quoted(taker, [table.name])[0]}")  # noqa: S608
        return int(cursor.fetchone()[0])


def digest_of(
    table: MovedTable,
    giver: BaseDatabaseWrapper,
    taker: BaseDatabaseWrapper,
    condition: Condition,
    *,
    is_ordered: bool = True,
) -> str:
    """Return the SHA-256 of what the taker would send; ``is_ordered`` as in ``copy_statements``."""
    statement, _ = copy_statements(table, taker, giver, condition, is_ordered=is_ordered)
    digest = hashlib.sha256()
    for block in stream(taker, statement):
        digest.update(block)
    return digest.hexdigest()
