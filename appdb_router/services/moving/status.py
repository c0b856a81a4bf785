"""How far a move is, as both databases say."""

from dataclasses import dataclass
from typing import Any

from django.db.models import Sum

from ...models import MovedChunk, MovedTableState, RowChange
from .databases import Databases
from .decoding import slot_name, slot_state
from .journal import Journal
from .queueing import queue_length
from .route import MoveRoute

__all__ = ["MoveStatus"]

NOT_BEGUN = "not begun"


@dataclass(frozen=True)
class MoveStatus:
    """The state of a move: ``phase`` is what it does, or did last; ``home`` where the app lives.

    ``gate`` is ``closed`` while its writes are refused. ``tables`` are all copied or being copied,
    with the rows and bytes that were sent; ``behind`` is the number of changes still to follow.
    ``slot`` is the replication slot at the source, if there is one, with the bytes of the server's
    log that it keeps, or ``None`` bytes if the server has given it up.
    """

    label: str
    labels: tuple[str, ...]
    source: str
    target: str
    phase: str = NOT_BEGUN
    home: str = ""
    gate: str = "open"
    behind: int = 0
    tables: tuple[dict[str, Any], ...] = ()
    slot: dict[str, Any] | None = None
    options: dict[str, Any] | None = None
    created: str | None = None
    updated: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return the status as ``db_move --status --format json`` shows it."""
        return {**vars(self), "labels": list(self.labels), "tables": list(self.tables)}


def status_of(route: MoveRoute, databases: Databases, journal: Journal | None) -> MoveStatus:
    """Return how far the move of ``route`` is; without a journal none was begun."""
    slot = _slot(route, databases)
    if journal is None:
        return MoveStatus(
            route.label, route.labels, route.source, route.target, home=route.source, slot=slot
        )
    row = journal.row
    home = databases.named(row.home)
    return MoveStatus(
        route.label,
        route.labels,
        route.source,
        route.target,
        phase=str(journal.phase),
        home=home.alias,
        gate=row.gate,
        behind=_behind(databases, journal),
        tables=tuple(_tables(databases, row.token)),
        slot=slot,
        options=row.options,
        created=row.created.isoformat(),
        updated=row.updated.isoformat(),
    )


def _slot(route: MoveRoute, databases: Databases) -> dict[str, Any] | None:
    """Return the slot also where no move knows of it: it would fill the disk unseen."""
    source = databases.source
    if source.vendor != "postgresql" or not (state := slot_state(source, route.label)):
        return None
    return {"name": slot_name(source, route.label), "bytes": state.bytes}


def _behind(databases: Databases, journal: Journal) -> int:
    home = databases.named(journal.row.home)
    if RowChange._meta.db_table not in home.introspection.table_names():
        return 0
    return queue_length(home, journal.row.label)


def _tables(databases: Databases, token: str) -> list[dict[str, Any]]:
    target = databases.target
    if MovedTableState._meta.db_table not in target.introspection.table_names():
        return []
    chunks = MovedChunk.objects.using(target.alias).filter(token=token)
    sums = {
        item["table"]: item
        for item in chunks.values("table").annotate(all_rows=Sum("rows"), all_bytes=Sum("bytes"))
    }
    states = MovedTableState.objects.using(target.alias).filter(token=token).order_by("table")
    return [
        {
            "table": state.table,
            "rows": sums[state.table]["all_rows"] if state.table in sums else 0,
            "bytes": sums[state.table]["all_bytes"] if state.table in sums else 0,
            "is_copied": state.is_copied,
        }
        for state in states
    ]
