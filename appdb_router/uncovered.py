"""A write that the open transaction does not cover, and how ``TRANSACTION_GUARD`` reports it."""

from dataclasses import dataclass

__all__ = ["OpenBlock", "UncoveredWrite", "UncoveredWriteError", "UncoveredWriteWarning"]


@dataclass(frozen=True)
class OpenBlock:
    """A block of ``atomic()`` that is open: its alias, and the line that made it.

    ``place`` is ``"file:line"``, or ``"ATOMIC_REQUESTS"`` for the block of a request, or empty for
    one that was made before the guard was there.
    """

    alias: str
    place: str

    def __str__(self) -> str:
        where = f" ({self.place})" if self.place else ""
        return f"atomic() on {self.alias!r}{where}"


@dataclass(frozen=True)
class UncoveredWrite:
    """A write to one database inside of ``blocks`` on others; no value is in it.

    ``model`` is the label of a model, as ``"auth.User"``; ``filename`` and ``line`` are those of
    the project's code that wrote.
    """

    model: str
    alias: str
    blocks: tuple[OpenBlock, ...]
    filename: str
    line: int

    def __str__(self) -> str:
        blocks = " and ".join(map(str, self.blocks))
        return (
            f"{self.model} is written to {self.alias!r} at {self.filename}:{self.line}, inside"
            f" {blocks}. If that is rolled back, this write stays. Name both apps in one"
            " appdb_router.transaction.atomic(), write when it has committed, with on_commit(), or"
            f" allow it: allow_writes({self.model.partition('.')[0]!r}, reason=...)."
        )


class UncoveredWriteError(RuntimeError):
    """What the guard raises before the write is sent, with an ``UncoveredWrite``."""

    @property
    def write(self) -> UncoveredWrite:
        """What was about to be written, and where."""
        write: UncoveredWrite = self.args[0]
        return write


class UncoveredWriteWarning(RuntimeWarning):
    """What the guard warns with, with an ``UncoveredWrite``."""

    @property
    def write(self) -> UncoveredWrite:
        """What is written, and where."""
        write: UncoveredWrite = self.args[0]
        return write
