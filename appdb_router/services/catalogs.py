"""What a database says of itself: its tables and columns, sequences, indexes, and who it is."""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.db import Error
from django.db.backends.base.base import BaseDatabaseWrapper

# Up to here rows are counted one by one; nobody waits for the count of a table of millions.
MOST_ROWS = 10_000

# The server looks each name up as it would in a query: by search_path, by schema, cut to length.
_WANTED = """
    FROM json_each_text(%s::json) AS wanted (name, quoted)
    JOIN pg_class c ON c.oid = to_regclass(wanted.quoted)
"""

_TABLES = f"""
    SELECT wanted.name, c.relkind IN ('r', 'p') AND n.nspname = current_schema(),
           array_agg(a.attname::text)
    {_WANTED}
    JOIN pg_namespace n ON n.oid = c.relnamespace
    LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f')
    GROUP BY wanted.name, c.relkind, n.nspname
"""

# pg_depend ties a serial column ('a') and an identity column ('i') to its sequence. Two joins: the
# more there are, the longer the server looks for an order of them.
_SEQUENCES = """
    SELECT wanted.quoted,
           (SELECT attname FROM pg_attribute
             WHERE attrelid = wanted.place AND attnum = d.refobjsubid) AS column_name,
           wanted.name, q.seqrelid::regclass::text, q.seqincrement,
           has_sequence_privilege(q.seqrelid, 'SELECT')
               AND has_column_privilege(wanted.place, d.refobjsubid::smallint, 'SELECT')
    FROM (
        SELECT key AS name, value AS quoted, to_regclass(value)::oid AS place
        FROM json_each_text(%s::json)
    ) AS wanted
    JOIN pg_depend d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = wanted.place
                    AND d.classid = 'pg_class'::regclass AND d.deptype IN ('a', 'i')
    JOIN pg_sequence q ON q.seqrelid = d.objid
    WHERE q.seqincrement > 0
    ORDER BY wanted.name, column_name
"""

_INVALID_INDEXES = f"""
    SELECT wanted.name, i.indexrelid::regclass::text
    {_WANTED}
    JOIN pg_index i ON i.indrelid = c.oid
    WHERE NOT i.indisvalid
    ORDER BY 1, 2
"""

# Not the system_identifier: a copy of a server's files has that of its origin.
_POSTGRESQL_IDENTITY = """
    SELECT pg_postmaster_start_time()::text, current_schema(), oid
    FROM pg_database WHERE datname = current_database()
"""

# MariaDB's server_uid is made of network address and port, which two containers may share.
_MYSQL_IDENTITY = """
    SHOW VARIABLES WHERE variable_name IN
        ('server_uuid', 'server_uid', 'hostname', 'port', 'datadir', 'socket')
"""


@dataclass(frozen=True)
class Standing:
    """A table or view that is there; ``columns`` are folded, see ``fold_column``.

    ``is_own`` tells a table where the database of this connection makes its tables, partitioned
    ones included, from a view, a foreign table, and what is seen in another schema.
    """

    columns: frozenset[str]
    is_own: bool


@dataclass(frozen=True)
class SequenceState:
    """The sequence of a column: what it gives next, and the column's maximum.

    Both are ``None`` where this role may not read them. ``step`` is how far it goes at a time.
    """

    table: str
    column: str
    sequence: str
    next_value: int | None
    maximum: int | None
    step: int

    @property
    def is_behind(self) -> bool:
        """Whether the next row would get a number that is taken."""
        return None not in (self.next_value, self.maximum) and self.next_value <= self.maximum  # type: ignore[operator]


def standing_tables(connection: BaseDatabaseWrapper, names: Iterable[str]) -> dict[str, Standing]:
    """Return what stands under each of ``names`` (``db_table``), without those that are not there.

    A name that holds quotes and a schema is understood.
    """
    wanted = sorted(set(names))
    if not wanted:
        return {}
    return _READERS.get(connection.vendor, _read_by_asking)(connection, wanted)


def fold_column(connection: BaseDatabaseWrapper, name: str) -> str:
    """Return ``name`` in the form in which this engine compares the names of columns."""
    if connection.vendor == "postgresql":
        # The server cuts longer names at 63 bytes.
        return name.encode()[:63].decode(errors="ignore")
    if connection.vendor in {"mysql", "sqlite"}:
        return name.lower()
    return connection.introspection.identifier_converter(name)


def count_rows(connection: BaseDatabaseWrapper, table: str) -> int:
    """Return the number of rows, or ``MOST_ROWS + 1`` if there are more than ``MOST_ROWS``."""
    quoted = connection.ops.quote_name(table)
    limited = f"SELECT 1 AS one FROM {quoted} {connection.ops.limit_offset_sql(0, MOST_ROWS + 1)}"  # noqa: S608
    [(number,)] = _fetch(connection, f"SELECT count(*) FROM ({limited}) counted")  # noqa: S608
    return int(number)


def identity(connection: BaseDatabaseWrapper) -> tuple[Any, ...] | None:
    """Return a key that two connections share only if the server says they are in one place.

    It is ``None`` where the engine has no such answer.
    """
    if connection.vendor == "postgresql":
        return tuple(_fetch(connection, _POSTGRESQL_IDENTITY)[0])
    if connection.vendor == "mysql":
        server = sorted(_fetch(connection, _MYSQL_IDENTITY))
        return (*server, *_fetch(connection, "SELECT DATABASE()")[0])
    if connection.vendor == "sqlite":
        path = sqlite_file(connection)
        found = path.stat() if path else None
        return found and (found.st_dev, found.st_ino)
    return None


def sqlite_file(connection: BaseDatabaseWrapper) -> Path | None:
    """Return the file of an SQLite database, or ``None`` for one in memory."""
    path = _fetch(connection, "PRAGMA database_list")[0][2]
    return Path(path) if path else None


def sequences(connection: BaseDatabaseWrapper, tables: Iterable[str]) -> list[SequenceState]:
    """Return the state of the sequences of ``tables``; the other engines need none."""
    if connection.vendor != "postgresql":
        return []
    found = _fetch(connection, _SEQUENCES, _names(connection, tables))
    states = dict(_states(connection, found))
    return [
        SequenceState(table, column, sequence, following, maximum, step)
        for number, (_, column, table, sequence, step, _) in enumerate(found)
        for following, maximum in [states.get(number, (None, None))]
    ]


def invalid_indexes(
    connection: BaseDatabaseWrapper, tables: Iterable[str]
) -> list[tuple[str, str]]:
    """Return each table of ``tables`` that has an index PostgreSQL does not use, and the index."""
    if connection.vendor != "postgresql":
        return []
    return _fetch(connection, _INVALID_INDEXES, _names(connection, tables))


def _states(
    connection: BaseDatabaseWrapper, found: Sequence[tuple[Any, ...]]
) -> Iterator[tuple[int, tuple[int, int | None]]]:
    """Yield the next value of each readable sequence and the maximum, by number, with one query.

    Only the sequence itself tells what it gives next when it was set and has given nothing since.
    """
    parts = [
        f"SELECT {number}, s.last_value + CASE WHEN s.is_called THEN {step} ELSE 0 END,"  # noqa: S608
        f" (SELECT max({connection.ops.quote_name(column)})::bigint FROM {quoted})"
        f" FROM {sequence} s"
        for number, (quoted, column, _, sequence, step, readable) in enumerate(found)
        if readable
    ]
    if parts:
        for number, following, maximum in _fetch(connection, " UNION ALL ".join(parts)):
            yield number, (following, maximum)


def _names(connection: BaseDatabaseWrapper, tables: Iterable[str]) -> list[str]:
    # The driver takes far longer for an array than for one text.
    return [json.dumps({name: connection.ops.quote_name(name) for name in sorted(set(tables))})]


def _read_postgresql(connection: BaseDatabaseWrapper, names: list[str]) -> dict[str, Standing]:
    return {
        name: Standing(frozenset(columns), is_own)
        for name, is_own, columns in _fetch(connection, _TABLES, _names(connection, names))
    }


def _read_mysql(connection: BaseDatabaseWrapper, names: list[str]) -> dict[str, Standing]:
    [(folds, current)] = _fetch(connection, "SELECT @@lower_case_table_names, DATABASE()")
    fold: Callable[[str], str] = str.lower if folds else str
    places = {}
    for name in names:
        schema, _, table = name.strip("`").rpartition("`.`")
        places[name] = (fold(schema or current), fold(table))
    columns: dict[tuple[str, str], set[str]] = {}
    tables = set()
    for schema, table, kind, column in _fetch(
        connection,
        "SELECT table_schema, table_name, table_type, column_name"
        " FROM information_schema.tables JOIN information_schema.columns"
        " USING (table_schema, table_name) WHERE table_schema IN %s",
        [tuple({current, *(schema for schema, _ in places.values())})],
    ):
        place = (fold(schema), fold(table))
        columns.setdefault(place, set()).add(column.lower())
        if kind == "BASE TABLE" and place[0] == fold(current):
            tables.add(place)
    return {
        name: Standing(frozenset(columns[place]), place in tables)
        for name, place in places.items()
        if place in columns
    }


def _read_sqlite(connection: BaseDatabaseWrapper, names: list[str]) -> dict[str, Standing]:
    columns: dict[str, set[str]] = {}
    # A virtual table whose module is not loaded fails when it is looked at, as a view may.
    for table, column in _fetch(
        connection,
        "SELECT lower(m.name), lower(c.name) FROM sqlite_master m, pragma_table_xinfo(m.name) c"
        " WHERE m.type = 'table' AND m.sql NOT LIKE 'CREATE VIRTUAL%%'",
        [],
    ):
        columns.setdefault(table, set()).add(column)
    found = {
        name: Standing(frozenset(columns[name.lower()]), is_own=True)
        for name in names
        if name.lower() in columns
    }
    others = _read_by_asking(connection, [name for name in names if name not in found])
    return found | {name: Standing(item.columns, is_own=False) for name, item in others.items()}


def _read_by_asking(connection: BaseDatabaseWrapper, names: list[str]) -> dict[str, Standing]:
    """Ask each table itself, which every engine understands."""
    found = {}
    for name in names:
        try:
            with connection.cursor() as cursor:
                cursor.execute(f"SELECT * FROM {connection.ops.quote_name(name)} WHERE 1 = 0")  # noqa: S608
                columns = {fold_column(connection, column[0]) for column in cursor.description}
        except Error:
            continue
        found[name] = Standing(frozenset(columns), is_own=True)
    return found


_READERS: dict[str, Callable[[BaseDatabaseWrapper, list[str]], dict[str, Standing]]] = {
    "postgresql": _read_postgresql,
    "mysql": _read_mysql,
    "sqlite": _read_sqlite,
}


def _fetch(
    connection: BaseDatabaseWrapper, statement: str, parameters: Sequence[Any] | None = None
) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return list(cursor.fetchall())
