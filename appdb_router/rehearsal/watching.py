"""Noting what the split breaks, at the moment when it happens: also what the code then catches."""

import sys
from collections.abc import Callable
from itertools import takewhile
from traceback import walk_stack
from types import FrameType
from typing import Any

from django.apps import apps
from django.db import DatabaseError, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created
from django.db.models.sql.compiler import SQLCompiler

from ..exceptions import CrossingQueryError
from ..relations.homes import canonical, home_of
from ..relations.joins import tables_away
from ..services.statements import tables_named
from ..signals import refused
from ..uncovered import UncoveredWriteError
from .findings import Finding, Kind, notes
from .places import is_for_show, place_of_frame, shown

# What is between the query as a whole and the signal that a part of it is refused.
_COMPILING = ("appdb_router.", "django.db.", "django.dispatch.")


def start() -> None:
    """Note what is found from now on."""
    refused.connect(_note)
    connection_created.connect(_watch)
    for connection in connections.all(initialized_only=True):
        _watch(connection=connection)


def _note(*, error: Exception, **_kwargs: object) -> None:
    frame = sys._getframe(1)
    if isinstance(error, UncoveredWriteError):
        notes.add(_of_write(error))
    elif isinstance(error, CrossingQueryError) and not is_for_show(frame):
        notes.add(_of_query(error, frame))


def _of_write(error: UncoveredWriteError) -> Finding:
    write = error.write
    blocks = tuple(block.alias for block in write.blocks)
    return Finding(
        Kind.WRITE,
        (*(None for _ in blocks), write.model),
        (*blocks, write.alias),
        str(write),
        shown(write.filename),
        write.line,
    )


def _of_query(error: CrossingQueryError, frame: FrameType) -> Finding:
    labels: tuple[str | None, ...] = error.models
    aliases = tuple(home_of(apps.get_model(label)) for label in error.models)
    if len(labels) == 1:
        compiler = _outermost_compiler(frame)
        labels = (compiler.query.model._meta.label, *labels)
        aliases = (canonical(compiler.connection.alias), *aliases)
    return Finding(Kind.JOIN, labels, aliases, str(error), *place_of_frame(frame))


def _outermost_compiler(frame: FrameType) -> Any:
    """Return the compiler of the whole query, of which a part was refused."""
    compiling = takewhile(_is_compiling, (item for item, _ in walk_stack(frame)))
    owners = (item.f_locals.get("self") for item in compiling)
    *_, outermost = (owner for owner in owners if isinstance(owner, SQLCompiler))
    return outermost


def _is_compiling(frame: FrameType) -> bool:
    return str(frame.f_globals.get("__name__")).startswith(_COMPILING)


def _watch(*, connection: BaseDatabaseWrapper, **_kwargs: object) -> None:
    # In front: whoever adds another for a block takes the last one away behind it.
    if _note_failing not in connection.execute_wrappers:
        connection.execute_wrappers.insert(0, _note_failing)


def _note_failing(
    execute: Callable[..., Any], sql: Any, params: Any, many: bool, context: dict[str, Any]
) -> Any:
    """Note SQL that fails and names a table which is in another database."""
    try:
        return execute(sql, params, many, context)
    except DatabaseError:
        alias = context["connection"].alias
        away = tables_away(alias)
        for table in sorted(tables_named(str(sql), away)):
            model = away[table]
            notes.add(
                Finding(
                    Kind.SQL,
                    (None, model._meta.label),
                    (alias, home_of(model)),
                    f"SQL for {alias!r} names the table {table!r} of {model._meta.label}, which is"
                    f" in {home_of(model)!r}. Ask connections[alias_for({model._meta.app_label!r})]"
                    " for its part, and put both together in Python.",
                    *place_of_frame(sys._getframe(1)),
                )
            )
        raise
