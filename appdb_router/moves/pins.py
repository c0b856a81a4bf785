"""What keeps an app in a move in one database: for an operation, and for a transaction."""

from collections.abc import Iterable
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from ..topology import AppMove
from .states import MoveState


class HomeAlias(str):
    """An alias that was asked for by the app: ``move`` remembers which, and ``state`` how it was.

    As a text it is the alias, and pickled it is nothing else.
    """

    __slots__ = ("move", "state")
    move: AppMove
    state: MoveState

    def __new__(cls, move: AppMove, state: MoveState) -> "HomeAlias":
        """Return the alias of the apps of ``move`` when its state is ``state``."""
        alias = super().__new__(cls, state.alias_in(move))
        alias.move, alias.state = move, state
        return alias

    def __reduce__(self) -> tuple[Any, ...]:
        return str, (str(self),)


@dataclass
class Operation:
    """An operation of the ORM that can be repeated as long as it ``has_written`` nothing.

    ``states`` are those of the moves that it has asked for, by leader: it keeps to them.
    ``open_aliases`` are the databases with a transaction that was open before it.
    """

    open_aliases: frozenset[str] = frozenset()
    states: dict[str, MoveState] = field(default_factory=dict)
    has_written: bool = False

    def note_written(self) -> None:
        """Note that something was written which stays; what follows is free to look again."""
        self.has_written = True
        self.states.clear()


current_operation: ContextVar[Operation | None] = ContextVar("appdb_router.operation", default=None)


@dataclass(frozen=True)
class _Pin:
    """The mark of a transaction that the move of ``leader`` has a certain state for."""

    leader: str
    state: MoveState

    def __call__(self) -> None:
        """Do nothing: a transaction is marked by a hook, because hooks end with it."""


def open_blocks(aliases: Iterable[str]) -> list[BaseDatabaseWrapper]:
    """Return this thread's connections of ``aliases`` that are inside of ``atomic()``."""
    wanted = set(aliases)
    return [
        connection
        for connection in connections.all(initialized_only=True)
        if connection.alias in wanted and connection.in_atomic_block
    ]


def pinned_state(move: AppMove) -> MoveState | None:
    """Return the state of ``move`` that the operation or the transaction here began with."""
    operation = current_operation.get()
    if operation is not None and move.leader in operation.states:
        return operation.states[move.leader]
    return transaction_state(move, open_blocks((move.source, move.target)))


def transaction_state(move: AppMove, blocks: Iterable[BaseDatabaseWrapper]) -> MoveState | None:
    """Return the state of ``move`` that one of the transactions of ``blocks`` is pinned to."""
    for connection in blocks:
        for _, hook, *_ in connection.run_on_commit:
            if isinstance(hook, _Pin) and hook.leader == move.leader:
                return hook.state
    return None


def pin_transactions(
    move: AppMove, state: MoveState, blocks: Iterable[BaseDatabaseWrapper]
) -> None:
    """Keep to ``state`` of ``move`` until the transactions of ``blocks`` end."""
    for connection in blocks:
        # As on_commit() does it, but for no savepoint: it is there until the end.
        mark: Any = (set(), _Pin(move.leader, state), True)
        connection.run_on_commit.append(mark)


def aliases_asked_for(move: AppMove, blocks: Iterable[BaseDatabaseWrapper]) -> list[HomeAlias]:
    """Return the aliases of the app with which the transactions of ``blocks`` were begun."""
    return [
        block.using
        for connection in blocks
        for block in connection.atomic_blocks
        if isinstance(block.using, HomeAlias) and block.using.move.leader == move.leader
    ]
