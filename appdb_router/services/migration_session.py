"""The session in which a database is migrated."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db.backends.base.base import BaseDatabaseWrapper

from .connecting import separate_connection, standing_in
from .poolers import refuse_transaction_pooler
from .timeouts import Timeouts


@contextmanager
def migration_session(alias: str, timeouts: Timeouts) -> Iterator[BaseDatabaseWrapper]:
    """Make a session of its own the one that this thread's queries by ``alias`` use.

    It takes the direct URL, if there is one, and no pool. Afterwards Django's usual connection is
    back. Raises ``DatabaseOperationError`` if a pooler in transaction mode is in between, and for
    ``timeouts`` that the server does not have.
    """
    with separate_connection(alias, direct=True) as connection, standing_in(connection):
        # First: what was set in a shared session would be set for somebody else.
        refuse_transaction_pooler(connection)
        with timeouts.applied(connection):
            yield connection
