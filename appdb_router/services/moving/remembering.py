"""What a connection of a move knows of its tables, since they stay as they are meanwhile.

Writers wait while a move changes over, and the catalogs of PostgreSQL take their time.
"""

from collections.abc import Callable, Hashable
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from django.db.backends.base.base import BaseDatabaseWrapper

Answer = TypeVar("Answer")

_known: WeakKeyDictionary[BaseDatabaseWrapper, dict[Hashable, Any]] = WeakKeyDictionary()


def remembered(
    connection: BaseDatabaseWrapper, question: Hashable, ask: Callable[[], Answer]
) -> Answer:
    """Return what ``ask`` returned at the first time that ``connection`` had this ``question``."""
    answers = _known.setdefault(connection, {})
    if question not in answers:
        answers[question] = ask()
    found: Answer = answers[question]
    return found
