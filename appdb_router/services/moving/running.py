"""A move while a process works at it: what is moved, how, and who is told."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from threading import Event
from time import monotonic
from typing import Any, Protocol

from django.db.backends.base.base import BaseDatabaseWrapper

from .copying import Copied, CopyOptions
from .databases import Databases
from .decoding import Slot
from .journal import SOURCE, TARGET, Journal, Phase
from .keys import Key
from .patience import turn_after, with_patience
from .reading_back import ReadingBack
from .tables import MovedTable
from .triggers import are_refused, refuse_writes

__all__ = ["MoveOptions", "Reporter", "Verification"]


class Verification(StrEnum):
    """How rows are compared before an app changes over.

    ``CHECKSUM`` computes sums over all columns in both databases. ``STREAM`` hashes what is sent,
    and reads it back from the target; what was written meanwhile is compared by sums.
    """

    CHECKSUM = "checksum"
    STREAM = "stream"


@dataclass(frozen=True)
class MoveOptions:
    """How to move; a move that goes on has the options that it began with.

    ``offline`` refuses writes from the beginning. ``chunk_rows`` is how many rows are copied in a
    transaction, ``rate_limit`` bytes a second. The app changes over when at most ``max_lag`` rows
    are left to follow. ``lock_wait`` is how many seconds a statement waits for a lock, while others
    wait for it in turn, and ``cut_over_timeout`` how long that is tried. ``is_late`` fetches the
    rows of an app that lives in the target by its settings already. ``replication`` learns what is
    written from a replication slot instead of triggers.
    """

    offline: bool = False
    is_late: bool = False
    replication: bool = False
    chunk_rows: int = 50_000
    rate_limit: int | None = None
    verify: Verification = Verification.CHECKSUM
    max_lag: int = 1000
    # Below PostgreSQL's deadlock_timeout, so that it is not the server that ends somebody.
    lock_wait: float = 0.2
    cut_over_timeout: float = 60

    def as_dict(self) -> dict[str, Any]:
        """Return the options as they are written down."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "MoveOptions":
        """Return the options that were written down."""
        return cls(**{**values, "verify": Verification(values["verify"])})


class Reporter(Protocol):
    """Who is told how far a move has come."""

    def phase(self, phase: Phase) -> None:
        """Tell that ``phase`` has begun."""

    def copied(self, copied: Copied) -> None:
        """Tell how far the copy of a table is."""

    def note(self, text: str) -> None:
        """Tell a fact."""


@dataclass
class Run:
    """The work of one process at the move ``journal``.

    ``pending`` are the keys, by table, that have to be compared once more when nobody writes, and
    ``pending_tables`` those of which every row has, of what was followed since ``is_compared``, the
    moment at which all rows are. ``slot`` is there while it is listened to.
    """

    databases: Databases
    journal: Journal
    tables: tuple[MovedTable, ...]
    options: MoveOptions
    reporter: Reporter
    stop: Event
    is_compared: bool = False
    pending: dict[str, set[Key]] = field(default_factory=dict)
    pending_tables: set[str] = field(default_factory=set)
    slot: Slot | None = None
    reading: ReadingBack | None = None
    waiting_since: float | None = None

    @property
    def label(self) -> str:
        """The label by which the move is written down."""
        return str(self.journal.row.label)

    @property
    def token(self) -> str:
        """What tells this move's writes from those of others."""
        return str(self.journal.row.token)

    @property
    def giver(self) -> BaseDatabaseWrapper:
        """The database that the app lives in, from which rows go to the other one."""
        return self.databases.named(self.journal.row.home)

    @property
    def taker(self) -> BaseDatabaseWrapper:
        """The other one."""
        return self.databases.named(SOURCE if self.journal.is_flipped else TARGET)

    @property
    def copying(self) -> CopyOptions:
        """The options of the copy."""
        digest = self.options.verify == Verification.STREAM
        return CopyOptions(self.options.chunk_rows, self.options.rate_limit, digest)

    @property
    def lock_wait(self) -> float:
        """How many seconds a statement waits for a lock now."""
        waited = 0.0 if self.waiting_since is None else monotonic() - self.waiting_since
        return turn_after(waited, self.options.lock_wait, self.options.cut_over_timeout)

    @property
    def is_reading_back(self) -> bool:
        """Whether another session of the move is busy at the target."""
        return self.reading is not None and self.reading.is_busy

    @property
    def keyed(self) -> tuple[MovedTable, ...]:
        """The tables whose rows can be told apart."""
        return tuple(table for table in self.tables if table.key)

    @property
    def keyless(self) -> tuple[MovedTable, ...]:
        """The tables that are copied as a whole, while nobody writes."""
        return tuple(table for table in self.tables if not table.key)

    def enter(self, phase: Phase, **details: Any) -> None:
        """Begin ``phase``; for ``details`` see ``Journal.note()``."""
        self.journal.enter(phase, **details)
        self.reporter.phase(phase)

    def patiently(
        self,
        change: Callable[..., None],
        connection: BaseDatabaseWrapper,
        what: str,
        *arguments: str,
    ) -> None:
        """Have ``change``, of the functions of ``triggers``, act on the tables of ``connection``.

        Raises ``MoveError`` if it does not get its locks in time.
        """
        self.retry(
            lambda: change(
                self.tables, connection, self.label, *arguments, lock_wait=self.lock_wait
            ),
            connection,
            what,
        )

    def retry(self, work: Callable[[], None], connection: BaseDatabaseWrapper, what: str) -> None:
        """Do ``work``, which waits for locks of ``connection`` in short turns; see ``MoveOptions``.

        Raises ``MoveError`` if it does not get them in time.
        """
        if connection.in_atomic_block:
            # Whoever began the transaction begins it again.
            work()
            return
        self.waiting_since = monotonic()
        try:
            with_patience(
                work,
                connection,
                turn=self.options.lock_wait,
                total=self.options.cut_over_timeout,
                stop=self.stop,
                what=what,
            )
        finally:
            self.waiting_since = None

    def refuse(self, connection: BaseDatabaseWrapper, reason: str) -> None:
        """Have the database of ``connection`` refuse writes to the tables, unless it does."""
        if not are_refused(self.tables, connection, self.label):
            self.patiently(refuse_writes, connection, "Refusing writes", self.token, reason)

    def made(self, table: str, name: str) -> None:
        """Tell that an index or a constraint was made."""
        self.reporter.note(f"  {table}: {name}")

    def suspect(self, table: str, keys: Iterable[Key]) -> None:
        """Have ``keys`` compared once more."""
        if found := set(keys):
            self.pending.setdefault(table, set()).update(found)

    @property
    def pending_count(self) -> int:
        """How many keys have to be compared once more."""
        return sum(map(len, self.pending.values()))
