"""Whether two URLs lead to one physical database, by asking the server rather than by names."""

import secrets
from collections.abc import Callable

from django.db.backends.base.base import BaseDatabaseWrapper

from ..exceptions import DatabaseOperationError
from .connecting import separate_connection


def check_same_database(alias: str) -> None:
    """Raise ``DatabaseOperationError`` unless both URLs of ``alias`` lead to one database.

    A lock by a name that nobody else has is taken through the direct URL, and must be met through
    the usual one. Neither address nor name nor the server's own identifier would do: the first two
    differ behind a pooler, and a copy of a server has the identifier of the original.
    """
    with (
        separate_connection(alias, direct=True) as direct,
        separate_connection(alias) as usual,
    ):
        if not _MEETINGS[direct.vendor](direct, usual):
            raise different_databases(alias)


def check_same_schema(alias: str, direct: BaseDatabaseWrapper) -> None:
    """Raise ``DatabaseOperationError`` unless tables would go to the schema of the usual URL."""
    if direct.vendor != "postgresql":
        return
    with separate_connection(alias) as usual:
        used, wanted = (_ask(item, "SELECT current_schema()")[0] for item in (direct, usual))
    if used != wanted:
        raise DatabaseOperationError(
            f"The direct URL of {alias!r} makes tables in the schema {used!r}, and the usual one"
            f" looks for them in {wanted!r}. Give both the same currentSchema."
        )


def different_databases(alias: str) -> DatabaseOperationError:
    """Return the error for a direct URL that leads elsewhere."""
    return DatabaseOperationError(
        f"The direct URL of {alias!r} leads to another database than its usual URL. Correct one of"
        " them; nothing was changed in either."
    )


def _meet_on_postgresql(direct: BaseDatabaseWrapper, usual: BaseDatabaseWrapper) -> bool:
    token = secrets.randbits(63)
    # In a transaction, for which any pooler keeps one session. The locks are the database's own.
    direct.set_autocommit(False)
    _ask(direct, "SELECT pg_try_advisory_xact_lock(%s)", token)
    was_free = _ask(usual, "SELECT pg_try_advisory_xact_lock(%s)", token)[0]
    direct.rollback()
    return not was_free


def _meet_on_mysql(direct: BaseDatabaseWrapper, usual: BaseDatabaseWrapper) -> bool:
    token = f"appdb_router:{secrets.token_hex(16)}"
    name = _ask(direct, "SELECT DATABASE(), GET_LOCK(%s, 0)", token)[0]
    # The locks are the server's.
    return _ask(usual, "SELECT DATABASE(), IS_FREE_LOCK(%s)", token) == (name, 0)


_MEETINGS: dict[str, Callable[[BaseDatabaseWrapper, BaseDatabaseWrapper], bool]] = {
    "postgresql": _meet_on_postgresql,
    "mysql": _meet_on_mysql,
}


def _ask(
    connection: BaseDatabaseWrapper, question: str, *arguments: str | int
) -> tuple[object, ...]:
    with connection.cursor() as cursor:
        cursor.execute(question, arguments)
        row: tuple[object, ...] = cursor.fetchone()
        return row
