"""Copying rows between two PostgreSQL servers as they are: blocks of COPY, handed on unread."""

from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from selectors import EVENT_READ, BaseSelector, DefaultSelector
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

from .columns import stored_table
from .keys import Condition, between, quoted
from .remembering import remembered
from .settling import driver_of
from .tables import MovedTable

# Large enough that Python does little, and small beside what the servers hold.
_BLOCK = 1 << 17


@dataclass(frozen=True)
class Carried:
    """What was copied in one go; ``digest`` is the SHA-256 of the stream, or empty."""

    rows: int
    bytes: int
    digest: str = ""


def carry(table: MovedTable, giver: BaseDatabaseWrapper, taker: BaseDatabaseWrapper) -> Carried:
    """Copy all rows, in the transaction that is open at the giver."""
    return transfer(
        giver, taker, *copy_statements(table, giver, taker, between(table, giver, None, None))
    )


def transfer(
    giver: BaseDatabaseWrapper, taker: BaseDatabaseWrapper, sending: str, receiving: str
) -> Carried:
    """Hand what the statement ``sending`` of the giver sends to ``receiving`` of the taker."""
    with closing(stream(giver, sending)) as blocks:
        return receive(taker, receiving, blocks)


def receive(
    taker: BaseDatabaseWrapper,
    statement: str,
    blocks: Iterable[bytes],
    *,
    spend: Callable[[int], None] = lambda _: None,
) -> Carried:
    """Write ``blocks`` with ``statement``, a ``COPY … FROM STDIN``; ``spend`` is told of each."""
    size = 0
    with taker.cursor() as cursor, taker.wrap_database_errors:
        with cursor.cursor.copy(statement) as copy:
            for block in blocks:
                copy.write(block)
                size += len(block)
                spend(len(block))
        return Carried(cursor.cursor.rowcount, size)


def copy_statements(
    table: MovedTable,
    giver: BaseDatabaseWrapper,
    taker: BaseDatabaseWrapper,
    condition: Condition,
    into: str | None = None,
    *,
    is_ordered: bool = True,
) -> tuple[str, str]:
    """Return the statements that send the rows of ``condition`` and receive them, by name.

    ``into`` is a table of the taker with the same columns, if it is not that of the same name. The
    same rows give the same bytes on both sides, if both sessions are settled: in binary form
    wherever that means the same on every server, otherwise as text. They come in the order of the
    key, or as they are in the table unless ``is_ordered``.
    """
    form = "binary" if _is_plain(table, giver) and _is_plain(table, taker) else "text"
    [name] = quoted(giver, [table.name])
    names = ", ".join(quoted(giver, table.columns))
    order = ", ".join(quoted(giver, table.key, name))
    query = f"SELECT {names} FROM {name} WHERE {filled(giver, condition)}"  # noqa: S608
    if order and is_ordered:
        query += f" ORDER BY {order}"
    return (
        f"COPY ({query}) TO STDOUT (FORMAT {form})",
        f"COPY {quoted(taker, [into or table.name])[0]} ({', '.join(quoted(taker, table.columns))})"
        f" FROM STDIN (FORMAT {form})",
    )


def stream(connection: BaseDatabaseWrapper, statement: str) -> Generator[bytes]:
    """Yield what the ``COPY … TO STDOUT`` of ``statement`` sends, in blocks of about 128 KiB.

    Closing it before the end cancels the statement. The driver's own way hands every row to Python.
    """
    with connection.cursor() as cursor, connection.wrap_database_errors:
        driver = driver_of(connection)
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


def filled(connection: BaseDatabaseWrapper, condition: Condition) -> str:
    """Return ``condition`` with its parameters in it: COPY takes none."""
    text, parameters = condition
    connection.ensure_connection()
    literal = driver_of(connection).sql.Literal
    literals = [literal(value).as_string(connection.connection) for value in parameters]
    return text % tuple(literals)


def _is_plain(table: MovedTable, connection: BaseDatabaseWrapper) -> bool:
    def ask() -> bool:
        stored = stored_table(connection, table.name)
        return stored is not None and all(stored.columns[name].is_plain for name in table.columns)

    return remembered(connection, ("is plain", table), ask)
