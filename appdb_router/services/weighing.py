"""Rows and bytes of tables, without reading more than a few thousand rows of any."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from functools import partial
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.db import Error
from django.db.backends.base.base import BaseDatabaseWrapper

from .asking import ask_all, no_answer
from .catalogs import MOST_ROWS, count_rows, standing_tables
from .connecting import describe_error, separate_connection
from .probing import is_missing_file

__all__ = ["Precision", "TableSize", "Weight"]

# The parts of a partitioned table count with it. Without ANALYZE the server says -1, or 0.
_POSTGRESQL = """
    SELECT wanted.name,
           coalesce((SELECT sum(greatest(part.reltuples, 0))::bigint
                       FROM pg_partition_tree(c.oid) tree
                       JOIN pg_class part ON part.oid = tree.relid AND tree.isleaf),
                    c.reltuples::bigint),
           coalesce((SELECT sum(pg_total_relation_size(relid))::bigint
                       FROM pg_partition_tree(c.oid)),
                    pg_total_relation_size(c.oid))
      FROM unnest(%s::text[], %s::text[]) AS wanted (name, quoted)
      JOIN pg_class c ON c.oid = to_regclass(wanted.quoted)
"""
_MYSQL = """
    SELECT table_name, table_rows, data_length + index_length
      FROM information_schema.tables
     WHERE table_schema = DATABASE() AND table_name IN %s
"""
# Only there if SQLite was compiled with it. Indexes are part of their table.
_SQLITE = """
    SELECT m.tbl_name, NULL, sum(d.pgsize)
      FROM dbstat d JOIN sqlite_master m ON m.name = d.name
     GROUP BY m.tbl_name
"""

# Seconds. Longer than for connecting: there may be hundreds of tables to count.
_PATIENCE = 60

_Catalogue = Mapping[str, tuple[int | None, int | None]]


class Precision(StrEnum):
    """How a number of rows was found."""

    COUNTED = "counted"
    # The server's own, as old as its last ANALYZE.
    ESTIMATED = "estimated"
    AT_LEAST = "at least"


@dataclass(frozen=True)
class TableSize:
    """A table with its rows and bytes, indexes included; ``None`` is what nobody can tell."""

    table: str
    rows: int | None
    precision: Precision
    bytes: int | None


@dataclass(frozen=True)
class Weight:
    """The tables that stand in a database of those asked for.

    ``missing`` do not stand there, and ``error`` says why nothing was looked at.
    """

    tables: tuple[TableSize, ...] = ()
    missing: tuple[str, ...] = ()
    error: str | None = None

    @property
    def rows(self) -> int:
        """The rows of all tables, as far as they are known."""
        return sum(table.rows or 0 for table in self.tables)

    @property
    def bytes(self) -> int | None:
        """The bytes of all tables, or ``None`` if those of one are not known."""
        sizes = [table.bytes for table in self.tables if table.bytes is not None]
        return sum(sizes) if len(sizes) == len(self.tables) else None

    @property
    def is_exact(self) -> bool:
        """Whether the rows of all tables were counted."""
        return all(table.precision is Precision.COUNTED for table in self.tables)

    def of(self, names: Collection[str]) -> "Weight":
        """Return what this says of the tables ``names``."""
        return Weight(
            tuple(table for table in self.tables if table.table in names),
            tuple(name for name in self.missing if name in names),
            self.error,
        )

    def as_dict(self) -> dict[str, Any]:
        """Return the weight as ``db_plan --format json`` shows it."""
        return {
            "rows": self.rows,
            "bytes": self.bytes,
            "is_exact": self.is_exact,
            "tables": [asdict(table) for table in self.tables],
            "missing": list(self.missing),
            "error": self.error,
        }


def weigh_all(wanted: Mapping[str, Collection[str]], *, timeout: int) -> dict[str, Weight]:
    """Return what the tables ``wanted``, by alias, weigh; ``timeout`` bounds connecting."""
    silent = Weight(error=no_answer(_PATIENCE))
    look = partial(_weigh, wanted=wanted, timeout=timeout)
    return ask_all(look, wanted, timeout=_PATIENCE, silent=silent)


def weigh(connection: BaseDatabaseWrapper, names: Collection[str]) -> Weight:
    """Return what the tables ``names`` weigh in the database of ``connection``."""
    standing = sorted(standing_tables(connection, names))
    read = _READERS.get(connection.vendor)
    catalogue: _Catalogue = read(connection, standing) if read else {}
    folded = {name.lower(): item for name, item in catalogue.items()}
    return Weight(
        tuple(
            _size(connection, name, *folded.get(name.lower(), (None, None))) for name in standing
        ),
        tuple(sorted(set(names) - set(standing))),
    )


def _weigh(alias: str, wanted: Mapping[str, Collection[str]], timeout: int) -> Weight:
    try:
        with separate_connection(alias, timeout=timeout) as connection:
            if is_missing_file(connection):
                return Weight(error="there is no such database yet")
            return weigh(connection, wanted[alias])
    except (Error, ImproperlyConfigured, OSError) as error:
        return Weight(error=describe_error(error, alias))


def _size(
    connection: BaseDatabaseWrapper, table: str, estimate: int | None, size: int | None
) -> TableSize:
    found = TableSize(table, None, Precision.COUNTED, None if size is None else int(size))
    rows = _count(connection, table)
    if rows is not None and rows <= MOST_ROWS:
        return replace(found, rows=rows)
    if estimate is not None and estimate > (rows or 0):
        return replace(found, rows=int(estimate), precision=Precision.ESTIMATED)
    return replace(found, rows=rows, precision=Precision.AT_LEAST)


def _count(connection: BaseDatabaseWrapper, table: str) -> int | None:
    try:
        return count_rows(connection, table)
    except Error:
        # Such as a role that may not read it.
        return None


def _read_postgresql(connection: BaseDatabaseWrapper, names: list[str]) -> _Catalogue:
    quoted = [connection.ops.quote_name(name) for name in names]
    return _rows(connection, _POSTGRESQL, [names, quoted])


def _read_mysql(connection: BaseDatabaseWrapper, names: list[str]) -> _Catalogue:
    return _rows(connection, _MYSQL, [tuple(names)]) if names else {}


def _read_sqlite(connection: BaseDatabaseWrapper, _names: list[str]) -> _Catalogue:
    try:
        return _rows(connection, _SQLITE, None)
    except Error:
        return {}


_READERS: dict[str, Callable[[BaseDatabaseWrapper, list[str]], _Catalogue]] = {
    "postgresql": _read_postgresql,
    "mysql": _read_mysql,
    "sqlite": _read_sqlite,
}


def _rows(
    connection: BaseDatabaseWrapper, statement: str, parameters: Sequence[Any] | None
) -> _Catalogue:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return {name: (rows, size) for name, rows, size in cursor.fetchall()}
