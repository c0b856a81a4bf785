"""Replacing functions of Django: by features that share a function, and where one has moved."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import django
import pytest

from appdb_router import hooking
from appdb_router.exceptions import ConfigurationError
from appdb_router.hooking import Feature, Hook

FEATURE = Feature("a test", "run no tests")


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A module that can be imported, in the place of one of Django's."""
    made: Any = ModuleType("hooked")

    class Base:
        def run(self, name: str) -> str:
            """Return the name."""
            return name

    class Child(Base):
        pass

    class Between(Base):
        def run(self, name: str) -> str:
            return f"between({super().run(name)})"

    class OfABackend(Child, Between):
        pass

    made.Base, made.Child, made.OfABackend = Base, Child, OfABackend
    monkeypatch.setitem(sys.modules, made.__name__, made)
    return made


def adding(word: str) -> Callable[[Any], Any]:
    """Return what makes a replacement that adds a word."""

    def make(original: Any) -> Any:
        return lambda self, name: f"{word}({original(self, name)})"

    return make


def test_it_is_put_in_place_once(module: Any) -> None:
    hook = Hook(FEATURE, "hooked.Base", "run", adding("one"), ("self", "name"))

    before = hook.is_installed()
    hooking.install([hook])
    hooking.install(hook for hook in [hook])

    assert (before, hook.is_installed(), hook.path) == (False, True, "hooked.Base.run")
    assert module.Base().run("x") == "one(x)"
    assert inspect.getdoc(module.Base.run) == "Return the name."


def test_two_features_share_a_function(module: Any) -> None:
    one, two = (
        Hook(Feature(word, ""), "hooked.Base", "run", adding(word), ()) for word in ("one", "two")
    )

    hooking.install([one])
    hooking.install([two])
    hooking.install([one, two])

    assert one.is_installed()
    assert two.is_installed()
    assert module.Base().run("x") == "two(one(x))"


def test_an_inherited_method_asks_the_bases_of_the_object(module: Any) -> None:
    hook = Hook(FEATURE, "hooked.Child", "run", adding("one"), ("name",))

    hooking.install([hook])
    hooking.install([hook])

    assert module.Base().run("x") == "x"
    assert module.Child().run("x") == "one(x)"
    assert module.OfABackend().run("x") == "one(between(x))"


@pytest.mark.parametrize(
    ("owner", "name", "parameters"),
    [
        ("hooked.no_such_module", "run", ()),
        ("no_such_module", "run", ()),
        ("hooked.Base", "no_such_method", ("self",)),
        ("hooked.Base", "run", ("self", "no_such_parameter")),
    ],
)
def test_where_one_has_moved_nothing_is_replaced(
    module: Any, owner: str, name: str, parameters: tuple[str, ...]
) -> None:
    there = Hook(FEATURE, "hooked.Base", "run", adding("one"), ())
    moved = Hook(FEATURE, owner, name, adding("two"), parameters)

    with pytest.raises(ConfigurationError) as raised:
        hooking.install([there, moved])

    assert str(raised.value) == (
        f"Django {django.get_version()} has no '{owner}.{name}({', '.join(parameters)})', which a"
        " test depends on. Use a Django that this version of appdb_router supports, or run no"
        " tests."
    )
    assert module.Base().run("x") == "x"
