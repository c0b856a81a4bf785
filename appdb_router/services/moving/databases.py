"""The two databases of a move, each by a connection that nobody else uses."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.db import Error
from django.db.backends.base.base import BaseDatabaseWrapper

from ...exceptions import MoveError
from ..asking import TIMEOUT
from ..catalogs import identity
from ..connecting import describe_error, standing_in
from ..poolers import refuse_transaction_pooler
from ..probing import is_in_memory, is_missing_file
from .settling import end_when_alone, session


@dataclass(frozen=True)
class Databases:
    """``source``, which the rows come from, and ``target``, which they go to.

    A way back does not change them over.
    """

    source: BaseDatabaseWrapper
    target: BaseDatabaseWrapper

    def named(self, name: str) -> BaseDatabaseWrapper:
        """Return the one that ``Move.home`` calls ``name``."""
        return self.source if name == "source" else self.target


@contextmanager
def opened_databases(source: str, target: str, *, timeout: int = TIMEOUT) -> Iterator[Databases]:
    """Open both databases, by their direct URLs if there are any, within ``timeout`` seconds each.

    Inside of this block they are the ones that this thread's queries by the aliases use. Raises
    ``MoveError`` if one of them does not answer, ``DatabaseOperationError`` if a pooler in
    transaction mode is in between.
    """
    with ExitStack() as stack:
        found = []
        for alias in (source, target):
            connection = stack.enter_context(session(alias, timeout=timeout))
            _open(connection)
            stack.enter_context(standing_in(connection))
            refuse_transaction_pooler(connection)
            end_when_alone(connection)
            if connection.vendor == "postgresql":
                _wait_for_log(connection)
                _see_the_latest(connection)
            found.append(connection)
        databases = Databases(*found)
        if identity(databases.source) == identity(databases.target) is not None:
            raise MoveError(
                f"{source!r} and {target!r} are one database, as the server says, though their URLs"
                " differ. There is nothing to move."
            )
        yield databases


def _wait_for_log(connection: BaseDatabaseWrapper) -> None:
    """Have commits wait until they are for good, also where the server's default is not to.

    What one database has committed, such as the change over, is relied on by the other, and must
    not be undone by a crash.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT set_config('synchronous_commit', 'local', false)"
            " WHERE current_setting('synchronous_commit') = 'off'"
        )


def _see_the_latest(connection: BaseDatabaseWrapper) -> None:
    """Have each statement see what was committed before it, whatever the settings say.

    A transaction that waits for a lock has to see what those have written who held it.
    """
    wrapper: Any = connection
    wrapper.connection.isolation_level = None
    with connection.cursor() as cursor:
        cursor.execute("SET default_transaction_isolation = 'read committed'")


def _open(connection: BaseDatabaseWrapper) -> None:
    alias = connection.alias
    if is_in_memory(connection):
        raise MoveError(f"{alias!r} lives in the memory of each process. Name a file.")
    if is_missing_file(connection):
        raise MoveError(f"{alias!r} is not there. 'manage.py db_init' makes it.")
    try:
        connection.ensure_connection()
    except (Error, ImproperlyConfigured, OSError) as error:
        raise MoveError(
            f"{alias!r} does not answer: {describe_error(error, alias)}. 'manage.py db_init' makes"
            " a database that is missing."
        ) from None
