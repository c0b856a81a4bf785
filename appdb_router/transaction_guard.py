"""Finding writes to one database inside of a block on another: ``TRANSACTION_GUARD``.

Django knows which blocks are open on a connection, and not who opened them. So a block is marked
when it is made, by the module that makes it; ``transaction_hooks`` calls what is here.
"""

import logging
import sys
import warnings
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from enum import Enum
from types import FrameType
from typing import Any

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Model

from .signals import announced
from .uncovered import OpenBlock, UncoveredWrite, UncoveredWriteError, UncoveredWriteWarning

logger = logging.getLogger(__name__)


class Role(Enum):
    """What a block means for the guard."""

    # The project wants what is in it to be rolled back together, and has said for which database.
    WATCHED = "watched"
    # It covers its own database, and asks nothing of the others.
    COVERING = "covering"
    IGNORED = "ignored"


# By the module that makes a block, or a package around it; the innermost counts.
_ROLES = {
    # Those of the ORM, whatever it writes, and of TestCase, migrations and commands.
    "django": Role.IGNORED,
    # Views such as the admin's. The project's code runs in them, without having asked for them.
    "django.contrib": Role.COVERING,
    # The managers of generic relations belong to the ORM.
    "django.contrib.contenttypes": Role.IGNORED,
    # ATOMIC_REQUESTS: a setting of the project.
    "django.core.handlers": Role.WATCHED,
    "appdb_router.relations": Role.IGNORED,
    "appdb_router.services": Role.IGNORED,
}
# Models that Django writes on the side, wherever they are: the admin's log, and content types.
_BOOKKEEPING = ("django.contrib.admin.", "django.contrib.contenttypes.")
# What stands between the project's code and a block or a write.
_BETWEEN = {"appdb_router", "asgiref", "asyncio", "concurrent", "contextlib", "django", "threading"}
# Whoever calls a view.
_HANDLERS = "django.core.handlers."
_TRANSACTION = "django.db.transaction"
_ORIGIN = "_appdb_router_origin"


@dataclass(frozen=True, slots=True)
class _Origin:
    role: Role
    place: str


# A decorator of a module that was imported before the guard was there.
_EARLIER = _Origin(Role.WATCHED, "")


@dataclass(frozen=True, slots=True)
class _Allowance:
    reason: str
    aliases: Collection[str] | None

    def holds(self, alias: str) -> bool:
        return self.aliases is None or alias in self.aliases


_allowances: ContextVar[tuple[_Allowance, ...]] = ContextVar("appdb_router.allowances", default=())


@contextmanager
def allowed(reason: str, aliases: Collection[str] | None = None) -> Iterator[None]:
    """Accept writes to ``aliases`` inside of this block, or to all databases.

    What this package writes beside a transaction of the project is inside of one.
    """
    token = _allowances.set((*_allowances.get(), _Allowance(reason, aliases)))
    try:
        yield
    finally:
        _allowances.reset(token)


def mark(block: Any, frame: FrameType) -> None:
    """Note on a block of ``atomic()`` who makes it; ``frame`` is the first outside of the hook."""
    makers = (item for item in _outward(frame) if _module(item) != _TRANSACTION)
    maker = next(makers, frame)
    role = _role_of(_module(maker))
    setattr(block, _ORIGIN, _Origin(role, _place(maker) if role is Role.WATCHED else ""))


def check(connection: BaseDatabaseWrapper, model: type[Model], reaction: str) -> None:
    """Warn of a write to ``model`` that no transaction covers, or raise ``UncoveredWriteError``.

    Only what the project's code writes counts: with none of it between the write and the request,
    a view of Django writes, such as that of a login.
    """
    blocks = _watched_elsewhere(connection)
    if not blocks or _is_covered(connection) or model.__module__.startswith(_BOOKKEEPING):
        return
    frame = _project_frame(sys._getframe(1))
    if frame is None:
        return
    # A proxy has no table of its own.
    label = (model._meta.concrete_model or model)._meta.label
    filename, line = frame.f_code.co_filename, frame.f_lineno
    write = UncoveredWrite(label, connection.alias, blocks, filename, line)
    if allowance := _allowance_for(connection.alias):
        logger.debug("%s Allowed: %s", write, allowance.reason)
    elif reaction == "raise":
        raise announced(UncoveredWriteError(write))
    else:
        _warn(write, frame)


def _allowance_for(alias: str) -> _Allowance | None:
    return next((item for item in _allowances.get() if item.holds(alias)), None)


def _warn(write: UncoveredWrite, frame: FrameType) -> None:
    """Do what ``warnings.warn`` does, for a frame of which the depth is not known."""
    module = frame.f_globals.get("__name__") or "<string>"
    registry = frame.f_globals.setdefault("__warningregistry__", {})
    warning = UncoveredWriteWarning(write)
    warnings.warn_explicit(warning, None, write.filename, write.line, module, registry)


def _watched_elsewhere(connection: BaseDatabaseWrapper) -> tuple[OpenBlock, ...]:
    """Return the innermost watched block of each other connection of this thread.

    Two aliases of one physical database are two transactions, too.
    """
    found = []
    for other in connections.all(initialized_only=True):
        if other is connection:
            continue
        origins = map(_origin, other.atomic_blocks)
        if places := [origin.place for origin in origins if origin.role is Role.WATCHED]:
            found.append(OpenBlock(other.alias, places[-1]))
    return tuple(found)


def _is_covered(connection: BaseDatabaseWrapper) -> bool:
    return any(_origin(block).role is not Role.IGNORED for block in connection.atomic_blocks)


def _origin(block: Any) -> _Origin:
    origin: _Origin = getattr(block, _ORIGIN, _EARLIER)
    return origin


def _role_of(module: str) -> Role:
    while module:
        if module in _ROLES:
            return _ROLES[module]
        module = module.rpartition(".")[0]
    return Role.WATCHED


def _place(maker: FrameType) -> str:
    if _module(maker).startswith(_HANDLERS):
        return "ATOMIC_REQUESTS"
    frame = _project_frame(maker)
    return f"{frame.f_code.co_filename}:{frame.f_lineno}" if frame else ""


def _project_frame(frame: FrameType) -> FrameType | None:
    """Return the first frame outwards of the project or a library, unless a request is first."""
    is_past_the_orm = False
    for item in _outward(frame):
        module = _module(item)
        root = module.partition(".")[0]
        # Of a view that runs in a thread for asynchronous code the handler is not on this stack,
        # but maybe a test that waits for it.
        if module.startswith(_HANDLERS) or (is_past_the_orm and root == "asgiref"):
            return None
        if root not in _BETWEEN:
            return item
        is_past_the_orm |= root == "django" and not module.startswith("django.db.")
    return None


def _outward(frame: FrameType | None) -> Iterator[FrameType]:
    while frame is not None:
        yield frame
        frame = frame.f_back


def _module(frame: FrameType) -> str:
    # What ``shell --command`` executes has the globals, and so the name, of the command's module.
    if frame.f_code.co_filename.startswith("<"):
        return ""
    return frame.f_globals.get("__name__") or ""
