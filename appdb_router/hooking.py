"""Replacing a function of Django: how each of this package's hooks is put in its place.

A feature lists its hooks in a module of its own, so that all places are found by name there.
"""

import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import update_wrapper
from pkgutil import resolve_name
from typing import Any

import django
from django.apps import apps

from .exceptions import ConfigurationError

# The attribute of a replacement with its hook, behind the hooks of what it calls.
_INSTALLED = "appdb_router_hooks"


@dataclass(frozen=True)
class Feature:
    """What hooks are for: its ``name``, and how a project does without it, in the imperative."""

    name: str
    alternative: str


@dataclass(frozen=True)
class Hook:
    """The function ``name`` of ``owner``, a module or class, and what makes its replacement.

    ``make`` is given what is replaced: another hook's replacement, if that was there before, or a
    method that asks the bases of ``owner``, if that has none itself. ``parameters`` are those that
    the function has in every supported Django.
    """

    feature: Feature
    owner: str
    name: str
    make: Callable[[Any], Any]
    parameters: tuple[str, ...]

    @property
    def path(self) -> str:
        """The function as a dotted path."""
        return f"{self.owner}.{self.name}"

    def find_owner(self) -> Any:
        """Return the module or class, or raise ``ConfigurationError`` if this Django has none."""
        try:
            return resolve_name(self.owner)
        except (ImportError, AttributeError):
            raise self._moved() from None

    def find(self) -> Any:
        """Return the function as it is now, or raise ``ConfigurationError`` if it has moved."""
        owner = self.find_owner()
        function = inspect.getattr_static(owner, self.name, None)
        if function is None:
            raise self._moved()
        if not set(self.parameters) <= set(inspect.signature(function).parameters):
            raise self._moved()
        return function if self.name in vars(owner) else _inherited(owner, function)

    def is_installed(self) -> bool:
        """Tell whether the replacement is in place, be it below that of another hook."""
        return self in getattr(self.find(), _INSTALLED, ())

    def install(self) -> None:
        """Put the replacement in the place of the function, once.

        Raises ``ConfigurationError`` if this Django has no such function.
        """
        if self.is_installed():
            return
        function = self.find()
        replacement = update_wrapper(self.make(function), function)
        setattr(replacement, _INSTALLED, (*getattr(function, _INSTALLED, ()), self))
        setattr(self.find_owner(), self.name, replacement)

    def _moved(self) -> ConfigurationError:
        return ConfigurationError(
            f"Django {django.get_version()} has no '{self.path}({', '.join(self.parameters)})',"
            f" which {self.feature.name} depends on. Use a Django that this version of appdb_router"
            f" supports, or {self.feature.alternative}."
        )


def install(hooks: Iterable[Hook]) -> None:
    """Install ``hooks``, each once, however often this is called.

    Raises ``ConfigurationError`` if this Django lacks one of the functions; none is replaced then.
    """
    wanted = tuple(hooks)
    for hook in wanted:
        hook.find()
    for hook in wanted:
        hook.install()


def hooks_of_writes(
    feature: Feature, inserting: Callable[[Any], Any], changing: Callable[[Any], Any]
) -> tuple[Hook, ...]:
    """Return the hooks into every method by which the ORM sends a write.

    ``inserting`` makes the replacement for new rows, ``changing`` that for updating and deleting.
    """
    compiler, parameters = "django.db.models.sql.compiler", ("self",)
    methods = [
        ("SQLInsertCompiler", "execute_sql", inserting),
        ("SQLUpdateCompiler", "execute_sql", changing),
        ("SQLDeleteCompiler", "execute_sql", changing),
    ]
    if django.VERSION >= (6, 1):
        methods.append(("SQLUpdateCompiler", "execute_returning_sql", changing))
    return tuple(
        Hook(feature, f"{compiler}.{owner}", name, make, parameters)
        for owner, name, make in methods
    )


def forget_managers() -> None:
    """Let the managers of relations be made anew: another app may have used one already."""
    for model in apps.get_models(include_auto_created=True):
        for descriptor in vars(model).values():
            if "related_manager_cls" in getattr(descriptor, "__dict__", ()):
                del descriptor.related_manager_cls


def _inherited(owner: type, function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a method that calls the ``function`` that ``owner`` has from another class."""
    name = function.__name__

    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        # By the class of ``self``: that of a backend has bases of its own between.
        return getattr(super(owner, self), name)(*args, **kwargs)

    return update_wrapper(method, function)
