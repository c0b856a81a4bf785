"""Prefetching through managers of other people, such as that of tags.

They may query what is related on the database of the objects that they prefetch for, since with one
database that is the same. Django's own managers leave the choice to the router.
"""

from collections.abc import Callable
from typing import Any

from django.db.models import QuerySet

from .homes import at_home, is_at_home

_KNOWN = {"django", "appdb_router"}


def prefetch_one_level(original: Callable[..., Any]) -> Callable[..., Any]:
    """Return what replaces the function that prefetches for ``instances`` by one relation."""

    def replacement(instances: Any, prefetcher: Any, lookup: Any, level: int) -> Any:
        is_ours = type(prefetcher).__module__.partition(".")[0] in _KNOWN
        if not is_ours and hasattr(prefetcher, "get_prefetch_querysets"):
            prefetcher = _AtHome(prefetcher)
        return original(instances, prefetcher, lookup, level)

    return replacement


class _AtHome:
    """A prefetcher that asks the database where the model of another one's queryset lives."""

    def __init__(self, prefetcher: Any) -> None:
        self._prefetcher = prefetcher

    def get_prefetch_querysets(self, instances: Any, querysets: Any = None) -> tuple[Any, ...]:
        """Return what the other one does; a queryset that the project passes stays as it is."""
        found, *rest = self._prefetcher.get_prefetch_querysets(instances, querysets)
        if querysets is None and isinstance(found, QuerySet) and is_at_home(instances[0]):
            # What ``using()`` was called with, which the stubs do not have.
            alias = vars(found)["_db"]
            home = at_home(found.model, alias)
            found = found if home == alias else found.using(home)
        return found, *rest
