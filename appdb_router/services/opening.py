"""Opening the databases of a run, which are created first if they are missing."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from threading import Event, Lock
from time import monotonic

from django.db.backends.base.base import BaseDatabaseWrapper

from .ahead import Ahead
from .connecting import has_direct_url, vendor_of
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
    """Opens databases, and, once the work has begun, those ahead of their turn in the background.

    What is missing on PostgreSQL is created then, one after the other, and the next databases are
    connected to. Errors come up where a database has its turn.
    """

    def __init__(self, aliases: Sequence[str], options: CreateOptions, *, stop: Event) -> None:
        self._options, self._stop, self._servers = options, stop, Servers()
        self._aliases = aliases
        self.missing = self._servers.missing(aliases)
        self._begun: set[str] = set()
        self._created: set[str] = set()
        self._lock = Lock()
        self._creating: Ahead[bool] | None = None
        self._opening: Ahead[Opened] | None = None
        self._room = 0

    def arrange(self, aliases: Sequence[str], *, room: int) -> None:
        """Say in which order ``aliases`` have their turns, and how many of them at once."""
        self._aliases, self._room = aliases, room

    def begin(self) -> None:
        """Begin with what is done ahead, unless that was done before.

        Somebody who waits for another process has not begun: he may be told to stop.
        """
        with self._lock:
            if self._creating:
                return
            left = [alias for alias in self._aliases if alias not in self._begun]
            ahead = [alias for alias in left if _is_plain(alias)]
            # Meanwhile others may have created them.
            self.missing = self._servers.missing(ahead) if self.missing else set()
            todo = [alias for alias in ahead if alias in self.missing]
            # With room for all, and for finding that nothing is left.
            self._creating = Ahead(
                self._create, todo, stop=self._stop, room=len(todo) + 1, ended=self._servers.close
            )
            self._opening = Ahead(
                self._open, ahead, stop=self._stop, room=self._room, drop=Opened.close
            )

    @contextmanager
    def open(self, alias: str) -> Iterator[BaseDatabaseWrapper]:
        """Give an open connection to the database of ``alias``, which is created if it is missing.

        Raises ``DatabaseOperationError``.
        """
        with self._lock:
            self._begun.add(alias)
            opening = self._opening
        opened = opening.take(alias) if opening else self._open(alias)
        with opened.stack:
            if monotonic() - opened.since > FRESH_SECONDS:
                opened.connection.close()
            yield opened.connection

    def take_created(self, alias: str) -> bool:
        """Tell whether the database of ``alias`` was created since this was asked last."""
        with self._lock:
            was_created = alias in self._created
            self._created.discard(alias)
            return was_created

    def close(self) -> None:
        """Begin nothing more, and close what is open and not in use."""
        for ahead in (self._creating, self._opening):
            if ahead:
                ahead.close()
        self._servers.close()

    def _create(self, alias: str) -> bool:
        created = create_database(alias, self._options, servers=self._servers)
        if created:
            self._created.add(alias)
        return created

    def _open(self, alias: str) -> Opened:
        create = self._creating.take if self._creating else self._create
        with ExitStack() as stack:
            connection = stack.enter_context(connection_to(alias))
            connection.inc_thread_sharing()
            ensure_open(connection, create, is_missing=alias in self.missing)
            # Whoever opens it again, finds it there.
            self.missing.discard(alias)
            return Opened(connection, stack.pop_all())


def _is_plain(alias: str) -> bool:
    """Tell whether opening ``alias`` ahead is of use, and looks at nothing but its own server."""
    return not has_direct_url(alias) and vendor_of(alias) not in {"sqlite", None}
