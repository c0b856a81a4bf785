"""Reading a ``.env`` file into the environment, without ever showing its lines."""

import io
import os
import re
from collections.abc import MutableMapping
from pathlib import Path

from environ import Env

from .exceptions import EnvFileError

_ASSIGNMENT = re.compile(r"(?:export )?[A-Za-z_0-9]+=")


def read_env(path: str | os.PathLike[str], env: MutableMapping[str, str] | None = None) -> None:
    """Read the ``.env`` file at ``path`` into ``env``, by default ``os.environ``.

    What the environment already has wins over the file, also when it is empty. A file that does
    not exist is not an error: production seldom has one.

    Raises ``EnvFileError`` for a file that cannot be read or has a bad line. django-environ, which
    does the parsing, skips such a line and logs it raw, with whatever secret it holds; the error
    names only its number.
    """
    target = os.environ if env is None else env
    lines = _lines(Path(path))
    for number, line in enumerate(lines, 1):
        if line and not line.startswith("#") and not _ASSIGNMENT.match(line):
            raise EnvFileError(
                f"Line {number} of {str(path)!r} is neither NAME=value, nor a comment, nor empty."
                " Write NAME=value on one line, with no space around '='."
            )

    class _Reader(Env):
        ENVIRON = target

    _Reader.read_env(io.StringIO("\n".join(lines)))


def _lines(path: Path) -> list[str]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        return []
    except OSError as error:
        raise EnvFileError(f"{str(path)!r} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise EnvFileError(f"{str(path)!r} is not encoded in UTF-8.") from None
    return [line.strip() for line in text.splitlines()]
