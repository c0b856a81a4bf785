"""What PostgreSQL says of the indexes, constraints and triggers of tables, and how to make them."""

import json
from collections.abc import Iterable
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

from .columns import OWN_TRIGGERS

# As it is written down: a kind, the table that it is ``of``, a name, and the statements that
# ``drop`` it (or nothing, if it goes with another), ``make`` it, and find a row if it ``exists``.
Part = dict[str, Any]
_KEYS = ("kind", "of", "name", "drop", "make", "exists", "tablespace")

INDEX, CONSTRAINT, MARK, FOREIGN_KEY, TRIGGER = ORDER = (
    "index",
    "constraint",
    "mark",
    "foreign key",
    "trigger",
)

_WANTED = """
    FROM json_each_text(%s::json) AS wanted (name, quoted)
    JOIN pg_class c ON c.oid = to_regclass(wanted.quoted)
    JOIN pg_namespace n ON n.oid = c.relnamespace
"""

# A foreign key belongs to the table that has it, or if that is not moved, to the one it refers to.
_FOREIGN_KEYS = f"""
    SELECT DISTINCT ON (k.oid) 'foreign key', wanted.name, k.conname,
        format('ALTER TABLE %%s DROP CONSTRAINT %%I', k.conrelid::regclass, k.conname),
        format('ALTER TABLE %%s ADD CONSTRAINT %%I %%s',
               k.conrelid::regclass, k.conname, pg_get_constraintdef(k.oid)),
        format('SELECT FROM pg_constraint WHERE conrelid = to_regclass(%%L) AND conname = %%L',
               k.conrelid::regclass, k.conname), NULL
    {_WANTED}
    JOIN pg_constraint k ON k.contype = 'f' AND k.conparentid = 0
                        AND c.oid IN (k.conrelid, k.confrelid)
    ORDER BY k.oid, k.conrelid <> c.oid
"""  # noqa: S608

# An index with a tablespace or settings of its own keeps them; of an exclusion constraint the
# definition does not tell them, so such a one stays.
_CONSTRAINTS = f"""
    SELECT 'constraint', wanted.name, k.conname,
        format('ALTER TABLE %%s DROP CONSTRAINT %%I', c.oid::regclass, k.conname),
        format('ALTER TABLE %%s ADD CONSTRAINT %%I ', c.oid::regclass, k.conname)
            || CASE WHEN is_made_of_index THEN
                   format('%%s USING INDEX %%I', CASE k.contype WHEN 'p' THEN 'PRIMARY KEY'
                                                             ELSE 'UNIQUE' END, i.relname)
                   || CASE WHEN k.condeferrable THEN ' DEFERRABLE' ELSE '' END
                   || CASE WHEN k.condeferred THEN ' INITIALLY DEFERRED' ELSE '' END
               ELSE pg_get_constraintdef(k.oid) END,
        format('SELECT FROM pg_constraint WHERE conrelid = to_regclass(%%L) AND conname = %%L',
               c.oid::regclass, k.conname), NULL
    {_WANTED}
    JOIN pg_constraint k ON k.conrelid = c.oid AND k.contype IN ('p', 'u', 'x')
    JOIN pg_class i ON i.oid = k.conindid
    JOIN pg_am m ON m.oid = i.relam
    CROSS JOIN LATERAL (SELECT k.contype <> 'x' AND m.amname = 'btree') AS made (is_made_of_index)
    WHERE is_made_of_index OR (i.reltablespace = 0 AND i.reloptions IS NULL)
    ORDER BY k.oid
"""  # noqa: S608

# Those of constraints too, which are made of their indexes again; exclusion makes its own.
_INDEXES = f"""
    SELECT 'index', wanted.name, i.relname,
        CASE WHEN k.oid IS NULL THEN format('DROP INDEX %%I.%%I', n.nspname, i.relname) END,
        pg_get_indexdef(i.oid),
        format('SELECT FROM pg_index WHERE indexrelid = to_regclass(%%L) AND indisvalid',
               format('%%I.%%I', n.nspname, i.relname)),
        t.spcname
    {_WANTED}
    JOIN pg_index x ON x.indrelid = c.oid AND x.indisvalid
    JOIN pg_class i ON i.oid = x.indexrelid
    JOIN pg_am m ON m.oid = i.relam
    LEFT JOIN pg_tablespace t ON t.oid = i.reltablespace
    LEFT JOIN pg_constraint k ON k.conindid = i.oid AND k.conrelid = c.oid
                             AND k.contype IN ('p', 'u', 'x')
    WHERE k.oid IS NULL OR (k.contype <> 'x' AND m.amname = 'btree')
    ORDER BY i.oid
"""  # noqa: S608

# What hangs on an index or a constraint and goes with it.
_MARKS = f"""
    SELECT 'mark', wanted.name, i.relname, NULL, made.statement, 'SELECT WHERE false', NULL
    {_WANTED}
    JOIN pg_index x ON x.indrelid = c.oid AND x.indisvalid
    JOIN pg_class i ON i.oid = x.indexrelid
    LEFT JOIN pg_constraint k ON k.conindid = i.oid AND k.conrelid = c.oid
                             AND k.contype IN ('p', 'u', 'x')
    CROSS JOIN LATERAL (VALUES
        (x.indisclustered, format('ALTER TABLE %%s CLUSTER ON %%I', c.oid::regclass, i.relname)),
        (x.indisreplident AND c.relreplident = 'i',
         format('ALTER TABLE %%s REPLICA IDENTITY USING INDEX %%I', c.oid::regclass, i.relname)),
        (obj_description(i.oid, 'pg_class') IS NOT NULL,
         format('COMMENT ON INDEX %%I.%%I IS %%L', n.nspname, i.relname,
                obj_description(i.oid, 'pg_class'))),
        (obj_description(k.oid, 'pg_constraint') IS NOT NULL,
         format('COMMENT ON CONSTRAINT %%I ON %%s IS %%L', coalesce(k.conname, ''), c.oid::regclass,
                obj_description(k.oid, 'pg_constraint')))
    ) AS made (is_wanted, statement)
    WHERE made.is_wanted
    ORDER BY i.oid
"""

_TRIGGERS = f"""
    SELECT 'trigger', wanted.name, t.tgname,
        format('ALTER TABLE %%s DISABLE TRIGGER %%I', c.oid::regclass, t.tgname),
        format('ALTER TABLE %%s ENABLE %%s TRIGGER %%I', c.oid::regclass,
               CASE t.tgenabled WHEN 'A' THEN 'ALWAYS' WHEN 'R' THEN 'REPLICA' ELSE '' END,
               t.tgname),
        format('SELECT FROM pg_trigger WHERE tgrelid = to_regclass(%%L) AND tgname = %%L',
               c.oid::regclass, t.tgname), NULL
    {_WANTED}
    JOIN pg_trigger t ON t.tgrelid = c.oid AND NOT t.tgisinternal AND t.tgenabled <> 'D'
                     AND NOT starts_with(t.tgname, %s)
    ORDER BY t.oid
"""  # noqa: S608


def find_parts(connection: BaseDatabaseWrapper, tables: Iterable[str]) -> list[Part]:
    """Return the parts of ``tables`` in the order in which they can be dropped."""
    names = _names(connection, tables)
    statements = (_FOREIGN_KEYS, _CONSTRAINTS, _INDEXES, _MARKS)
    return [part for statement in statements for part in _found(connection, statement, names)]


def find_triggers(connection: BaseDatabaseWrapper, tables: Iterable[str]) -> list[Part]:
    """Return the users' triggers of ``tables`` that are enabled; dropping one is disabling it."""
    return _found(connection, _TRIGGERS, [*_names(connection, tables), OWN_TRIGGERS])


def _found(connection: BaseDatabaseWrapper, statement: str, parameters: list[str]) -> list[Part]:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return [dict(zip(_KEYS, row, strict=True)) for row in cursor.fetchall()]


def _names(connection: BaseDatabaseWrapper, tables: Iterable[str]) -> list[str]:
    return [json.dumps({name: connection.ops.quote_name(name) for name in tables})]
