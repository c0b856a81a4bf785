"""Migrations of an app that is being moved, refused before any SQL."""

from collections.abc import Iterable

from django.db.migrations.migration import Migration

from ...exceptions import DatabaseOperationError
from ...moves.gate import active_moves, look_up
from ...topology import get_topology


def refuse_moving(using: str, plan: Iterable[tuple[Migration, bool]]) -> None:
    """Raise ``DatabaseOperationError`` if ``plan`` has a migration of an app that is being moved.

    From its beginning until it is finalized, a move depends on tables that stay as they are, in
    both databases.
    """
    here = get_topology().canonical_of(using)
    migrations = [migration for migration, _ in plan]
    for move in active_moves():
        found = [str(item) for item in migrations if item.app_label in move.labels]
        if not found or here not in move.aliases:
            continue
        state = look_up(move)
        if state.has_begun and not state.is_finalized:
            raise DatabaseOperationError(
                f"The data of the app {move.leader!r} is being moved from {move.source!r} to"
                f" {move.target!r} ({state.phase}), so {', '.join(found)} cannot be applied to"
                f" either. Bring the move to its end first, with 'db_move {move.leader} --resume'"
                " and then '--finalize', or take it back with '--rollback'."
            )
