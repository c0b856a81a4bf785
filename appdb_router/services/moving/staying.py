"""Foreign keys in one database between tables that move and tables that stay, in both directions.

When the rows have moved, such a constraint would refuse every new row on the side that stays.
"""

import json
from collections.abc import Iterable, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any

from django.db import IntegrityError, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from ...exceptions import MoveError
from .keys import quoted
from .remaking import set_sqlite_constraints, sqlite_definition
from .tables import MovedTable

# Of a partitioned table the constraint of the whole is the one to drop.
_POSTGRESQL = """
    SELECT k.conrelid::regclass::text, k.conname, pg_get_constraintdef(k.oid),
           (SELECT json_agg(a.attname ORDER BY p.place)
            FROM unnest(k.conkey) WITH ORDINALITY AS p (number, place)
            JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = p.number),
           k.confrelid::regclass::text, k.convalidated
    FROM pg_constraint k
    CROSS JOIN LATERAL (
        SELECT array_agg(to_regclass(quoted)::oid) FROM json_array_elements_text(%s::json) quoted
    ) AS moved (oids)
    WHERE k.contype = 'f' AND k.conparentid = 0
      AND (k.conrelid = ANY (moved.oids)) <> (k.confrelid = ANY (moved.oids))
    ORDER BY 1, 2
"""

_MYSQL = """
    SELECT k.table_name, k.constraint_name, k.column_name, k.referenced_table_name,
           k.referenced_column_name, r.delete_rule, r.update_rule
    FROM information_schema.key_column_usage k
    JOIN information_schema.referential_constraints r
      ON r.constraint_schema = k.constraint_schema AND r.constraint_name = k.constraint_name
     AND r.table_name = k.table_name
    WHERE k.table_schema = DATABASE() AND k.referenced_table_schema = DATABASE()
    ORDER BY k.table_name, k.constraint_name, k.ordinal_position
"""

_SQLITE = """
    SELECT m.name, f.id, f."from", f."table", f."to"
    FROM sqlite_master m, pragma_foreign_key_list(m.name) f
    WHERE m.type = 'table' ORDER BY m.name, f.id, f.seq
"""


def staying_constraints(
    tables: Iterable[MovedTable], source: BaseDatabaseWrapper
) -> list[dict[str, Any]]:
    """Return the foreign keys between ``tables`` and others of ``source``, to be written down.

    Each has ``table``, ``columns`` and ``name`` (``None`` on SQLite), ``references`` (a table), and
    ``definition``, with which it is added again. ``is_validated`` is false where it was not.
    """
    return _FINDERS[source.vendor]([table.name for table in tables], source)


def drop_staying_constraints(found: Iterable[dict[str, Any]], source: BaseDatabaseWrapper) -> None:
    """Drop the constraints ``found``; those that are gone already are passed over.

    On PostgreSQL and SQLite it may be a part of the caller's transaction (SQLite: of a session
    that ``settle()`` has set up before); on MySQL it commits. Triggers of the tables stay.
    """
    if source.vendor == "sqlite":
        set_sqlite_constraints(found, source, there=False)
    elif source.vendor == "postgresql":
        with transaction.atomic(using=source.alias):
            for item in found:
                [name] = quoted(source, [item["name"]])
                _run(source, f"ALTER TABLE {item['table']} DROP CONSTRAINT IF EXISTS {name}")
    else:
        for item in found:
            if _is_there(item, source):
                table, name = quoted(source, [item["table"], item["name"]])
                _run(source, f"ALTER TABLE {table} DROP FOREIGN KEY {name}")


def add_staying_constraints(found: Iterable[dict[str, Any]], source: BaseDatabaseWrapper) -> None:
    """Add the constraints ``found`` again, without looking at the rows that are there.

    Those that are there are passed over. See ``validate_staying_constraints()``.
    """
    if source.vendor == "sqlite":
        set_sqlite_constraints(found, source, there=True)
        return
    missing = [item for item in found if not _is_there(item, source)]
    if source.vendor == "mysql":
        _run(source, "SET SESSION foreign_key_checks = 0")
        for item in missing:
            table, name = quoted(source, [item["table"], item["name"]])
            _run(source, f"ALTER TABLE {table} ADD CONSTRAINT {name} {item['definition']}")
        return
    with transaction.atomic(using=source.alias):
        for item in missing:
            [name] = quoted(source, [item["name"]])
            definition = item["definition"].removesuffix(" NOT VALID")
            _run(
                source,
                f"ALTER TABLE {item['table']} ADD CONSTRAINT {name} {definition} NOT VALID",
            )


def validate_staying_constraints(
    found: Iterable[dict[str, Any]], source: BaseDatabaseWrapper
) -> None:
    """Look at the rows that ``add_staying_constraints()`` did not look at.

    On PostgreSQL it is a step for each constraint, which lets others read and write.
    Raises ``MoveError`` that names the first constraint that rows break.
    """
    for item in found:
        if not item["is_validated"]:
            continue
        if source.vendor == "postgresql":
            [name] = quoted(source, [item["name"]])
            try:
                _run(source, f"ALTER TABLE {item['table']} VALIDATE CONSTRAINT {name}")
            except IntegrityError:
                raise _broken(item) from None
        elif _dangles(item, source):
            raise _broken(item)


def _broken(item: dict[str, Any]) -> MoveError:
    columns = ", ".join(item["columns"])
    return MoveError(
        f"Rows of {item['table']!r} refer by {columns!r} to rows of {item['references']!r} that are"
        " not there."
    )


def _find_postgresql(names: Sequence[str], source: BaseDatabaseWrapper) -> list[dict[str, Any]]:
    wanted = json.dumps([source.ops.quote_name(name) for name in names])
    return [
        {
            "table": table,
            "name": name,
            "definition": definition,
            "columns": json.loads(columns) if isinstance(columns, str) else columns,
            "references": references,
            "is_validated": is_validated,
        }
        for table, name, definition, columns, references, is_validated in _rows(
            source, _POSTGRESQL, [wanted]
        )
    ]


def _find_mysql(names: Sequence[str], source: BaseDatabaseWrapper) -> list[dict[str, Any]]:
    moved = {name.lower() for name in names}
    found = []
    for (table, name), rows in groupby(_rows(source, _MYSQL), key=itemgetter(0, 1)):
        _, _, columns, (references, *_), others, (deleting, *_), (updating, *_) = zip(
            *rows, strict=True
        )
        if (table.lower() in moved) == (references.lower() in moved):
            continue
        listed = [", ".join(quoted(source, group)) for group in (columns, [references], others)]
        found.append(
            {
                "table": table,
                "name": name,
                "definition": "FOREIGN KEY ({}) REFERENCES {} ({})".format(*listed)
                + f" ON DELETE {deleting} ON UPDATE {updating}",
                "columns": list(columns),
                "references": references,
                "others": list(others),
                "is_validated": True,
            }
        )
    return found


def _find_sqlite(names: Sequence[str], source: BaseDatabaseWrapper) -> list[dict[str, Any]]:
    moved = {name.lower() for name in names}
    found = []
    for (table, _), rows in groupby(_rows(source, _SQLITE), key=itemgetter(0, 1)):
        _, _, columns, (references, *_), others = zip(*rows, strict=True)
        if (table.lower() in moved) != (references.lower() in moved):
            found.append(
                {
                    "table": table,
                    "name": None,
                    "definition": sqlite_definition(source, table, columns),
                    "columns": list(columns),
                    "references": references,
                    "others": list(others),
                    "is_validated": True,
                }
            )
    return found


def _is_there(item: dict[str, Any], source: BaseDatabaseWrapper) -> bool:
    if source.vendor == "postgresql":
        statement = "SELECT 1 FROM pg_constraint WHERE conrelid = to_regclass(%s) AND conname = %s"
    else:
        statement = (
            "SELECT 1 FROM information_schema.referential_constraints"
            " WHERE constraint_schema = DATABASE() AND table_name = %s AND constraint_name = %s"
        )
    return bool(_rows(source, statement, [item["table"], item["name"]]))


def _dangles(item: dict[str, Any], source: BaseDatabaseWrapper) -> bool:
    [table, references] = quoted(source, [item["table"], item["references"]])
    columns = quoted(source, item["columns"], "child")
    others = quoted(source, item["others"], "parent")
    pairs = " AND ".join(f"{a} = {b}" for a, b in zip(others, columns, strict=True))
    known = " AND ".join(f"{column} IS NOT NULL" for column in columns)
    statement = (
        f"SELECT 1 FROM {table} child LEFT JOIN {references} parent ON {pairs}"  # noqa: S608
        f" WHERE {known} AND {others[0]} IS NULL LIMIT 1"
    )
    return bool(_rows(source, statement))


_FINDERS = {"postgresql": _find_postgresql, "mysql": _find_mysql, "sqlite": _find_sqlite}


def _rows(
    source: BaseDatabaseWrapper, statement: str, parameters: Sequence[Any] | None = None
) -> list[Any]:
    with source.cursor() as cursor:
        cursor.execute(statement, parameters)
        return list(cursor.fetchall())


def _run(source: BaseDatabaseWrapper, statement: str) -> None:
    with source.cursor() as cursor:
        cursor.execute(statement)
