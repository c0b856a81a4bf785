"""Lines on a terminal that show what is being worked at."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn


class ProgressLines:
    """A line on the terminal for each thing that is being worked at."""

    def __init__(self) -> None:
        console = Console(stderr=True)
        self._lines: dict[str, TaskID] = {}
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            TimeElapsedColumn(),
            console=console,
            disable=not console.is_interactive,
            transient=True,
            # What is written elsewhere is not a part of the progress.
            redirect_stdout=False,
            redirect_stderr=False,
        )

    @contextmanager
    def running(self) -> Iterator[None]:
        """Show the lines in this block."""
        with self._progress:
            yield

    def begin(self, name: str, text: str) -> None:
        """Add the line of ``name``; any thread may."""
        self._lines[name] = self._progress.add_task(text, total=None)

    @contextmanager
    def without(self, name: str) -> Iterator[None]:
        """Remove the line of ``name``, and all lines as long as something else is written."""
        # What was stopped before it was begun has none.
        with suppress(KeyError):
            self._progress.remove_task(self._lines.pop(name))
        self._progress.stop()
        try:
            yield
        finally:
            self._progress.start()
