"""What ``db_move`` writes about a plan and about a state, for people."""

from collections.abc import Iterator

from ..services.moving.preflight import MovePlan
from ..services.moving.status import NOT_BEGUN, MoveStatus
from .sizes import bytes_text


def plan_lines(plan: MovePlan) -> Iterator[str]:
    """Yield the lines of a plan: what moves, how long, what stands in the way."""
    apps = ", ".join(plan.labels)
    mode = "while the app writes" if plan.is_online else "while the app's writes are refused"
    yield f"{apps}: from {plan.source} to {plan.target}, {mode}"
    for table in plan.tables:
        yield f"  {table.name}: about {table.rows:,} rows, {bytes_text(table.bytes)}"
    if plan.tables:
        weight = bytes_text(plan.bytes)
        yield f"In all about {plan.rows:,} rows, {weight}; roughly {duration(plan.seconds)}"
    for text in plan.notes:
        yield f"Note: {text}"
    for text in plan.failures:
        yield f"In the way: {text}"
    if not plan.failures:
        yield "Nothing stands in the way."


def status_lines(status: MoveStatus) -> Iterator[str]:
    """Yield the lines of a state."""
    yield f"{', '.join(status.labels)}: from {status.source} to {status.target}, {status.phase}"
    yield f"  The app lives in {status.home}" + (
        ", and its writes are refused until it has moved" if status.gate == "closed" else ""
    )
    for table in status.tables:
        done = "" if table["is_copied"] else ", not all yet"
        weight = bytes_text(table["bytes"])
        yield f"  {table['table']}: {table['rows']:,} rows copied, {weight}{done}"
    if status.slot and status.slot["bytes"] is None:
        yield f"  The server has given the replication slot {status.slot['name']} up: --restart"
    elif status.slot:
        weight = bytes_text(status.slot["bytes"])
        yield f"  The replication slot {status.slot['name']} keeps {weight} of the server's log"
    if status.phase != NOT_BEGUN:
        yield f"  {status.behind:,} changes to follow; begun {status.created}"


def duration(seconds: float) -> str:
    """Return seconds as people say it."""
    for limit, unit, length in ((90, "seconds", 1), (5400, "minutes", 60)):
        if seconds < limit:
            return f"{max(1, round(seconds / length))} {unit}"
    return f"{seconds / 3600:.1f} hours"
