"""The writes of a move itself, which its triggers let through and do not note."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from django.db import Error, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from .keys import quoted

# A setting of the session on PostgreSQL.
PASSING_VARIABLE = "appdb_router.move"
_MYSQL_VARIABLE = "@appdb_router_move"

# On SQLite a trigger sees nothing of the session, but the rows of its open transaction.
PASSING_TABLE = "appdb_router_passing"


@contextmanager
def passing(connection: BaseDatabaseWrapper, token: str) -> Iterator[None]:
    """Let what ``connection`` writes in this block pass the triggers made with ``token``.

    It is neither refused nor captured. On SQLite the block is one transaction, or a part of the
    open one.
    """
    if connection.vendor == "sqlite":
        with _passing_on_sqlite(connection, token):
            yield
        return
    before = _mark(connection, token)
    try:
        yield
    except BaseException:
        # In a transaction that failed nothing can be set; what was set in it goes with it.
        with suppress(Error):
            _mark(connection, before)
        raise
    _mark(connection, before)


def passes(token: str, connection: BaseDatabaseWrapper) -> str:
    """Return the condition, for a trigger, that the write is one of those in ``passing()``."""
    # A token is made of hexadecimal digits.
    if connection.vendor == "sqlite":
        table = quoted(connection, [PASSING_TABLE])[0]
        return f"EXISTS (SELECT 1 FROM {table} WHERE token = '{token}')"  # noqa: S608
    if connection.vendor == "mysql":
        return f"{_MYSQL_VARIABLE} <=> '{token}'"
    return f"current_setting('{PASSING_VARIABLE}', true) IS NOT DISTINCT FROM '{token}'"


def _mark(connection: BaseDatabaseWrapper, token: str | None) -> str | None:
    """Mark the session with ``token``, and return what it was marked with before."""
    with connection.cursor() as cursor:
        if connection.vendor == "mysql":
            cursor.execute(f"SELECT {_MYSQL_VARIABLE}")
            [before] = cursor.fetchone()
            cursor.execute(f"SET {_MYSQL_VARIABLE} = %s", [token])
        else:
            cursor.execute("SELECT current_setting(%s, true)", [PASSING_VARIABLE])
            [before] = cursor.fetchone()
            cursor.execute("SELECT set_config(%s, %s, false)", [PASSING_VARIABLE, token or ""])
    return before or None


@contextmanager
def _passing_on_sqlite(connection: BaseDatabaseWrapper, token: str) -> Iterator[None]:
    table = quoted(connection, [PASSING_TABLE])[0]
    with transaction.atomic(using=connection.alias), connection.cursor() as cursor:
        # Without triggers there is no such table.
        is_there = PASSING_TABLE in connection.introspection.table_names(cursor)
        if is_there:
            cursor.execute(f"INSERT INTO {table} (token) VALUES (%s)", [token])  # noqa: S608
            row = cursor.lastrowid
        yield
        if is_there:
            # One block may be in another: the mark of that one stays.
            cursor.execute(f"DELETE FROM {table} WHERE rowid = %s", [row])  # noqa: S608
