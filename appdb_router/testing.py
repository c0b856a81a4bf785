"""Helpers for the tests of projects: which databases a test uses, and how often."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

from django.db import connections
from django.db.models import Model
from django.utils.asyncio import async_unsafe

from .aliases import alias_for
from .exceptions import UnknownLabelError
from .topology import get_topology

__all__ = ["assert_num_queries", "databases_for"]

_ALL = "__all__"


def databases_for(*targets: str | type[Model] | Model) -> set[str]:
    """Return the aliases for ``databases`` of a test class: those of labels, models or instances.

    ``databases_for("__all__")`` are all that queries are routed to. Django's own ``"__all__"`` has
    also the aliases that share a database with another, and so a second transaction on it.

    Raises ``UnknownLabelError``, a ``LookupError``, if no such app is installed, and ``TypeError``
    if there is no target.
    """
    if not targets:
        raise TypeError(f"databases_for() got no target. Pass labels or models, or {_ALL!r}.")
    if targets == (_ALL,):
        return set(get_topology().routed_aliases)
    return {alias_for(target) for target in targets}


@contextmanager
def assert_num_queries(numbers: Mapping[str | type[Model], int]) -> Iterator[None]:
    """Raise ``AssertionError`` unless each database is asked as often as ``numbers`` say.

    The keys are labels, models or aliases. What lives in one database is added up, so a test holds
    before and after a split; a database without a number may not be asked. The queries of this
    thread count, as in Django's ``assertNumQueries`` with savepoints, but without the begin and end
    of a transaction. The message lists them without their parameters.

    Raises ``UnknownLabelError``, a ``LookupError``, for a key that is neither.
    """
    __tracebackhide__ = True
    expected: Counter[str] = Counter()
    for target, number in numbers.items():
        expected[_alias(target)] += number
    found: dict[str, list[str]] = {}
    with _recorded(found):
        yield
    counts = {alias: len(queries) for alias, queries in found.items()}
    wrong = sorted(
        alias for alias in {*expected, *counts} if expected[alias] != counts.get(alias, 0)
    )
    if wrong:
        raise AssertionError("\n".join(_explain(wrong, expected, found)))


def _alias(target: str | type[Model]) -> str:
    """Return the alias of a label or model; an alias that was added by hand is its own."""
    try:
        return alias_for(target)
    except UnknownLabelError:
        if isinstance(target, str) and target in connections.settings:
            return get_topology().canonical_of(target)
        raise


@contextmanager
@async_unsafe("Queries belong to a thread's connections. Count them where they are made.")
def _recorded(found: dict[str, list[str]]) -> Iterator[None]:
    """Put the SQL of each query inside of this block into ``found``, by alias."""
    with ExitStack() as stack:
        for connection in connections.all():
            queries = found.setdefault(connection.alias, [])
            stack.enter_context(connection.execute_wrapper(_recorder(queries)))
        yield


def _recorder(queries: list[str]) -> Callable[..., Any]:
    def record(execute: Callable[..., Any], sql: Any, params: Any, *rest: Any) -> Any:
        # SQLite has no other way to begin a transaction than such a query.
        if not str(sql).startswith("BEGIN"):
            queries.append(str(sql))
        return execute(sql, params, *rest)

    return record


def _explain(
    wrong: list[str], expected: Mapping[str, int], found: Mapping[str, list[str]]
) -> Iterator[str]:
    for alias in wrong:
        queries = found.get(alias, [])
        yield f"Queries on {alias!r}: {len(queries)} instead of {expected[alias]}."
        yield from (f"  {number}. {sql}" for number, sql in enumerate(queries, 1))
