"""What the triggers of a move are called on each engine, and what they are made of."""

import re
from hashlib import sha256

from django.db.backends.base.base import BaseDatabaseWrapper

from .keys import key_texts, quoted
from .tables import MovedTable

EVENTS = ("INSERT", "UPDATE", "DELETE")

# PostgreSQL cuts off what is longer, in bytes; MySQL takes one more.
_LONGEST = 63


def object_name(purpose: str, label: str, table: str) -> str:
    """Return the name of a trigger or a function, one that no other app or table has.

    It is for people to read as far as there is room; then a digest tells it from others.
    """
    whole = f"appdb_router_{purpose}_{label}_{table}"
    name = re.sub(r"\W", "_", whole, flags=re.ASCII).lower()
    if name == whole and len(name) <= _LONGEST:
        return name
    digest = sha256(whole.encode()).hexdigest()[:10]
    return f"{name[: _LONGEST - len(digest) - 1]}_{digest}"


def literal(text: str, connection: BaseDatabaseWrapper) -> str:
    """Return ``text`` as SQL has it: the definition of a trigger takes no parameters."""
    if connection.vendor == "mysql":
        text = text.replace("\\", "\\\\")
    return "'" + text.replace("'", "''") + "'"


def queue_columns(connection: BaseDatabaseWrapper) -> str:
    """Return the columns of ``RowChange`` that a trigger fills."""
    return ", ".join(quoted(connection, ("label", "table", "key")))


def queue_values(
    table: MovedTable, connection: BaseDatabaseWrapper, label: str, row: str | None
) -> str:
    """Return the values for ``queue_columns()``: the key of ``row``, or of all rows for ``None``.

    ``row`` is what the columns belong to, such as ``NEW``.
    """
    array = "json_build_array" if connection.vendor == "postgresql" else "json_array"
    key = "NULL"
    if row is not None:
        key = f"{array}({', '.join(key_texts(table, connection, row))})"
        key += "::text" if connection.vendor == "postgresql" else ""
    return f"{literal(label, connection)}, {literal(table.name, connection)}, {key}"
