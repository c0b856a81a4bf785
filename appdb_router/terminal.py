"""Writing for people: symbols where the terminal can show them."""

import os
import sys
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

from django.core.management.base import OutputWrapper

if TYPE_CHECKING:
    from .progress import ProgressLines

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


class NoProgress:
    """Shows nothing of what is being worked at, in place of ``ProgressLines``."""

    def running(self) -> AbstractContextManager[None]:
        """Show in this block what is being worked at."""
        return nullcontext()

    def begin(self, name: str, text: str) -> None:
        """Show that something has begun; any thread may."""

    def without(self, name: str) -> AbstractContextManager[None]:  # noqa: ARG002  As there.
        """Show ``name`` no more, and nothing at all as long as something else is written."""
        return nullcontext()


def progress(*, shown: bool) -> "NoProgress | ProgressLines":
    """Return a line on the terminal for each thing that is being worked at, or nothing."""
    if not (shown and sys.stderr.isatty()):
        return NoProgress()
    # Importing what draws them takes as long as looking at several databases.
    from .progress import ProgressLines

    return ProgressLines()
