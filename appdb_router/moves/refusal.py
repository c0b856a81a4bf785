"""How a write is recognised that a database refused because the app's data lives elsewhere."""

from typing import Any

# What the triggers of a move raise on PostgreSQL. The class is nobody's: the standard leaves those
# that begin with A to H to itself, and neither it nor PostgreSQL has an "AR".
REFUSED_SQLSTATE = "AR001"

# What their messages begin with; MySQL and SQLite have no code that would tell.
MARKER = "appdb_router: "

# The code of MySQL and MariaDB for a condition that a trigger raised itself.
_SIGNALLED = 1644


def is_refusal(error: BaseException) -> bool:
    """Tell whether ``error``, or what caused it, is a write that a move's trigger refused."""
    cause: BaseException | None = error
    # An error can be its own cause.
    seen: set[int] = set()
    while cause is not None and id(cause) not in seen:
        if _is_refused(cause):
            return True
        seen.add(id(cause))
        cause = cause.__cause__
    return False


def _is_refused(error: BaseException) -> bool:
    if _sqlstate(error) == REFUSED_SQLSTATE:
        return True
    match error.args:
        case (int(code), str(message), *_):
            return code == _SIGNALLED and message.startswith(MARKER)
        case (str(message),):
            # SQLite gives the message of the trigger as it is.
            return message.startswith(MARKER) and _is_database_error(error)
    return False


def _sqlstate(error: Any) -> object:
    # psycopg calls it sqlstate, psycopg2 pgcode.
    return getattr(error, "sqlstate", None) or getattr(error, "pgcode", None)


def _is_database_error(error: BaseException) -> bool:
    # DB-API 2.0 names the classes; which driver raised it is nobody's business here.
    return any(base.__name__ == "DatabaseError" for base in type(error).__mro__)
