"""Where an app in a move is at home right now: asked of the source, and kept to where it must be.

Nobody is told by a flip. So the row that flips is read at each decision, but inside of an operation
and of a transaction, which keep to what the first decision found.
"""

from collections.abc import Callable, Collection
from threading import RLock
from time import monotonic, sleep

from django.db import Error

from ..topology import AppMove, Topology, get_topology, publish
from .errors import MoveStraddledError
from .pins import (
    HomeAlias,
    aliases_asked_for,
    current_operation,
    open_blocks,
    pin_transactions,
    pinned_state,
    transaction_state,
)
from .states import MoveState, read_state

# Seconds that a new transaction waits while an app changes its home, which takes a fraction of one.
# It goes on then: perhaps nobody finishes that soon, and reading is possible.
_PATIENCE = 1.0
_POLL_SECONDS = 0.01

_lock = RLock()
# By leader, how often the move had changed its home when this process has seen it last.
_flips: dict[str, int] = {}


def routes_in(topology: Topology) -> Callable[[str], str | None]:
    """Return what tells the alias of a label in ``topology``, and ``None`` for no app's."""
    moves, route = topology.moves, topology.routes.get
    active = {label: move for label, move in moves.items() if not move.is_finalized}
    if not active:
        return route

    def alias_of(label: str) -> str | None:
        move = active.get(label)
        return route(label) if move is None else current_alias(move)

    return alias_of


def current_alias(move: AppMove) -> HomeAlias:
    """Return where the apps of ``move`` are at home, for what this thread does now.

    Raises the ``django.db.Error`` of the source if it cannot be asked, and ``MoveStraddledError``
    inside of a transaction for an alias that is no longer the app's.
    """
    operation = current_operation.get()
    if operation is not None and move.leader in operation.states:
        return HomeAlias(move, operation.states[move.leader])
    blocks = open_blocks((move.source, move.target))
    state = transaction_state(move, blocks)
    if state is None:
        state = look_up(move)
        if blocks:
            state = _settled(move, state)
            _check_aliases(move, state, aliases_asked_for(move, blocks))
            pin_transactions(move, state, blocks)
        if operation is not None and not operation.has_written:
            operation.states[move.leader] = state
    return HomeAlias(move, state)


def look_up(move: AppMove) -> MoveState:
    """Return how far ``move`` is now, and let this process know. Raises ``django.db.Error``."""
    state = read_state(move)
    with _lock:
        topology = get_topology()
        known = topology.moves.get(move.leader)
        # An old snapshot of a transaction may be behind what others have seen; and what was
        # registered for the app while the process runs has nothing to do with its move.
        if known is not None and state.flips >= _flips.get(move.leader, 0):
            _flips[move.leader] = state.flips
            alias = state.alias_in(move)
            if (topology.routes[move.leader], known.is_finalized) != (alias, state.is_finalized):
                publish(topology.with_home(known, alias, is_finalized=state.is_finalized))
    return state


def look_up_all(labels: Collection[str] | None = None) -> None:
    """Let this process know how far the moves of ``labels`` are, or all, as far as can be known.

    A source that cannot be asked is passed over: whoever needs it is going to say why.
    """
    for move in active_moves():
        if labels is None or not set(labels).isdisjoint(move.labels):
            try:
                look_up(move)
            except Error:
                continue


def active_moves() -> list[AppMove]:
    """Return the moves that are not finalized, each once, as far as this process knows."""
    moves = {move.leader: move for move in get_topology().moves.values()}
    return [move for move in moves.values() if not move.is_finalized]


def seen_alias(label: str) -> str:
    """Return where the app ``label`` is at home for what this thread does, without asking.

    That is where the open transaction has it, or else where this process has seen it last.
    What belongs to no installed app is on the default.
    """
    topology = get_topology()
    move = topology.moves.get(label)
    state = pinned_state(move) if move is not None else None
    if move is not None and state is not None:
        return state.alias_in(move)
    return topology.routes.get(label, "default")


def seen_flips(move: AppMove) -> int:
    """Return how often the apps of ``move`` have changed their home, as this process knows."""
    return _flips.get(move.leader, 0)


def seen_homes() -> tuple[str, ...]:
    """Return where each app in a move is at home, as ``seen_alias`` does."""
    return tuple(seen_alias(move.leader) for move in active_moves())


def _settled(move: AppMove, state: MoveState) -> MoveState:
    """Return ``state`` when the app's home is not about to change, or after a while."""
    deadline = monotonic() + _PATIENCE
    while state.gate == "waiting" and monotonic() < deadline:
        sleep(_POLL_SECONDS)
        state = look_up(move)
    return state


def _check_aliases(move: AppMove, state: MoveState, aliases: Collection[HomeAlias]) -> None:
    """Refuse a transaction of the app that was begun with an alias of earlier."""
    home = state.alias_in(move)
    if any(alias != home for alias in aliases):
        raise MoveStraddledError(
            f"The app {move.leader!r} has moved to {home!r} while a transaction for it was begun on"
            " its other database. Run the transaction again.",
            move.leader,
        )
