"""The hooks of ``TRANSACTION_GUARD`` in Django: where they are, and putting them there.

With the setting off nobody calls ``install``, and Django stays as it is.
"""

import sys
from collections.abc import Callable, Iterable
from functools import wraps
from typing import Any

import django
from django.utils.module_loading import import_string

from . import transaction_guard
from .exceptions import ConfigurationError

# Who makes a block, and every method by which the ORM sends a write.
MAKING = ("django.db.transaction.Atomic.__init__",)
WRITING = (
    "django.db.models.sql.compiler.SQLInsertCompiler.execute_sql",
    "django.db.models.sql.compiler.SQLUpdateCompiler.execute_sql",
    "django.db.models.sql.compiler.SQLDeleteCompiler.execute_sql",
    *(
        ["django.db.models.sql.compiler.SQLUpdateCompiler.execute_returning_sql"]
        if django.VERSION >= (6, 1)
        else []
    ),
)

_reaction: str | None = None


def install(reaction: str) -> None:
    """Look at each write from now on, and ``"warn"`` or ``"raise"``; a later call changes that.

    Raises ``ConfigurationError`` if this Django has not what is hooked; nothing is hooked then.
    """
    global _reaction
    if _reaction is None:
        making, writing = find_owners(MAKING), find_owners(WRITING)
        for owner, name in making:
            setattr(owner, name, _marking(_method(owner, name)))
        for owner, name in writing:
            setattr(owner, name, _checking(_method(owner, name)))
    _reaction = reaction


def find_owners(paths: Iterable[str]) -> list[tuple[type, str]]:
    """Return class and name of each method, or raise ``ConfigurationError`` naming what is gone."""
    found = []
    for path in paths:
        class_path, _, name = path.rpartition(".")
        try:
            owner = import_string(class_path)
            getattr(owner, name)
        except (ImportError, AttributeError):
            raise ConfigurationError(
                f"Django {django.get_version()} has no {path}, where TRANSACTION_GUARD looks at"
                " transactions. Set it to 'off', and look for a newer appdb_router."
            ) from None
        found.append((owner, name))
    return found


def _marking(original: Callable[..., None]) -> Callable[..., None]:
    @wraps(original)
    def method(self: Any, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        transaction_guard.mark(self, sys._getframe(1))

    return method


def _checking(original: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(original)
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        transaction_guard.check(self.connection, self.query.model, str(_reaction))
        return original(self, *args, **kwargs)

    return method


def _method(owner: type, name: str) -> Callable[..., Any]:
    """Return the method as it is now, also if the class has it from another one."""
    if name in vars(owner):
        own: Callable[..., Any] = vars(owner)[name]
        return own

    def inherited(self: Any, *args: Any, **kwargs: Any) -> Any:
        # By the class of ``self``: that of a backend has bases of its own between.
        return getattr(super(owner, self), name)(*args, **kwargs)

    return inherited
