"""Where this package reaches into Django for apps in a move: all places, by name.

They are installed only where the settings announce a move.
"""

import inspect
from collections.abc import Callable, Iterable, Iterator
from copy import copy
from functools import update_wrapper
from typing import Any

from django.apps import apps
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Model

from ..aliases import alias_for
from ..hooking import Feature, Hook, forget_managers, hooks_of_writes, install
from ..topology import get_topology, label_of
from .operations import run_operation
from .pins import HomeAlias, current_operation

_MOVES = Feature("moving an app's data while it is used", "unset *_DATABASE_MOVE_FROM")
_MODEL = "django.db.models.base.Model"
_QUERYSET = "django.db.models.query.QuerySet"
_ATOMIC = "django.db.transaction.Atomic"
_RELATED = "django.db.models.fields.related_descriptors"
_OF_MANAGERS = ("add", "clear", "create", "get_or_create", "remove", "set", "update_or_create")


def _of_model(original: Callable[..., Any]) -> Callable[..., Any]:
    """Return what replaces ``save`` and ``delete`` of a model, which take ``using``."""

    def replacement(self: Model, *args: Any, **kwargs: Any) -> Any:
        if _is_for_home(kwargs.get("using"), self.__class__):
            del kwargs["using"]
        # In front of 6.0 ``save`` takes it by position, too.
        is_bound = kwargs.get("using") is not None or any(isinstance(item, str) for item in args)

        def run() -> Any:
            if not is_bound:
                _take_along([self])
            return original(self, *args, **kwargs)

        return run_operation(run, is_bound=is_bound)

    return replacement


def _of_queryset(original: Callable[..., Any]) -> Callable[..., Any]:
    """Return what replaces a method of querysets, or of the managers of relations."""

    def replacement(self: Any, *args: Any, **kwargs: Any) -> Any:
        # What can be walked through only once would be empty the second time.
        args = tuple(map(_lasting, args))
        kwargs = {name: _lasting(item) for name, item in kwargs.items()}
        instances = [*_instances((getattr(self, "instance", None), *args))]

        is_bound = self._db is not None

        def run() -> Any:
            if not is_bound:
                _take_along(instances)
            return original(self, *args, **kwargs)

        return run_operation(run, is_bound=is_bound)

    return replacement


def _of_managers(original: Callable[..., Any]) -> Callable[..., Any]:
    """Return what replaces a function that makes the class of a relation's managers."""

    def replacement(*args: Any, **kwargs: Any) -> Any:
        manager = original(*args, **kwargs)
        for name in _OF_MANAGERS:
            if method := inspect.getattr_static(manager, name, None):
                setattr(manager, name, update_wrapper(_of_queryset(method), method))
        return manager

    return replacement


def _using(original: Callable[..., Any]) -> Callable[..., Any]:
    """Return what replaces ``QuerySet.using``: the app's own alias says no more than no alias.

    So it does not matter how long ago it was asked for.
    """

    def replacement(self: Any, alias: str | None) -> Any:
        return original(self, None if _is_for_home(alias, self.model) else alias)

    return replacement


def _making(original: Callable[..., None]) -> Callable[..., None]:
    """Return what replaces ``Atomic.__init__``: the alias of an app is asked for again."""

    def replacement(self: Any, using: str | None, *args: Any, **kwargs: Any) -> None:
        original(self, _current(using), *args, **kwargs)

    return replacement


def _entering_again(original: Callable[..., Any]) -> Callable[..., Any]:
    """Return what replaces ``Atomic._recreate_cm``: a decorator may have been made long ago."""

    def replacement(self: Any) -> Any:
        block = original(self)
        if isinstance(block.using, HomeAlias):
            # Other threads are in it.
            block = copy(block)
            block.using = _current(block.using)
        return block

    return replacement


def _inserting(original: Callable[..., Any]) -> Callable[..., Any]:
    """Return what replaces the way to send an ``INSERT``."""

    def replacement(self: Any, *args: Any, **kwargs: Any) -> Any:
        result = original(self, *args, **kwargs)
        _note_written(self.connection)
        return result

    return replacement


def _changing(original: Callable[..., Any]) -> Callable[..., Any]:
    """Return what replaces the way to send an ``UPDATE`` or ``DELETE``, which may find no rows."""

    def replacement(self: Any, *args: Any, **kwargs: Any) -> Any:
        result = original(self, *args, **kwargs)
        if result:
            _note_written(self.connection)
        return result

    return replacement


def _committing(original: Callable[..., None]) -> Callable[..., None]:
    """Return what replaces ``BaseDatabaseWrapper.commit``."""

    def replacement(self: BaseDatabaseWrapper) -> None:
        original(self)
        if operation := current_operation.get():
            operation.note_written()

    return replacement


def _note_written(connection: BaseDatabaseWrapper) -> None:
    """Note what stays even if the operation that wrote it is taken back."""
    operation = current_operation.get()
    if operation and (not connection.in_atomic_block or connection.alias in operation.open_aliases):
        operation.note_written()


def _is_for_home(alias: str | None, model: type[Model]) -> bool:
    """Tell whether ``alias`` was asked for by the app of ``model``."""
    move = get_topology().moves.get(label_of(model))
    return move is not None and isinstance(alias, HomeAlias) and alias.move.leader == move.leader


def _current(alias: str | None) -> str | None:
    return alias_for(alias.move.leader) if isinstance(alias, HomeAlias) else alias


def _lasting(item: Any) -> Any:
    return list(item) if isinstance(item, Iterator) else item


def _instances(items: Iterable[Any]) -> Iterator[Model]:
    for item in items:
        if isinstance(item, Model):
            yield item
        elif isinstance(item, list | tuple | set | frozenset):
            yield from (part for part in item if isinstance(part, Model))


def _take_along(instances: Iterable[Model]) -> None:
    """Let instances know that their rows have moved since they were loaded."""
    moves = get_topology().moves
    for instance in instances:
        move = moves.get(label_of(instance.__class__))
        if move is not None and instance._state.db in (move.source, move.target):
            instance._state.db = alias_for(move.leader)


_HOOKS = (
    Hook(_MOVES, _MODEL, "save", _of_model, ("self", "using")),
    Hook(_MOVES, _MODEL, "delete", _of_model, ("self", "using")),
    *(
        Hook(_MOVES, _QUERYSET, name, _of_queryset, ("self", *parameters))
        for name, parameters in (
            ("bulk_create", ("objs",)),
            ("bulk_update", ("objs",)),
            ("create", ()),
            ("delete", ()),
            ("get_or_create", ()),
            ("update", ()),
            ("update_or_create", ()),
        )
    ),
    Hook(_MOVES, _QUERYSET, "using", _using, ("self", "alias")),
    Hook(
        _MOVES, _RELATED, "create_reverse_many_to_one_manager", _of_managers, ("superclass", "rel")
    ),
    Hook(
        _MOVES,
        _RELATED,
        "create_forward_many_to_many_manager",
        _of_managers,
        ("superclass", "rel", "reverse"),
    ),
    Hook(_MOVES, _ATOMIC, "__init__", _making, ("self", "using")),
    Hook(_MOVES, _ATOMIC, "_recreate_cm", _entering_again, ("self",)),
    *hooks_of_writes(_MOVES, _inserting, _changing),
    Hook(
        _MOVES, "django.db.backends.base.base.BaseDatabaseWrapper", "commit", _committing, ("self",)
    ),
)
_FOR_CONTENT_TYPES = (
    Hook(
        _MOVES,
        "django.contrib.contenttypes.fields",
        "create_generic_related_manager",
        _of_managers,
        ("superclass", "rel"),
    ),
)


def hooks() -> tuple[Hook, ...]:
    """Return the hooks for the apps that are installed."""
    has_content_types = apps.is_installed("django.contrib.contenttypes")
    return _HOOKS + (_FOR_CONTENT_TYPES if has_content_types else ())


def install_hooks() -> None:
    """Install the hooks, once. Raises ``ConfigurationError`` if Django has changed there."""
    install(hooks())
    forget_managers()
