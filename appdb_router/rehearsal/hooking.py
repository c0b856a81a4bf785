"""Where a rehearsal reaches into Django's test framework: all places, by name.

Nothing is replaced unless ``APPDB_REHEARSE`` is set.
"""

import inspect
from collections.abc import Callable
from functools import update_wrapper
from pkgutil import resolve_name
from typing import Any

import django
from django.test.runner import DiscoverRunner

from ..conf import rehearsed_aliases
from ..exceptions import ConfigurationError
from ..topology import get_topology
from . import watching
from .findings import notes
from .runner import RehearsalRunner

# The event by which a process of ``manage.py test --parallel`` hands over what it has found.
_EVENT = "addFindings"


def validate_databases(original: Callable[..., Any]) -> Callable[..., Any]:
    """Let test cases that use a database use every routed one, whatever they name."""

    def replacement(cls: Any) -> Any:
        found = original(cls)
        return found | get_topology().routed_aliases if found else found

    return replacement


def setup_databases(original: Callable[..., Any]) -> Callable[..., Any]:
    """Let whoever makes test databases make every routed one, if there are any."""

    def replacement(*args: Any, **kwargs: Any) -> Any:
        for name in ("aliases", "serialized_aliases"):
            if kwargs.get(name):
                kwargs[name] = {*kwargs[name], *get_topology().routed_aliases}
        return original(*args, **kwargs)

    return replacement


def get_runner(original: Callable[..., Any]) -> Callable[..., Any]:
    """Let the project's test runner, be it Django's, report what was found."""

    def replacement(*args: Any, **kwargs: Any) -> Any:
        base = original(*args, **kwargs)
        # One that has nothing of Django's may run pytest, which reports by itself.
        if issubclass(base, RehearsalRunner) or not issubclass(base, DiscoverRunner):
            return base
        return type(base.__name__, (RehearsalRunner, base), {"__module__": base.__module__})

    return replacement


def run_test(original: Callable[..., Any]) -> Callable[..., Any]:
    """Note findings for the test that runs, in whichever process and thread."""

    def replacement(self: Any, result: Any = None) -> Any:
        before, notes.test = notes.test, self.id()
        try:
            return original(self, result)
        finally:
            notes.test = before

    return replacement


def run_remotely(original: Callable[..., Any]) -> Callable[..., Any]:
    """Send what the tests of a process have found to the one that reports."""

    def replacement(self: Any, test: Any) -> Any:
        # A process that was forked has a copy of what was found before.
        notes.take()
        result = original(self, test)
        # Beside the events of the first test: each finding knows its own.
        result.events.append((_EVENT, 0, notes.take()))
        return result

    return replacement


HOOKS: dict[str, tuple[Callable[..., Any], tuple[str, ...]]] = {
    "django.test.testcases.SimpleTestCase._validate_databases": (validate_databases, ("cls",)),
    "django.test.utils.setup_databases": (setup_databases, ("aliases", "serialized_aliases")),
    "django.test.utils.get_runner": (get_runner, ("settings", "test_runner_class")),
    "django.test.runner.RemoteTestRunner.run": (run_remotely, ("self", "test")),
    "unittest.case.TestCase.run": (run_test, ("self", "result")),
}


def start() -> None:
    """Begin to note what is found, and let every test use every routed database.

    Raises ``ConfigurationError`` if Django has not what is hooked; nothing is hooked then.
    """
    found = [(*find(path, names), make) for path, (make, names) in HOOKS.items()]
    for owner, name, original, make in found:
        replacement: Any = update_wrapper(make(original), original)
        is_method_of_class = isinstance(vars(owner)[name], classmethod)
        setattr(owner, name, classmethod(replacement) if is_method_of_class else replacement)
    notes.rehearsed = rehearsed_aliases()
    watching.start()


def find(path: str, names: tuple[str, ...]) -> tuple[Any, str, Callable[..., Any]]:
    """Return owner, name and function at ``path``, which takes parameters of these ``names``.

    Raises ``ConfigurationError`` if this Django has no such function.
    """
    owner_path, _, name = path.rpartition(".")
    try:
        owner = resolve_name(owner_path)
        function = inspect.getattr_static(owner, name)
    except (ImportError, AttributeError):
        function = None
    # Of a class method, what it was made of.
    function = getattr(function, "__func__", function)
    if function is None or not set(names) <= set(inspect.signature(function).parameters):
        raise ConfigurationError(
            f"Django {django.get_version()} has no '{path}({', '.join(names)})', which a rehearsal"
            " depends on. Unset APPDB_REHEARSE, and look for a newer appdb_router."
        )
    return owner, name, function
