"""Opening the databases of a run, which are created first if they are missing."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from threading import Event
from time import monotonic

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from .ahead import Ahead
from .connecting import has_direct_url
from .creating import CreateOptions, connection_to, create_database, ensure_open
from .servers import FRESH_SECONDS, Servers


@dataclass
class Opened:
    """A connection for the work at a database, which nobody else uses."""

    connection: BaseDatabaseWrapper
    stack: ExitStack
    since: float = field(default_factory=monotonic)

    def close(self) -> None:
        """Close the connection."""
        self.stack.close()


class Opener:
    """Opens databases, and does in the background what can be done ahead of their turn.

    What is missing on PostgreSQL is created at once, one after the other: ``missing`` are those
    that are certainly not there, before. Errors come up where a database has its turn.
    """

    def __init__(self, aliases: Sequence[str], options: CreateOptions, *, stop: Event) -> None:
        self._options, self._stop, self._servers = options, stop, Servers()
        self.missing = self._servers.missing(aliases)
        self.created: set[str] = set()
        todo = [alias for alias in aliases if alias in self.missing and _is_plain(alias)]
        self._creating = Ahead(
            self._create, todo, stop=stop, room=len(todo) + 1, ended=self._servers.close
        )
        self._opening: Ahead[Opened] | None = None

    def begin(self, aliases: Sequence[str], *, room: int) -> None:
        """Connect to the first ``room`` of ``aliases``, and to another when one has its turn."""
        plain = [alias for alias in aliases if _is_plain(alias)]
        self._opening = Ahead(self._open, plain, stop=self._stop, room=room, drop=Opened.close)

    @contextmanager
    def open(self, alias: str) -> Iterator[BaseDatabaseWrapper]:
        """Give an open connection to the database of ``alias``, which is created if it is missing.

        Raises ``DatabaseOperationError``.
        """
        opened = self._opening.take(alias) if self._opening else self._open(alias)
        with opened.stack:
            if monotonic() - opened.since > FRESH_SECONDS:
                opened.connection.close()
            yield opened.connection

    def close(self) -> None:
        """Begin nothing more, and close what is open and not in use."""
        self._creating.close()
        if self._opening:
            self._opening.close()
        self._servers.close()

    def _create(self, alias: str) -> bool:
        created = create_database(alias, self._options, servers=self._servers)
        if created:
            self.created.add(alias)
        return created

    def _open(self, alias: str) -> Opened:
        is_missing = alias in self.missing
        # A second time, it may be there.
        self.missing.discard(alias)
        with ExitStack() as stack:
            connection = stack.enter_context(connection_to(alias))
            connection.inc_thread_sharing()
            ensure_open(connection, self._creating.take, is_missing=is_missing)
            return Opened(connection, stack.pop_all())


def _is_plain(alias: str) -> bool:
    """Tell whether opening ``alias`` ahead is of use, and looks at nothing but its own server."""
    return not has_direct_url(alias) and connections[alias].vendor != "sqlite"
