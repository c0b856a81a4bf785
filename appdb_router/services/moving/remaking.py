"""Foreign keys of SQLite's tables, which stand in their text: to change them is to remake them.

Not with Django's editor, which knows of a table what the model knows, and looks at all rows of
the database: here indexes, triggers, columns and counters stay as they are.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from django.db import transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from ...exceptions import MoveError
from .columns import stored_table
from .keys import quoted
from .settling import settle

_NAME = r"""(?:"(?:[^"]|"")+"|`[^`]+`|\[[^\]]+\]|\w+)"""
_CLAUSE = re.compile(
    rf"\s*(?:CONSTRAINT\s+{_NAME}\s+)?REFERENCES\s+{_NAME}\s*(?:\([^)]*\))?"
    r"(?:\s+ON\s+(?:DELETE|UPDATE)\s+(?:SET\s+NULL|SET\s+DEFAULT|CASCADE|RESTRICT|NO\s+ACTION)"
    r"|\s+MATCH\s+\w+|\s+(?:NOT\s+)?DEFERRABLE(?:\s+INITIALLY\s+(?:DEFERRED|IMMEDIATE))?)*",
    re.IGNORECASE,
)
_OF_TABLE = re.compile(
    rf"\s*(?:CONSTRAINT\s+{_NAME}\s+)?FOREIGN\s+KEY\s*\(([^)]*)\)", re.IGNORECASE
)
_QUOTES = {'"': '"', "'": "'", "`": "`", "[": "]"}
_NEW = "appdb_router_new"


def sqlite_definition(connection: BaseDatabaseWrapper, table: str, columns: Sequence[str]) -> str:
    """Return the text by which ``table`` has a foreign key on ``columns``."""
    _, parts, _ = _split(_text(connection, table))
    for part in parts:
        if _columns_of_key(part) == _folded(columns):
            return part.strip()
        clause = _CLAUSE.search(part)
        if clause and _column(part) == columns[0].lower():
            return clause.group().strip()
    raise MoveError(f"The foreign key of {table!r} on {', '.join(columns)!r} is not understood.")


def set_sqlite_constraints(
    found: Iterable[dict[str, Any]], connection: BaseDatabaseWrapper, *, there: bool
) -> None:
    """Add the foreign keys ``found``, or drop them, in one transaction.

    Raises ``MoveError`` inside of a transaction that was begun with foreign keys checked.
    """
    by_table: dict[str, list[dict[str, Any]]] = {}
    for item in found:
        if _is_there(connection, item) != there:
            by_table.setdefault(item["table"], []).append(item)
    if not by_table:
        return
    settle(connection)
    if _fetch(connection, "PRAGMA foreign_keys") != [(0,)]:
        raise MoveError("Tables cannot be remade while SQLite checks foreign keys.")
    with transaction.atomic(using=connection.alias):
        for table, items in by_table.items():
            head, parts, tail = _split(_text(connection, table))
            for item in items:
                parts = list((_with if there else _without)(parts, item))
            _remake(connection, table, f"{head}{','.join(parts)}{tail}")
            if any(_is_there(connection, item) != there for item in items):
                raise MoveError(f"The foreign keys of {table!r} cannot be changed.")


def _with(parts: Sequence[str], item: dict[str, Any]) -> Iterator[str]:
    definition = item["definition"]
    is_of_table = _columns_of_key(definition) is not None
    for part in parts:
        is_wanted = not is_of_table and _column(part) == item["columns"][0].lower()
        yield f"{part} {definition}" if is_wanted else part
    if is_of_table:
        yield f" {definition}"


def _without(parts: Sequence[str], item: dict[str, Any]) -> Iterator[str]:
    for part in parts:
        if _columns_of_key(part) == _folded(item["columns"]):
            continue
        is_wanted = _column(part) == item["columns"][0].lower()
        yield _CLAUSE.sub("", part) if is_wanted else part


def _remake(connection: BaseDatabaseWrapper, table: str, text: str) -> None:
    stored = stored_table(connection, table)
    columns = [c.name for c in stored.columns.values() if not c.is_generated] if stored else []
    names = ", ".join(quoted(connection, columns))
    [old, new] = quoted(connection, [table, _NEW])
    others = _fetch(
        connection,
        "SELECT sql FROM sqlite_master WHERE type IN ('index', 'trigger') AND sql IS NOT NULL"
        " AND lower(tbl_name) = lower(%s) ORDER BY type, name",
        [table],
    )
    counted = "AUTOINCREMENT" in text.upper()
    last = (
        _fetch(connection, "SELECT seq FROM sqlite_sequence WHERE name = %s", [table])
        if counted
        else []
    )
    _run(connection, text)
    _run(connection, f"INSERT INTO {new} ({names}) SELECT {names} FROM {old}")  # noqa: S608
    _run(connection, f"DROP TABLE {old}")
    # Views and triggers that name the table are not looked at while there is none.
    _run(connection, "PRAGMA legacy_alter_table = ON")
    _run(connection, f"ALTER TABLE {new} RENAME TO {old}")
    _run(connection, "PRAGMA legacy_alter_table = OFF")
    for (statement,) in others:
        _run(connection, statement)
    for (number,) in last:
        with connection.cursor() as cursor:
            cursor.execute("DELETE FROM sqlite_sequence WHERE name = %s", [table])
            cursor.execute(
                "INSERT INTO sqlite_sequence (name, seq) VALUES (%s, %s)", [table, number]
            )


def _split(text: str) -> tuple[str, list[str], str]:
    """Return ``CREATE TABLE`` for a new name, what is between commas, and the end."""
    opening = text.index("(", re.match(rf"CREATE\s+TABLE\s+{_NAME}", text, re.IGNORECASE).end())  # type: ignore[union-attr]
    parts, start, depth, closing = [], opening + 1, 0, ""
    for place in range(opening, len(text)):
        char = text[place]
        if closing:
            closing = "" if char == closing else closing
        elif char in _QUOTES:
            closing = _QUOTES[char]
        elif char == "(":
            depth += 1
        elif char == ")" or (char == "," and depth == 1):
            depth -= char == ")"
            if depth == 0 or char == ",":
                parts.append(text[start:place])
                start = place + 1
            if depth == 0:
                break
    return f'CREATE TABLE "{_NEW}" (', parts, text[start - 1 :]


def _column(part: str) -> str:
    """Return the name that a part of a table begins with, folded."""
    found = re.match(rf"\s*({_NAME})", part)
    return _unquoted(found.group(1)) if found else ""


def _columns_of_key(part: str) -> set[str] | None:
    found = _OF_TABLE.match(part)
    return _folded(found.group(1).split(",")) if found else None


def _folded(names: Iterable[str]) -> set[str]:
    return {_unquoted(name.strip()) for name in names}


def _unquoted(name: str) -> str:
    return name.strip('"`[]').replace('""', '"').lower()


def _is_there(connection: BaseDatabaseWrapper, item: dict[str, Any]) -> bool:
    rows = _fetch(
        connection,
        'SELECT id, lower("from"), lower("table") FROM pragma_foreign_key_list(%s)',
        [item["table"]],
    )
    keys: dict[Any, set[str]] = {}
    for number, column, references in rows:
        keys.setdefault((number, references), set()).add(column)
    return any(
        columns == _folded(item["columns"]) and references == item["references"].lower()
        for (_, references), columns in keys.items()
    )


def _text(connection: BaseDatabaseWrapper, table: str) -> str:
    [(text,)] = _fetch(
        connection,
        "SELECT sql FROM sqlite_master WHERE type = 'table' AND lower(name) = lower(%s)",
        [table],
    )
    return str(text)


def _fetch(
    connection: BaseDatabaseWrapper, statement: str, parameters: Sequence[Any] = ()
) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return list(cursor.fetchall())


def _run(connection: BaseDatabaseWrapper, statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)
