"""The next values of automatic keys, set so that neither database's rows are ever met again."""

from collections.abc import Iterable, Sequence
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import AutoField

from ...exceptions import MoveError
from ..catalogs import SequenceState, sequences
from .keys import quoted
from .tables import MovedTable

_Places = dict[tuple[str, str], int]


def set_sequences(
    tables: Iterable[MovedTable], giver: BaseDatabaseWrapper, taker: BaseDatabaseWrapper
) -> None:
    """Set the taker's next values past the sequences and the maxima of both databases.

    Sequences of columns on PostgreSQL, ``AUTO_INCREMENT`` on MySQL (which commits), and
    ``sqlite_sequence``. None is ever set back.
    Raises ``MoveError`` for a sequence that the role may not read.
    """
    wanted = list(tables)
    theirs = _next_values(giver, wanted)
    mine = _next_values(taker, wanted)
    for place, current in mine.items():
        needed = max(current, theirs.get(place, 0))
        _SETTERS[taker.vendor](taker, place, needed)


def _next_values(connection: BaseDatabaseWrapper, tables: Sequence[MovedTable]) -> _Places:
    """Return what the automatic columns would have to give next, by table and column."""
    if connection.vendor == "postgresql":
        return _of_sequences(connection, tables)
    found = {}
    for table in tables:
        column = _automatic(table)
        if column is not None:
            [name, key] = quoted(connection, [table.name, column])
            maximum = _value(connection, f"SELECT max({key}) FROM {name}")  # noqa: S608
            last = _COUNTERS[connection.vendor](connection, table.name)
            found[table.name, column] = max(last, (maximum or 0) + 1)
    return found


def _of_sequences(connection: BaseDatabaseWrapper, tables: Sequence[MovedTable]) -> _Places:
    found: _Places = {}
    for state in sequences(connection, [table.name for table in tables]):
        if state.next_value is None:
            raise MoveError(
                f"The sequence {state.sequence!r} in {connection.alias!r} may not be read."
                " Grant SELECT and USAGE on it."
            )
        place = (state.table, state.column)
        following = _following(connection, state)
        found[place] = max(found.get(place, 0), following, (state.maximum or 0) + 1)
    return found


def _automatic(table: MovedTable) -> str | None:
    """Return the column that counts by itself; there is one at most."""
    fields: Any = table.model._meta.local_concrete_fields
    automatic = (field.column for field in fields if isinstance(field, AutoField))
    return next(automatic, None)


def _count_mysql(connection: BaseDatabaseWrapper, table: str) -> int:
    statement = (
        "SELECT auto_increment FROM information_schema.tables"
        " WHERE table_schema = DATABASE() AND table_name = %s"
    )
    wrapper: Any = connection
    if not wrapper.mysql_is_mariadb:  # pragma: no cover  The tests run on MariaDB.
        # MySQL would tell what it knew a day ago.
        with connection.cursor() as cursor:
            cursor.execute("SET SESSION information_schema_stats_expiry = 0")
    return _value(connection, statement, [table]) or 0


def _count_sqlite(connection: BaseDatabaseWrapper, table: str) -> int:
    statement = "SELECT seq + 1 FROM sqlite_sequence WHERE name = %s"
    return _value(connection, statement, [table]) or 0


def _set_postgresql(taker: BaseDatabaseWrapper, place: tuple[str, str], needed: int) -> None:
    table, column = place
    for state in sequences(taker, [table]):
        if state.column != column:
            continue
        following = _following(taker, state)
        if following < needed:
            # A sequence that goes in larger steps keeps to its numbers.
            steps = -(-(needed - following) // state.step)
            last = following + (steps - 1) * state.step
            _run(taker, "SELECT setval(%s::regclass, %s, true)", [state.sequence, last])


def _following(connection: BaseDatabaseWrapper, state: SequenceState) -> int:
    """Return what a sequence gives next, also where it was restarted and not used since."""
    return _value(
        connection,
        f"SELECT last_value + CASE WHEN is_called THEN {state.step:d} ELSE 0 END"  # noqa: S608
        f" FROM {state.sequence}",
    )


def _set_mysql(taker: BaseDatabaseWrapper, place: tuple[str, str], needed: int) -> None:
    if _count_mysql(taker, place[0]) < needed:
        [name] = quoted(taker, [place[0]])
        _run(taker, f"ALTER TABLE {name} AUTO_INCREMENT = {needed:d}", None)


def _set_sqlite(taker: BaseDatabaseWrapper, place: tuple[str, str], needed: int) -> None:
    changed = "UPDATE sqlite_sequence SET seq = max(seq, %s) WHERE name = %s"
    _run(taker, changed, [needed - 1, place[0]])
    added = (
        "INSERT INTO sqlite_sequence (name, seq) SELECT %s, %s"
        " WHERE NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = %s)"
    )
    _run(taker, added, [place[0], needed - 1, place[0]])


_COUNTERS = {"mysql": _count_mysql, "sqlite": _count_sqlite}
_SETTERS = {"postgresql": _set_postgresql, "mysql": _set_mysql, "sqlite": _set_sqlite}


def _value(
    connection: BaseDatabaseWrapper, statement: str, parameters: Sequence[Any] | None = None
) -> int:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        row = cursor.fetchone()
    return int(row[0] or 0) if row else 0


def _run(connection: BaseDatabaseWrapper, statement: str, parameters: Sequence[Any] | None) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
