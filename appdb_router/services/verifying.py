"""Refusing to call a database migrated before its tables have been seen."""

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from ..exceptions import MissingTablesError
from ..topology import get_topology
from .connecting import separate_connection
from .inspecting import describe_gap, find_gaps
from .looking import tables_elsewhere

__all__ = ["verify"]


def verify(alias: str) -> None:
    """Raise ``MissingTablesError`` unless every table and column is really there.

    The rows of ``django_migrations`` do not tell: Django records a migration also where the router
    refused its tables.
    """
    _refuse_gaps(connections[alias])


def verify_records(alias: str) -> None:
    """Raise ``MissingTablesError`` if tables or columns are missing that are not pending either."""
    with separate_connection(alias) as connection:
        _refuse_gaps(connection)


def _refuse_gaps(connection: BaseDatabaseWrapper) -> None:
    gaps = find_gaps(connection)
    if gaps:
        others = [item.alias for item in get_topology().canonical_databases()]
        raise MissingTablesError(
            " ".join(
                describe_gap(gap, tables_elsewhere(gap, connection.alias, others)) for gap in gaps
            )
        )
