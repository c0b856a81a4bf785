"""A write that a move's trigger refused is told from all other errors, on each engine."""

from __future__ import annotations

import sqlite3

import pytest
from django.db.utils import IntegrityError, OperationalError

from appdb_router.exceptions import MoveError
from appdb_router.moves.refusal import MARKER, REFUSED_SQLSTATE, is_refusal


class ServerError(Exception):
    """An error as the drivers of PostgreSQL give it: the code is an attribute."""

    def __init__(self, **codes: str) -> None:
        super().__init__("The table is kept only for the way back.")
        self.__dict__.update(codes)


REFUSED = [
    ServerError(sqlstate=REFUSED_SQLSTATE),
    ServerError(pgcode=REFUSED_SQLSTATE),
    OperationalError(1644, f"{MARKER}This table …"),
    sqlite3.IntegrityError(f"{MARKER}This table …"),
    IntegrityError(f"{MARKER}This table …"),
]
OTHERS = [
    ServerError(sqlstate="23505"),
    ServerError(),
    OperationalError(1644, "A project's own trigger said no."),
    OperationalError(1213, f"{MARKER}Deadlock"),
    sqlite3.IntegrityError("UNIQUE constraint failed"),
    MoveError(f"{MARKER}This table …"),
    OperationalError(),
]


@pytest.mark.parametrize("error", REFUSED, ids=repr)
def test_a_refusal_is_recognised(error: Exception) -> None:
    wrapped = RuntimeError("What the project makes of it")
    wrapped.__cause__ = error

    assert is_refusal(error)
    assert is_refusal(wrapped)


@pytest.mark.parametrize("error", OTHERS, ids=repr)
def test_another_error_is_none(error: Exception) -> None:
    assert not is_refusal(error)


def test_an_error_that_causes_itself() -> None:
    error = ValueError("round and round")
    error.__cause__ = error

    assert not is_refusal(error)
