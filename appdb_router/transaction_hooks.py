"""The hooks of ``TRANSACTION_GUARD`` in Django: who makes a block, and each way to send a write.

With the setting off nobody calls ``install``, and Django stays as it is.
"""

import sys
from collections.abc import Callable
from typing import Any

import django

from . import hooking, transaction_guard
from .hooking import Feature, Hook

_COMPILER = "django.db.models.sql.compiler"

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
    Hook(_GUARD, f"{_COMPILER}.SQLInsertCompiler", "execute_sql", _checking, ("self",)),
    Hook(_GUARD, f"{_COMPILER}.SQLUpdateCompiler", "execute_sql", _checking, ("self",)),
    Hook(_GUARD, f"{_COMPILER}.SQLDeleteCompiler", "execute_sql", _checking, ("self",)),
    *(
        [
            Hook(
                _GUARD,
                f"{_COMPILER}.SQLUpdateCompiler",
                "execute_returning_sql",
                _checking,
                ("self",),
            )
        ]
        if django.VERSION >= (6, 1)
        else []
    ),
)
