"""What this package tells those who listen."""

from typing import TypeVar

from django.dispatch import Signal

Error = TypeVar("Error", bound=Exception)

# Sent with ``error`` when a query or a write is refused because it concerns several databases.
refused = Signal()


def announced(error: Error) -> Error:
    """Tell the receivers of ``refused`` of ``error``, which the caller raises, and return it."""
    refused.send(type(error), error=error)
    return error
