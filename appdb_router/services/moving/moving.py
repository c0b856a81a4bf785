"""Moving an app: what a command asks for, from finding the databases to the last step."""

import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from threading import Event
from typing import Any

from django.db import Error

from ...exceptions import MoveError
from ..connecting import describe_error
from ..locking import move_lock
from .cleaning import clear, finalize
from .databases import Databases, opened_databases
from .filling import empty
from .forward import finish_forward, move_forward
from .journal import SOURCE, Journal, Phase, begin_journal, make_tables, read_journal
from .preflight import MovePlan, look_ahead, refuse_failures
from .returning import finish_back, move_back
from .route import MoveRoute
from .running import MoveOptions, Reporter, Run
from .settling import is_about_server, safe_error
from .status import MoveStatus, status_of
from .tables import moved_tables

__all__ = ["Step", "finalize_move", "move", "move_status", "plan_move", "roll_back"]

# The state of the move does not allow what was asked for.
_NOT_NOW = 12


@dataclass(frozen=True)
class Step:
    """How to begin: go on (``resume``), or from the start (``restart``) after clearing the target.

    ``empty_target`` deletes rows that nobody has moved there.
    """

    resume: bool = False
    restart: bool = False
    empty_target: bool = False


def plan_move(route: MoveRoute, options: MoveOptions) -> MovePlan:
    """Return what moving would do, and what stands in its way; nothing is changed."""
    with _work(route) as databases:
        journal = read_journal(databases.source, route.label)
        plan, _ = look_ahead(
            route, databases, _fitting(route, options, databases), may_be_filled=journal is not None
        )
        return plan


def move_status(route: MoveRoute) -> MoveStatus:
    """Return how far the move is; nothing is changed."""
    with _work(route) as databases:
        return status_of(route, databases, read_journal(databases.source, route.label))


def move(
    route: MoveRoute,
    given: Mapping[str, Any],
    step: Step,
    reporter: Reporter,
    *,
    stop: Event | None = None,
) -> MoveStatus:
    """Move the app, or go on where an earlier process was stopped; return what came of it.

    ``given`` are fields of ``MoveOptions``; a move that goes on has those that it began with, and
    others are refused. Raises ``MoveError``.
    """
    stop = stop or Event()
    with _locked(route) as databases:
        journal = read_journal(databases.source, route.label)
        _refuse_step(route, journal, step)
        if journal and step.resume:
            _go_on(route, databases, journal, given, reporter, stop)
        else:
            _begin(route, databases, journal, MoveOptions(**given), step, reporter, stop)
        return status_of(route, databases, read_journal(databases.source, route.label))


def roll_back(route: MoveRoute, reporter: Reporter, *, stop: Event | None = None) -> MoveStatus:
    """Bring the app back to its source, with what was written since. Raises ``MoveError``."""
    with _locked(route) as databases:
        journal = _flipped(route, databases)
        _refuse_late(route, journal)
        move_back(_run(route, databases, journal, reporter, stop or Event()))
        return status_of(route, databases, journal)


def finalize_move(route: MoveRoute, reporter: Reporter, *, stop: Event | None = None) -> MoveStatus:
    """Drop the tables that the app has left; there is no way back then. Raises ``MoveError``."""
    with _locked(route) as databases:
        journal = _flipped(route, databases)
        finalize(_run(route, databases, journal, reporter, stop or Event()))
        return status_of(route, databases, journal)


@contextmanager
def _work(route: MoveRoute) -> Iterator[Databases]:
    """Open both databases; what they raise in the block is told without their passwords."""
    try:
        with opened_databases(route.source, route.target) as databases:
            yield databases
    except Error as error:
        # What a server says of rows has values in it.
        text = describe_error(error, route.target) if is_about_server(error) else safe_error(error)
        raise MoveError(
            f"A database refused what the move asked for: {text}. Nothing is lost. Go on with"
            " --resume, when that is mended."
        ) from error


@contextmanager
def _locked(route: MoveRoute) -> Iterator[Databases]:
    with _work(route) as databases, move_lock(databases.source, route.label):
        yield databases


def _fitting(route: MoveRoute, options: MoveOptions, databases: Databases) -> MoveOptions:
    """Return ``options`` as they can be: only PostgreSQL can move an app that writes."""
    offline = options.offline or route.is_late or databases.source.vendor != "postgresql"
    return replace(options, offline=offline, is_late=route.is_late)


def _refuse_step(route: MoveRoute, journal: Journal | None, step: Step) -> None:
    label = route.label
    if journal is None:
        if step.resume:
            raise MoveError(
                f"No move of {label!r} was begun. Leave out --resume.", exit_code=_NOT_NOW
            )
        return
    if not (step.resume or step.restart):
        raise MoveError(
            f"A move of {label!r} was begun on {journal.row.created:%Y-%m-%d %H:%M} UTC, and is"
            f" {journal.phase}. Go on with --resume, or begin again with --restart, which empties"
            f" its tables in {route.target!r} first.",
            exit_code=_NOT_NOW,
        )
    if step.restart and journal.is_flipped and not journal.phase.is_over:
        raise MoveError(
            f"{label!r} lives in {route.target!r} now, so its rows there are not for --restart to"
            " delete. Move back with --rollback first.",
            exit_code=_NOT_NOW,
        )
    if step.resume and journal.phase.is_over:
        raise MoveError(
            f"The move of {label!r} is {journal.phase}: there is nothing to go on with. Begin"
            " another one with --restart.",
            exit_code=_NOT_NOW,
        )


def _begin(
    route: MoveRoute,
    databases: Databases,
    journal: Journal | None,
    options: MoveOptions,
    step: Step,
    reporter: Reporter,
    stop: Event,
) -> None:
    options, token = _fitting(route, options, databases), secrets.token_hex(16)
    may_be_filled = journal is not None or step.empty_target
    plan, tables = look_ahead(route, databases, options, may_be_filled=may_be_filled)
    refuse_failures(plan)
    make_tables(databases.source, databases.target)
    if journal:
        clear(_run(route, databases, journal, reporter, stop))
    elif step.empty_target:
        empty(tables, databases.target, token)
    fields = {
        "label": route.label,
        "labels": list(route.labels),
        "source": route.source,
        "target": route.target,
        "token": token,
        "home": SOURCE,
        "flips": journal.row.flips if journal else 0,
    }
    journal = begin_journal(databases.source, fields, options.as_dict())
    reporter.phase(Phase.PREPARING)
    move_forward(Run(databases, journal, tables, options, reporter, stop))


def _go_on(
    route: MoveRoute,
    databases: Databases,
    journal: Journal,
    given: Mapping[str, Any],
    reporter: Reporter,
    stop: Event,
) -> None:
    _refuse_changes(journal.row.options, given)
    run = _run(route, databases, journal, reporter, stop)
    if journal.phase is Phase.FINALIZING:
        finalize(run)
    elif journal.phase is Phase.RETURNING and not journal.is_flipped:
        finish_back(run)
    elif journal.is_flipped:
        # Where the way back was begun, it is gone on with.
        (move_back if journal.row.details.get("returning") else finish_forward)(run)
    else:
        move_forward(run)


def _refuse_changes(begun: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    changed = [
        f"{name} is {value!r}, and was {begun[name]!r}"
        for name, value in given.items()
        if begun[name] != value
    ]
    if changed:
        raise MoveError(
            f"--resume goes on with the options that the move began with: {'; '.join(changed)}."
            " Leave them out, or begin again with --restart.",
            exit_code=_NOT_NOW,
        )


def _flipped(route: MoveRoute, databases: Databases) -> Journal:
    journal = read_journal(databases.source, route.label)
    if journal is None or not journal.is_flipped or journal.phase is Phase.FINALIZED:
        state = journal.phase if journal else "not begun"
        raise MoveError(
            f"The move of {route.label!r} is {state}: the app has not changed over to"
            f" {route.target!r}, or its old tables are gone. See --status.",
            exit_code=_NOT_NOW,
        )
    return journal


def _refuse_late(route: MoveRoute, journal: Journal) -> None:
    if MoveOptions.from_dict(journal.row.options).is_late:
        raise MoveError(
            f"{route.label!r} lived in {route.target!r} by its settings when its rows were fetched,"
            " so nothing was noted for a way back. Move it like any other: settings first.",
            exit_code=_NOT_NOW,
        )


def _run(
    route: MoveRoute, databases: Databases, journal: Journal, reporter: Reporter, stop: Event
) -> Run:
    tables = moved_tables(route.labels, databases.source)
    options = MoveOptions.from_dict(journal.row.options)
    return Run(databases, journal, tables, options, reporter, stop)
