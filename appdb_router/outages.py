"""The errors of a database that gives no connection, which Django's own handlers catch too."""

from django.db import OperationalError, connections

from .exceptions import DatabaseOperationError
from .masking import masked_error
from .topology import get_topology

__all__ = ["CircuitOpenError", "DatabaseUnavailableError"]


class DatabaseUnavailableError(DatabaseOperationError, OperationalError):
    """The database ``alias`` gives no connection; ``labels`` are the apps that the message names.

    It is also Django's ``OperationalError``, which settings cannot import; so it has a module of
    its own.
    """

    def __init__(self, message: str, alias: str = "", labels: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.alias = alias
        self.labels = labels


class CircuitOpenError(DatabaseUnavailableError):
    """A database failed so often that for now nobody connects to it.

    ``retry_after`` is the time until the next try in seconds, 0 while one is under way.
    """

    def __init__(
        self,
        message: str,
        alias: str = "",
        labels: tuple[str, ...] = (),
        retry_after: float = 0.0,
    ) -> None:
        super().__init__(message, alias, labels)
        self.retry_after = retry_after


def labels_at(alias: str) -> tuple[str, ...]:
    """Return the labels of the apps whose physical database is that of ``alias``."""
    topology = get_topology()
    canonical = topology.canonical_of(alias)
    databases = topology.databases.values()
    return tuple(
        sorted(
            label
            for database in databases
            if database.canonical_alias == canonical
            for label in database.labels
        )
    )


def describe(alias: str, labels: tuple[str, ...]) -> str:
    """Return how messages name a database: by its alias and the apps that live there."""
    names = ", ".join(map(repr, labels))
    of = f" of the app{'s' * (len(labels) > 1)} {names}" if labels else ""
    return f"The database {alias!r}{of}"


def unavailable(alias: str, label: str, error: Exception) -> DatabaseUnavailableError:
    """Return the error that the app ``label`` gets when ``error`` ended an attempt to connect."""
    reason = masked_error(error, connections.settings[alias])
    message = f"{describe(alias, (label,))} gives no connection: {reason}"
    return DatabaseUnavailableError(message, alias, (label,))
