"""A query across two databases in two steps: first the identifiers, then the rows."""

from typing import Any

from django.db.models import QuerySet

from .exceptions import TooManyRowsError

__all__ = ["fetch_ids"]


def fetch_ids(queryset: "QuerySet[Any]", field: str = "pk", *, limit: int = 10_000) -> list[Any]:
    """Return the values of ``field`` of the rows of ``queryset``, without doubles or nulls.

    They are for the second step: ``Trip.objects.filter(rider__in=fetch_ids(riders))``. Raises
    ``TooManyRowsError`` if there are more than ``limit``, rather than load a whole table into
    memory and send it to another server.
    """
    values = queryset.order_by().values_list(field, flat=True).distinct()
    found = [value for value in values[: limit + 1] if value is not None]
    if len(found) > limit:
        raise TooManyRowsError(
            f"More than {limit} rows of {queryset.model._meta.label} match, too many for a query in"
            " two steps. Narrow the first step, give a higher limit=, or keep both apps in one"
            " database with together= of build_databases()."
        )
    return found
