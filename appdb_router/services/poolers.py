"""Recognising a pooler between here and the server."""

from django.db.backends.base.base import BaseDatabaseWrapper

from ..exceptions import DatabaseOperationError
from .connecting import has_direct_url, separate_connection

# A pooler may be several processes, and the second connection may come to another one.
_TRIES = 8


def refuse_transaction_pooler(connection: BaseDatabaseWrapper) -> None:
    """Raise ``DatabaseOperationError`` if ``connection`` has no session of its own.

    Behind a pooler in transaction mode, such as PgBouncer, each transaction may run in another
    session of the server. What a session holds, its locks and its settings, is then anybody's.
    """
    if connection.vendor != "postgresql":
        return
    connection.ensure_connection()
    # A pooler has to invent the process that it greets its clients with.
    if connection.connection.info.backend_pid == _process(connection):
        return
    for _ in range(_TRIES):
        if _is_shared(connection):
            raise DatabaseOperationError(_message(connection.alias))


def _is_shared(connection: BaseDatabaseWrapper) -> bool:
    """Tell whether another client gets this one's session, or takes it away."""
    before = _process(connection)
    with separate_connection(connection.alias, direct=True) as other:
        # In a transaction it keeps the session that it gets.
        other.set_autocommit(False)
        return before == _process(other) or before != _process(connection)


def _process(connection: BaseDatabaseWrapper) -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        return int(cursor.fetchone()[0])


def _message(alias: str) -> str:
    prefix = "" if alias == "default" else f"{alias.upper()}_"
    variable = f"{prefix}DATABASE_DIRECT_URL"
    which, remedy = ("direct URL", "Correct") if has_direct_url(alias) else ("URL", "Set")
    return (
        f"The {which} of {alias!r} leads through a pooler in transaction mode, such as PgBouncer:"
        " a session of the server is shared with other clients, so that it can hold no lock."
        f" {remedy} {variable}, the URL that goes to the server itself."
    )
