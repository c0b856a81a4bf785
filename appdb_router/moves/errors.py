"""The errors of a write while its app's data moves, which Django's own handlers catch too."""

from django.db import OperationalError

from ..exceptions import DatabaseOperationError

__all__ = ["MoveClosedError", "MoveStraddledError"]


class MoveStraddledError(DatabaseOperationError, OperationalError):
    """A transaction of the app ``label`` began before its data moved; run it again.

    Nothing of it was written to the app's tables, and the new run finds the new database. A write
    that names a database itself with ``using`` gets it too.
    """

    def __init__(self, message: str, label: str = "") -> None:
        super().__init__(message)
        self.label = label


class MoveClosedError(DatabaseOperationError, OperationalError):
    """The data of the app ``label`` is being moved, and until that is over nobody may write."""

    def __init__(self, message: str, label: str = "") -> None:
        super().__init__(message)
        self.label = label
