"""What a database says of a table that is to be moved: its columns, its key, and its kind."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

from ..catalogs import fold_column

# What every trigger of a move is called at the beginning.
OWN_TRIGGERS = "appdb_router"


@dataclass(frozen=True)
class StoredColumn:
    """A column as the server describes it; ``type`` can be compared within one engine.

    ``is_plain`` tells whether the binary form of its values means the same on every server: what
    holds the numbers of types that users made does not.
    """

    name: str
    type: str
    is_nullable: bool
    is_generated: bool
    is_plain: bool = True


@dataclass(frozen=True)
class StoredTable:
    """A table; ``obstacle`` says why its rows cannot be moved, if that is so.

    ``key`` are the columns of the primary key in its order, ``triggers`` those of the users.
    """

    columns: dict[str, StoredColumn]
    key: tuple[str, ...] = ()
    obstacle: str = ""
    triggers: tuple[str, ...] = field(default=())


# A user's type is taken for plain where its binary form is documented: text for citext, enums and
# domains over plain types, counted texts for hstore. Numbers from 16384 on are users' objects.
_POSTGRESQL_COLUMNS = r"""
    WITH RECURSIVE base AS (
        SELECT oid AS domain, oid FROM pg_type
        UNION ALL
        SELECT base.domain, t.typbasetype FROM base JOIN pg_type t ON t.oid = base.oid
        WHERE t.typtype = 'd'
    )
    SELECT a.attname, regexp_replace(format_type(a.atttypid, a.atttypmod), '^.*\.', '')
               || coalesce((SELECT ' ' || array_agg(enumlabel ORDER BY enumsortorder)::text
                            FROM pg_enum WHERE enumtypid IN (t.oid, t.typelem)), ''),
           NOT a.attnotnull, a.attgenerated <> '',
           b.typsend <> 0 AND b.typreceive <> 0 AND (
               b.oid < 16384 OR b.typtype = 'e' OR b.typname IN ('citext', 'hstore')
           ) AND b.typtype <> 'c' AND b.oid <> 'record'::regtype
    FROM pg_attribute a
    JOIN pg_type t ON t.oid = a.atttypid
    JOIN base ON base.domain = t.oid
    JOIN pg_type b ON b.oid = base.oid AND b.typtype <> 'd'
    WHERE a.attrelid = to_regclass(%s) AND a.attnum > 0 AND NOT a.attisdropped
    ORDER BY a.attnum
"""

_POSTGRESQL_TABLE = """
    SELECT c.relkind, c.relispartition OR EXISTS (
               SELECT FROM pg_inherits WHERE c.oid IN (inhrelid, inhparent)),
           (SELECT json_agg(a.attname ORDER BY k.place)
            FROM pg_index i
            CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY AS k (number, place)
            JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.number
            WHERE i.indrelid = c.oid AND i.indisprimary AND k.place <= i.indnkeyatts),
           (SELECT json_agg(tgname ORDER BY tgname) FROM pg_trigger
            WHERE tgrelid = c.oid AND NOT tgisinternal)
    FROM pg_class c WHERE c.oid = to_regclass(%s)
"""

_MYSQL_COLUMNS = """
    SELECT column_name, column_type, is_nullable = 'YES', extra LIKE '%%GENERATED%%'
           AND extra NOT LIKE '%%DEFAULT_GENERATED%%'
    FROM information_schema.columns
    WHERE table_schema = DATABASE() AND table_name = %s ORDER BY ordinal_position
"""

_MYSQL_KEY = """
    SELECT column_name FROM information_schema.statistics
    WHERE table_schema = DATABASE() AND table_name = %s AND index_name = 'PRIMARY'
    ORDER BY seq_in_index
"""

_MYSQL_TRIGGERS = """
    SELECT trigger_name FROM information_schema.triggers
    WHERE event_object_schema = DATABASE() AND event_object_table = %s ORDER BY 1
"""

# Hidden columns are generated ones: 2 virtual, 3 stored.
_SQLITE_COLUMNS = """
    SELECT name, type, "notnull", hidden, pk FROM pragma_table_xinfo(%s) ORDER BY cid
"""

_SQLITE_TRIGGERS = """
    SELECT name FROM sqlite_master WHERE type = 'trigger' AND lower(tbl_name) = lower(%s) ORDER BY 1
"""


def stored_table(connection: BaseDatabaseWrapper, name: str) -> StoredTable | None:
    """Return what ``connection`` has under ``name`` (``db_table``), or ``None``."""
    found = _READERS[connection.vendor](connection, name)
    if found is None:
        return None
    own = tuple(name for name in found.triggers if not name.startswith(OWN_TRIGGERS))
    return StoredTable(found.columns, found.key, found.obstacle, own)


def _read_postgresql(connection: BaseDatabaseWrapper, name: str) -> StoredTable | None:
    quoted = [connection.ops.quote_name(name)]
    about = _fetch(connection, _POSTGRESQL_TABLE, quoted)
    if not about:
        return None
    kind, inherits, key, triggers = about[0]
    columns = {
        row[0]: StoredColumn(*row) for row in _fetch(connection, _POSTGRESQL_COLUMNS, quoted)
    }
    if kind == "p":
        obstacle = "is partitioned"
    elif kind != "r":
        obstacle = "is no ordinary table"
    else:
        obstacle = "is a partition, or part of an inheritance of tables" if inherits else ""
    return StoredTable(columns, _listed(key), obstacle, _listed(triggers))


def _listed(value: Any) -> tuple[str, ...]:
    # Django has told the driver to leave JSON as it is.
    return tuple(json.loads(value) if isinstance(value, str) else value or ())


def _read_mysql(connection: BaseDatabaseWrapper, name: str) -> StoredTable | None:
    columns = {
        row[0]: StoredColumn(row[0], row[1], *map(bool, row[2:]))
        for row in _fetch(connection, _MYSQL_COLUMNS, [name])
    }
    if not columns:
        return None
    [(kind, options)] = _fetch(
        connection,
        "SELECT table_type, create_options FROM information_schema.tables"
        " WHERE table_schema = DATABASE() AND table_name = %s",
        [name],
    )
    obstacle = "is partitioned" if "partitioned" in (options or "") else ""
    return StoredTable(
        columns,
        tuple(row[0] for row in _fetch(connection, _MYSQL_KEY, [name])),
        obstacle if kind == "BASE TABLE" else "is no ordinary table",
        tuple(row[0] for row in _fetch(connection, _MYSQL_TRIGGERS, [name])),
    )


def _read_sqlite(connection: BaseDatabaseWrapper, name: str) -> StoredTable | None:
    rows = _fetch(connection, _SQLITE_COLUMNS, [name])
    if not rows:
        return None
    columns = {
        column: StoredColumn(column, kind.lower(), not (not_null or pk), hidden > 1)
        for column, kind, not_null, hidden, pk in rows
    }
    # Only a whole number is never NULL in a key that does not say so.
    has_key = all(not_null or kind.lower() == "integer" for _, kind, not_null, _, pk in rows if pk)
    key = [column for _, column in sorted((row[4], row[0]) for row in rows if row[4])]
    [(kind,)] = _fetch(
        connection, "SELECT type FROM sqlite_master WHERE lower(name) = lower(%s)", [name]
    )
    return StoredTable(
        columns,
        tuple(key) if has_key else (),
        "" if kind == "table" else "is no ordinary table",
        tuple(row[0] for row in _fetch(connection, _SQLITE_TRIGGERS, [name])),
    )


_READERS = {"postgresql": _read_postgresql, "mysql": _read_mysql, "sqlite": _read_sqlite}


def column_named(
    connection: BaseDatabaseWrapper, table: StoredTable, name: str
) -> StoredColumn | None:
    """Return the column that this engine takes for ``name``."""
    wanted = fold_column(connection, name)
    return next(
        (item for item in table.columns.values() if fold_column(connection, item.name) == wanted),
        None,
    )


def _fetch(connection: BaseDatabaseWrapper, statement: str, parameters: Sequence[Any]) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return list(cursor.fetchall())
