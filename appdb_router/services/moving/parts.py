"""Indexes, constraints and triggers of tables that are filled: away before the rows, back after.

PostgreSQL only. Elsewhere they stay, and the server checks row by row.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from django.db import Error, InternalError, OperationalError, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from ...models import MovedTableState
from .found_parts import FOREIGN_KEY, INDEX, ORDER, TRIGGER, Part, find_parts, find_triggers
from .keys import quoted
from .settling import refusal
from .tables import MovedTable

# Sorting in memory; a server that was given more by its administrator keeps that.
_SORT_MEMORY = """
    SELECT set_config('maintenance_work_mem', '256MB', true)
    WHERE pg_size_bytes(current_setting('maintenance_work_mem')) < pg_size_bytes('256MB')
"""


def take_parts_away(tables: Iterable[MovedTable], taker: BaseDatabaseWrapper, token: str) -> None:
    """Drop what slows the copy down, and write down how to make it again, in one transaction.

    That is every index, the primary key's too, every constraint that needs one, and every foreign
    key from or to the tables; what a view needs stays. The users' triggers are disabled until
    ``enable_triggers()``. Tables that this was done to are left as they are.
    """
    states = MovedTableState.objects.using(taker.alias)
    with transaction.atomic(using=taker.alias):
        done = set(states.filter(token=token).values_list("table", flat=True))
        remaining = [table for table in tables if table.name not in done]
        away: dict[str, list[Part]] = {table.name: [] for table in remaining}
        if taker.vendor == "postgresql":
            for part in [*find_parts(taker, away), *find_triggers(taker, away)]:
                _drop(taker, part)
                away[part["of"]].append(part)
        for name, parts in away.items():
            states.create(token=token, table=name, parts=parts)


def put_parts_back(
    tables: Iterable[MovedTable],
    taker: BaseDatabaseWrapper,
    token: str,
    *,
    report: Callable[[str, str], None],
    only_keys: bool = False,
    alone: Callable[[], bool] = lambda: True,
) -> None:
    """Make what ``take_parts_away()`` dropped, and ``ANALYZE``; what is there already is skipped.

    Each part has a transaction of its own. ``report`` is called for each, with table and name.
    ``only_keys`` makes the primary keys alone: no two rows that were copied have one, while rows
    of different moments may well break another constraint until all changes were followed. An index
    is made by as many processes as the server allows, or by one unless this session is ``alone``:
    two of the target's processors are enough for a move, and it may have no more.

    Raises ``MoveError`` if the rows break a constraint.
    """
    if taker.vendor != "postgresql":
        return
    wanted = [table.name for table in tables]
    parts = _written(taker, token, wanted)
    if only_keys:
        keys = {(part["of"], part["name"]) for part in parts if " PRIMARY KEY " in part["make"]}
        parts = [part for part in parts if (part["of"], part["name"]) in keys]
    for part in sorted(parts, key=lambda part: ORDER.index(part["kind"])):
        if part["kind"] != TRIGGER and not _exists(taker, part):
            _make(taker, part, is_alone=alone())
            report(part["of"], part["name"])
    if not only_keys:
        with taker.cursor() as cursor:
            for name in quoted(taker, wanted):
                cursor.execute(f"ANALYZE {name}")


def disable_triggers(
    tables: Iterable[MovedTable], connection: BaseDatabaseWrapper, token: str
) -> None:
    """Disable the users' triggers, which would change what is written, and write them down."""
    if connection.vendor != "postgresql":
        return
    states = MovedTableState.objects.using(connection.alias)
    with transaction.atomic(using=connection.alias):
        for table in tables:
            state, _ = states.get_or_create(token=token, table=table.name, defaults={"parts": []})
            # Those that were disabled before are found no more, and stay in what is written.
            found = find_triggers(connection, [table.name])
            for part in found:
                _execute(connection, part["drop"])
            state.parts = [*state.parts, *found]
            state.save(using=connection.alias, update_fields=["parts"])


def enable_triggers(
    tables: Iterable[MovedTable], connection: BaseDatabaseWrapper, token: str
) -> None:
    """Enable the triggers that this move has disabled, each as it was; once more does no harm."""
    if connection.vendor == "postgresql":
        with transaction.atomic(using=connection.alias):
            for part in _written(connection, token, [table.name for table in tables]):
                if part["kind"] == TRIGGER and _exists(connection, part):
                    _execute(connection, part["make"])


def _written(connection: BaseDatabaseWrapper, token: str, names: Sequence[str]) -> list[Part]:
    states = MovedTableState.objects.using(connection.alias)
    found = states.filter(token=token, table__in=names).order_by("id")
    return [part for state in found for part in state.parts]


def _drop(taker: BaseDatabaseWrapper, part: Part) -> None:
    """Drop ``part``; what something else needs, such as a view, stays."""
    if part["drop"]:
        try:
            with transaction.atomic(using=taker.alias):
                _execute(taker, part["drop"])
        except InternalError as error:
            # dependent_objects_still_exist
            if getattr(error.__cause__, "sqlstate", None) != "2BP01":
                raise


def _make(taker: BaseDatabaseWrapper, part: Part, *, is_alone: bool) -> None:
    try:
        with transaction.atomic(using=taker.alias):
            if part["kind"] in {INDEX, FOREIGN_KEY}:
                _execute(taker, _SORT_MEMORY)
            if not is_alone:
                _execute(taker, "SET LOCAL max_parallel_maintenance_workers = 0")
            _execute(
                taker,
                "SELECT set_config('default_tablespace', %s, true)",
                [part.get("tablespace") or ""],
            )
            _execute(taker, part["make"])
    except OperationalError:
        raise
    except Error as error:
        what = f"{part['name']!r} of {part['of']!r} cannot be made again"
        raise refusal(what, error) from None


def _exists(connection: BaseDatabaseWrapper, part: Part) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(part["exists"])
        return cursor.fetchone() is not None


def _execute(
    connection: BaseDatabaseWrapper, statement: str, parameters: Sequence[Any] | None = None
) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
