"""The errors of appdb_router, shared by settings time and run time."""

from collections.abc import Collection, Iterable
from difflib import get_close_matches

from django.core.exceptions import FieldError, ImproperlyConfigured

__all__ = [
    "ConfigurationError",
    "CrossingQueryError",
    "DatabaseModuleError",
    "DatabaseOperationError",
    "DatabaseUrlError",
    "EnvFileError",
    "MissingTablesError",
    "MoveError",
    "RegistrationError",
    "TooManyRowsError",
    "UnknownLabelError",
]


def choices(names: Iterable[str]) -> str:
    """Return ``names`` sorted and quoted, as messages list the valid choices."""
    return ", ".join(sorted(map(repr, names))) or "none"


def suggestion(name: str, names: Collection[str], noun: str) -> str:
    """Return a sentence with the names nearest to ``name``, or else with all of ``names``."""
    nearest = get_close_matches(name, names, n=3)
    if nearest:
        return f" Did you mean {' or '.join(map(repr, nearest))}?"
    return f" The {noun} are {choices(names)}."


class ConfigurationError(ImproperlyConfigured):
    """The project's database configuration is contradictory or incomplete."""


class DatabaseUrlError(ConfigurationError):
    """A database URL cannot be used; the message says which part, and never shows a password."""


class DatabaseModuleError(ConfigurationError):
    """A ``database.py`` is there but cannot be used; the message has file, line and cause."""


class EnvFileError(ConfigurationError):
    """A ``.env`` file cannot be read; the message has the line's number, never its text."""


class UnknownLabelError(LookupError):
    """No installed app has the label; the message names the nearest of ``labels``."""

    def __init__(self, label: str, labels: Collection[str]) -> None:
        super().__init__(
            f"No installed app has the label {label!r}." + suggestion(label, labels, "labels")
        )


class DatabaseOperationError(Exception):
    """A database could not be created, locked, migrated, verified or opened for a session."""


class MissingTablesError(DatabaseOperationError):
    """After migrating, a database lacks tables or columns that the models need."""


class RegistrationError(RuntimeError):
    """An app cannot be given another database now, or has not been given one."""


class CrossingQueryError(FieldError):
    """A query would have to join tables of two databases; the message shows how to rewrite it.

    ``models`` are the labels of its models in different databases, as ``"auth.User"``. Of a
    subquery it is that model alone.
    """

    def __init__(self, message: str, models: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.models = models


class TooManyRowsError(ValueError):
    """The first step of a query in two found more rows than its limit allows."""


class MoveError(DatabaseOperationError):
    """The move of an app's data cannot be begun or go on; nothing was lost.

    ``exit_code`` is that of the command for this cause.
    """

    def __init__(self, message: str, exit_code: int = 1) -> None:
        super().__init__(message)
        self.exit_code = exit_code
