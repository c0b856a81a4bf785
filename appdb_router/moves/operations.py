"""Operations of the ORM that a flip comes in between of: repeated where that can be done.

The triggers of a move refuse a write to the database that an app has left. By then this process may
have decided for that database a moment ago. An operation in autocommit has written nothing when it
is refused, so it is run again, in the new database. In a transaction of the project, only the
project can run it again.
"""

from collections.abc import Callable, Mapping
from time import monotonic, sleep
from typing import TypeVar

from django.db import DatabaseError, connections

from ..topology import AppMove
from .errors import MoveClosedError, MoveStraddledError
from .gate import active_moves, look_up, seen_flips
from .pins import Operation, current_operation, open_blocks, transaction_state
from .refusal import is_refusal
from .states import MoveState

Result = TypeVar("Result")

# Seconds that a refused operation waits for the app to be at home in the other database.
PATIENCE = 30.0
_POLL_SECONDS = 0.01


def run_operation(run: Callable[[], Result], *, is_bound: bool) -> Result:
    """Return what ``run`` returns, which is run again if a move refuses what it writes.

    ``is_bound`` tells that the project has named the database: then it is not run again, and
    neither is it inside of a transaction, nor if something else was written already.

    Raises ``MoveStraddledError`` or ``MoveClosedError`` for a write that stays refused.
    """
    moves = active_moves()
    blocks = open_blocks(alias for move in moves for alias in (move.source, move.target))
    if moves and not blocks and not is_bound:
        return _repeat(run)
    if not moves or current_operation.get() is not None:
        # With another operation around this one, it is a part of that.
        return run()
    try:
        return run()
    except DatabaseError as error:
        if not _is_open_refusal(error):
            raise
        raise _refused({move: transaction_state(move, blocks) for move in moves}) from error


def _repeat(run: Callable[[], Result]) -> Result:
    deadline = monotonic() + PATIENCE
    while True:
        seen = {move: seen_flips(move) for move in active_moves()}
        operation = Operation(_open_aliases())
        token = current_operation.set(operation)
        try:
            return run()
        except DatabaseError as error:
            if not _is_open_refusal(error):
                raise
            states = {move: operation.states.get(move.leader) for move in seen}
            if operation.has_written:
                raise _refused(states) from error
            refusal = error
        finally:
            current_operation.reset(token)
        before = {
            move: flips if (state := states[move]) is None else state.flips
            for move, flips in seen.items()
        }
        _wait_for_home(before, deadline, refusal)


def _wait_for_home(before: Mapping[AppMove, int], deadline: float, refusal: DatabaseError) -> None:
    """Return when an app has changed its home more often than ``before``.

    On the way back the old home refuses writes a moment before the new one has the app: two
    databases cannot change in one transaction.
    """
    while True:
        now = {move: look_up(move) for move in before}
        if any(state.flips != before[move] for move, state in now.items()):
            return
        is_closed = any(state.gate == "closed" for state in now.values())
        if is_closed or monotonic() >= deadline:
            raise _refused(now) from refusal
        sleep(_POLL_SECONDS)


def _is_open_refusal(error: DatabaseError) -> bool:
    """Tell whether ``error`` is a refusal, and no operation inside of this one has judged it."""
    return not isinstance(error, MoveClosedError | MoveStraddledError) and is_refusal(error)


def _refused(
    states: Mapping[AppMove, MoveState | None],
) -> MoveClosedError | MoveStraddledError:
    """Return the error for a write that was refused when the moves had ``states``."""
    known = {move.leader: state for move, state in states.items() if state is not None}
    closed = [leader for leader, state in known.items() if state.gate == "closed"]
    if closed:
        return MoveClosedError(
            f"The data of the app {closed[0]!r} is being moved to another database. Until that is"
            " over nothing can be written to its tables; reading works.",
            closed[0],
        )
    leaders = list(known) or [move.leader for move in states]
    return MoveStraddledError(
        f"The data of the app {' or '.join(map(repr, leaders))} has moved to another database, and"
        " the one that this was written to takes no more of it. A transaction that began before is"
        " to be run again. Code that names a database with using= should ask for it with"
        " alias_for().",
        leaders[0],
    )


def _open_aliases() -> frozenset[str]:
    return frozenset(
        connection.alias
        for connection in connections.all(initialized_only=True)
        if connection.in_atomic_block
    )
