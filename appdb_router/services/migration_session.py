"""The session in which a database is migrated."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

from django.db.backends.base.base import BaseDatabaseWrapper

from .connecting import separate_connection, standing_in
from .poolers import refuse_transaction_pooler
from .timeouts import Timeouts


@contextmanager
def migration_session(
    alias: str, timeouts: Timeouts, connection: BaseDatabaseWrapper | None = None
) -> Iterator[BaseDatabaseWrapper]:
    """Make a session of its own the one that this thread's queries by ``alias`` use.

    It takes the direct URL, if there is one, and no pool; or ``connection``, which is of that kind.
    Afterwards Django's usual connection is back. Raises ``DatabaseOperationError`` if a pooler in
    transaction mode is in between, and for ``timeouts`` that the server does not have.
    """
    context = nullcontext(connection) if connection else separate_connection(alias, direct=True)
    with context as session, standing_in(session):
        # First: what was set in a shared session would be set for somebody else.
        refuse_transaction_pooler(session)
        with timeouts.applied(session):
            yield session
