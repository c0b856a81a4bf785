"""Writing for people: symbols where the terminal can show them."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from django.core.management.base import OutputWrapper
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

_SYMBOLS = {"📊 ": "", "🔹": "*"}


class Terminal:
    """Writes lines to a command's output, in plain ASCII where that can show no more."""

    def __init__(self, stdout: OutputWrapper) -> None:
        self._stdout = stdout
        self._encoding = getattr(stdout, "encoding", None) or "utf-8"
        self._is_plain = not self._can_show("".join(_SYMBOLS))

    def write(self, text: str = "") -> None:
        """Write ``text`` and end the line."""
        if self._is_plain:
            for symbol, substitute in _SYMBOLS.items():
                text = text.replace(symbol, substitute)
        # A database or file may have a name that this terminal cannot show.
        self._stdout.write(text.encode(self._encoding, "backslashreplace").decode(self._encoding))

    def _can_show(self, text: str) -> bool:
        if os.environ.get("TERM") == "dumb" and self._stdout.isatty():
            return False
        try:
            text.encode(self._encoding)
        except UnicodeEncodeError:
            return False
        return True


class ProgressLines:
    """A line on the terminal for each thing that is being worked at; in a pipe there are none."""

    def __init__(self, *, shown: bool) -> None:
        console = Console(stderr=True)
        self._lines: dict[str, TaskID] = {}
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            TimeElapsedColumn(),
            console=console,
            disable=not (shown and console.is_interactive),
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
        if name in self._lines:
            self._progress.remove_task(self._lines.pop(name))
        self._progress.stop()
        try:
            yield
        finally:
            self._progress.start()
