"""What is to be done with databases, and what became of it."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import TextIO

from .creating import CreateOptions
from .looking import Look
from .migrating import Executor
from .timeouts import Timeouts


@dataclass(frozen=True)
class Options:
    """What to do with each database; ``lock_timeout`` is in seconds.

    ``repair`` has the apps to repair, by alias.
    """

    create: CreateOptions = field(default_factory=CreateOptions)
    migrate: bool = True
    lock_timeout: float = 600
    executor: Executor = Executor.APPS
    timeouts: Timeouts = field(default_factory=Timeouts)
    repair: Mapping[str, Collection[str]] = field(default_factory=dict)
    verbosity: int = 0
    stdout: TextIO | None = None


@dataclass(frozen=True)
class Outcome:
    """What was done with a database, or why it was not: ``error`` is ``None`` on success.

    One that ``waits`` needs migrations in other databases before the rest of its own. ``output`` is
    what the migrations wrote, if they did not write at once; ``exit_code`` is the one for the cause
    of an error, see ``checking.Kind``; ``look`` is what was seen last, by the usual URL.
    """

    alias: str
    created: bool = False
    applied: tuple[str, ...] = ()
    error: str | None = None
    waits: bool = False
    output: str = ""
    exit_code: int = 0
    look: Look | None = field(default=None, repr=False)

    @property
    def is_unchanged(self) -> bool:
        """Whether the database was found as it should be."""
        return not (self.created or self.applied or self.error)

    @property
    def is_further(self) -> bool:
        """Whether something was done."""
        return self.created or bool(self.applied) or not self.error

    def behind(self, earlier: "Outcome") -> "Outcome":
        """Return the outcome of two rounds."""
        created, applied = earlier.created or self.created, (*earlier.applied, *self.applied)
        return replace(self, created=created, applied=applied)
