"""The hooks of ``TRANSACTION_GUARD`` in Django: who makes a block, and each way to send a write.

With the setting off nobody calls ``install``, and Django stays as it is.
"""

import sys
from collections.abc import Callable
from typing import Any

from . import hooking, transaction_guard
from .hooking import Feature, Hook, hooks_of_writes

_reaction = "raise"


def install(reaction: str) -> None:
    """Look at each write from now on, and ``"warn"`` or ``"raise"``; a later call changes that.

    Raises ``ConfigurationError`` if this Django has not what is hooked; nothing is hooked then.
    """
    global _reaction
    hooking.install(HOOKS)
    _reaction = reaction


def _marking(original: Callable[..., None]) -> Callable[..., None]:
    def replacement(self: Any, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        transaction_guard.mark(self, sys._getframe(1))

    return replacement


def _checking(original: Callable[..., Any]) -> Callable[..., Any]:
    def replacement(self: Any, *args: Any, **kwargs: Any) -> Any:
        transaction_guard.check(self.connection, self.query.model, _reaction)
        return original(self, *args, **kwargs)

    return replacement


_GUARD = Feature("TRANSACTION_GUARD", "set it to 'off'")
HOOKS = (
    Hook(_GUARD, "django.db.transaction.Atomic", "__init__", _marking, ("self",)),
    *hooks_of_writes(_GUARD, _checking, _checking),
)
