"""Where in the project's code something happened."""

import os
from collections.abc import Iterable
from pathlib import Path
from traceback import walk_stack, walk_tb
from types import FrameType, TracebackType

from ..topology import get_topology

# What stands between the project's code, its tests, and what they cause.
_BETWEEN = {
    *("_pytest", "appdb_router", "asgiref", "asyncio", "concurrent", "contextlib", "django"),
    *("pluggy", "pytest", "pytest_django", "threading", "unittest", "xdist", "__main__"),
}
# What shows values when a test fails, querysets too.
_SHOWING = ("_pytest._io.", "_pytest.assertion.", "unittest.util")
_PACKAGE_FOLDERS = {"site-packages", "dist-packages"}

NOWHERE = ("", 0)


def place_of_frame(frame: FrameType) -> tuple[str, int]:
    """Return file and line of the innermost of the project's code around ``frame``.

    That is a library's if none of the project is there, and ``NOWHERE`` without either. Files below
    the project's folder are relative to it.
    """
    return _innermost(walk_stack(frame))


def is_for_show(frame: FrameType) -> bool:
    """Tell whether what happens around ``frame`` is only to show a value of a test that fails."""
    for item, _ in walk_stack(frame):
        name = item.f_globals.get("__name__") or ""
        if name.startswith(_SHOWING):
            return True
        if name.partition(".")[0] not in _BETWEEN:
            break
    return False


def place_of_traceback(traceback: TracebackType | None) -> tuple[str, int]:
    """Return file and line of the innermost of the project's code in a traceback."""
    return _innermost(reversed(list(walk_tb(traceback))))


def shown(filename: str) -> str:
    """Return ``filename`` as reports show it: relative to the project's folder if it is there."""
    # Settings resolve links where ``sys.path`` does not, or the other way round.
    real = os.path.realpath(filename)
    relative = os.path.relpath(real, os.path.realpath(get_topology().base_dir))
    return filename if relative.startswith(os.pardir) else Path(relative).as_posix()


def _innermost(frames: Iterable[tuple[FrameType, int]]) -> tuple[str, int]:
    library = NOWHERE
    for frame, line in frames:
        name = frame.f_globals.get("__name__") or ""
        if name.partition(".")[0] in _BETWEEN:
            continue
        filename = shown(frame.f_code.co_filename)
        if _is_of_the_project(filename):
            return filename, line
        library = library if library != NOWHERE else (filename, line)
    return library


def _is_of_the_project(shown_name: str) -> bool:
    path = Path(shown_name)
    return not path.is_absolute() and _PACKAGE_FOLDERS.isdisjoint(path.parts)
