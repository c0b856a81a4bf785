"""Copying rows between two PostgreSQL servers as they are: blocks of COPY, handed on unread."""

import hashlib
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from selectors import EVENT_READ, BaseSelector, DefaultSelector
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

from .columns import stored_table
from .keys import Key, between, quoted
from .tables import MovedTable

__all__ = ["Carried", "carry", "copy_statements", "stream"]

# Large enough that Python does little, and small beside what the servers hold.
_BLOCK = 1 << 17


@dataclass(frozen=True)
class Carried:
    """What was copied in one go; ``digest`` is the SHA-256 of the stream, or empty."""

    rows: int
    bytes: int
    digest: str = ""


def carry(
    table: MovedTable,
    giver: BaseDatabaseWrapper,
    taker: BaseDatabaseWrapper,
    lower: Key | None,
    upper: Key | None,
    *,
    digest: bool = False,
    spend: Callable[[int], None],
) -> Carried:
    """Copy the rows behind ``lower`` up to ``upper``; ``spend`` is told the bytes of each block."""
    sending, receiving = copy_statements(table, giver, taker, lower, upper)
    summed = hashlib.sha256()
    size = 0
    with taker.cursor() as cursor, taker.wrap_database_errors:
        with cursor.cursor.copy(receiving) as copy, closing(stream(giver, sending)) as blocks:
            for block in blocks:
                copy.write(block)
                size += len(block)
                if digest:
                    summed.update(block)
                spend(len(block))
        return Carried(cursor.cursor.rowcount, size, summed.hexdigest() if digest else "")


def copy_statements(
    table: MovedTable,
    giver: BaseDatabaseWrapper,
    taker: BaseDatabaseWrapper,
    lower: Key | None,
    upper: Key | None,
) -> tuple[str, str]:
    """Return the statements that send these rows and that receive them, columns by name.

    The same rows give the same bytes on both sides, if both sessions are settled: in binary form
    wherever that means the same on every server, otherwise as text.
    """
    form = "binary" if _is_plain(table, giver) and _is_plain(table, taker) else "text"
    condition, parameters = between(table, giver, lower, upper)
    [name] = quoted(giver, [table.name])
    names = ", ".join(quoted(giver, table.columns))
    order = ", ".join(quoted(giver, table.key, name))
    query = f"SELECT {names} FROM {name} WHERE {_filled(giver, condition, parameters)}"  # noqa: S608
    if order:
        query += f" ORDER BY {order}"
    return (
        f"COPY ({query}) TO STDOUT (FORMAT {form})",
        f"COPY {quoted(taker, [table.name])[0]} ({', '.join(quoted(taker, table.columns))})"
        f" FROM STDIN (FORMAT {form})",
    )


def stream(connection: BaseDatabaseWrapper, statement: str) -> Generator[bytes]:
    """Yield what the ``COPY … TO STDOUT`` of ``statement`` sends, in blocks of about 128 KiB.

    Closing it before the end cancels the statement. The driver's own way hands every row to Python.
    """
    with connection.cursor() as cursor, connection.wrap_database_errors:
        driver = _driver(connection)
        pgconn = cursor.connection.pgconn
        # Left with an error, it cancels the statement; what was read is not its to read again.
        with cursor.cursor.copy(statement), DefaultSelector() as selector:
            selector.register(pgconn.socket, EVENT_READ)
            yield from _blocks(pgconn, selector)
            # None is what is left when all results were taken, and one may be an error.
            for result in list(iter(pgconn.get_result, None)):
                if result.status != driver.pq.ExecStatus.COMMAND_OK:
                    raise driver.errors.error_from_result(result)


def _blocks(pgconn: Any, selector: BaseSelector) -> Iterator[bytes]:
    """Yield what the server sends until it has sent all."""
    block = bytearray()
    while True:
        size, data = pgconn.get_copy_data(1)
        if size > 0:
            block += data
            if len(block) >= _BLOCK:
                yield bytes(block)
                block.clear()
        elif size < 0:
            break
        else:
            selector.select()
            pgconn.consume_input()
    if block:
        yield bytes(block)


def _driver(connection: Any) -> Any:
    """Return the module of the driver: psycopg."""
    return connection.Database


def _filled(connection: BaseDatabaseWrapper, condition: str, parameters: list[str]) -> str:
    """Return ``condition`` with its parameters in it: COPY takes none."""
    connection.ensure_connection()
    literal = _driver(connection).sql.Literal
    literals = [literal(text).as_string(connection.connection) for text in parameters]
    return condition % tuple(literals)


def _is_plain(table: MovedTable, connection: BaseDatabaseWrapper) -> bool:
    stored = stored_table(connection, table.name)
    return stored is not None and all(stored.columns[name].is_plain for name in table.columns)
