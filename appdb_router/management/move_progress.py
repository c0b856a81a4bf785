"""Showing how far a move is: a bar on a terminal, lines in a pipe, events for programs."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Any

from django.core.management.base import OutputWrapper
from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from ..services.moving.copying import Copied
from ..services.moving.journal import Phase
from ..terminal import Terminal
from .sizes import bytes_text

# Seconds between two lines about one table, where lines are all there is.
_PAUSE = 10

TITLES = {
    Phase.PREPARING: "Preparing",
    Phase.COPYING: "Copying",
    Phase.INDEXING: "Making indexes and constraints",
    Phase.CATCHING_UP: "Following what was written meanwhile",
    Phase.VERIFYING: "Comparing all rows",
    Phase.CUTTING_OVER: "Changing over",
    Phase.MOVED: "Moved",
    Phase.RETURNING: "Going back",
    Phase.RETURNED: "Back at the source",
    Phase.FINALIZING: "Dropping the old tables",
    Phase.FINALIZED: "Finalized",
}


class Lines:
    """Writes a line for each phase, and now and then one about the table that is copied."""

    def __init__(self, stdout: OutputWrapper) -> None:
        self._terminal = Terminal(stdout)
        self._said = 0.0

    def phase(self, phase: Phase) -> None:
        """Write what has begun."""
        self.note(TITLES[phase])

    def copied(self, copied: Copied) -> None:
        """Write how far the copy of a table is, unless that was said a moment ago."""
        is_done = copied.rows == copied.total_rows
        if is_done or monotonic() - self._said > _PAUSE:
            self._said = monotonic()
            self.note(f"  {describe_copied(copied)}")

    def note(self, text: str) -> None:
        """Write a fact."""
        self._terminal.write(text)

    @contextmanager
    def running(self) -> Iterator["Lines"]:
        """Write in this block."""
        yield self


class Bars(Lines):
    """Shows the table that is copied as a bar, with rows, bytes a second and the time left."""

    def __init__(self, stdout: OutputWrapper) -> None:
        super().__init__(stdout)
        self._tasks: dict[str, TaskID] = {}
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.fields[rows]}"),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )

    def copied(self, copied: Copied) -> None:
        """Move the bar of a table."""
        if copied.table not in self._tasks:
            self._tasks[copied.table] = self._progress.add_task(copied.table, total=None, rows="")
        share = copied.rows / copied.total_rows if copied.total_rows else 0
        self._progress.update(
            self._tasks[copied.table],
            completed=copied.bytes,
            total=copied.bytes / share if share else None,
            rows=rows_of(copied),
        )

    def note(self, text: str) -> None:
        """Write a fact, with no bars in between."""
        self._progress.stop()
        super().note(text)
        self._progress.start()

    @contextmanager
    def running(self) -> Iterator["Lines"]:
        """Show bars in this block."""
        with self._progress:
            yield self


class Events(Lines):
    """Writes each event as a line of JSON."""

    def __init__(self, stdout: OutputWrapper) -> None:
        super().__init__(stdout)
        self._stdout = stdout

    def phase(self, phase: Phase) -> None:
        """Write what has begun."""
        self._write(event="phase", phase=phase)

    def copied(self, copied: Copied) -> None:
        """Write how far the copy of a table is."""
        self._write(event="copied", **vars(copied))

    def note(self, text: str) -> None:
        """Write a fact."""
        self._write(event="note", text=text)

    def _write(self, **event: Any) -> None:
        self._stdout.write(json.dumps(event))
        # A pipe would keep it until the move is over.
        self._stdout.flush()


def reporter(stdout: OutputWrapper, format: str) -> Lines:
    """Return who shows a move on ``stdout`` in ``format``."""
    if format == "json":
        return Events(stdout)
    return Bars(stdout) if sys.stderr.isatty() else Lines(stdout)


def rows_of(copied: Copied) -> str:
    """Return how many rows were copied, and of how many."""
    of = f" of about {copied.total_rows:,}" if copied.total_rows else ""
    return f"{copied.rows:,}{of} rows"


def describe_copied(copied: Copied) -> str:
    """Return in words how far the copy of a table is."""
    return f"{copied.table}: {rows_of(copied)}, {bytes_text(copied.bytes)}"
