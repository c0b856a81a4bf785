"""What a type checker knows of moving and comparing: checked, and never run."""

from collections.abc import Mapping
from threading import Event
from typing import Any, assert_type

from appdb_router.exceptions import MoveError
from appdb_router.services.moving.comparing import Difference
from appdb_router.services.moving.comparison import Comparison, compare_app
from appdb_router.services.moving.copying import Copied
from appdb_router.services.moving.journal import Phase
from appdb_router.services.moving.moving import (
    Step,
    finalize_move,
    move,
    move_status,
    plan_move,
    roll_back,
)
from appdb_router.services.moving.preflight import MovePlan, PlannedTable
from appdb_router.services.moving.route import MoveRoute, route_of
from appdb_router.services.moving.running import MoveOptions, Reporter, Verification
from appdb_router.services.moving.status import MoveStatus


class Quiet:
    """A reporter that says nothing."""

    def phase(self, phase: Phase) -> None:
        assert_type(phase.is_over, bool)

    def copied(self, copied: Copied) -> None:
        assert_type((copied.table, copied.rows, copied.bytes), tuple[str, int, int])
        assert_type(copied.total_rows, int | None)

    def note(self, text: str) -> None:
        """Say nothing."""


def of_moving(reporter: Reporter) -> None:
    route = route_of("driver", source="default", target="driver")
    assert_type(route, MoveRoute)
    assert_type((route.label, route.labels), tuple[str, tuple[str, ...]])
    assert_type((route.source, route.target, route.is_late), tuple[str, str, bool])
    of_plan(plan_move(route, MoveOptions(offline=True)))
    step = Step(resume=True, restart=False, empty_target=False)
    assert_type((step.resume, step.restart, step.empty_target), tuple[bool, bool, bool])
    reporter.note("begun")
    of_status(move(route, {"chunk_rows": 10_000}, step, reporter, stop=Event()))
    of_status(move_status(route))
    of_status(roll_back(route, Quiet(), stop=Event()))
    of_status(finalize_move(route, Quiet(), stop=Event()))


def of_options(options: MoveOptions) -> None:
    assert_type((options.offline, options.is_late, options.chunk_rows), tuple[bool, bool, int])
    assert_type((options.replication, options.max_lag), tuple[bool, int])
    assert_type(options.rate_limit, int | None)
    assert_type((options.lock_wait, options.cut_over_timeout), tuple[float, float])
    assert_type(options.verify, Verification)
    assert_type([Verification.CHECKSUM, Verification.STREAM], list[Verification])
    values = options.as_dict()
    assert_type(values, dict[str, Any])
    assert_type(MoveOptions.from_dict(values), MoveOptions)


def of_plan(plan: MovePlan) -> None:
    assert_type((plan.label, plan.labels), tuple[str, tuple[str, ...]])
    assert_type((plan.source, plan.target, plan.is_online), tuple[str, str, bool])
    assert_type((plan.rows, plan.bytes, plan.seconds), tuple[int, int, float])
    assert_type((plan.failures, plan.notes), tuple[tuple[str, ...], tuple[str, ...]])
    assert_type(plan.as_dict(), dict[str, Any])
    for table in plan.tables:
        assert_type(table, PlannedTable)
        assert_type((table.name, table.rows, table.bytes), tuple[str, int, int | None])
        assert_type(table.has_key, bool)


def of_status(status: MoveStatus) -> None:
    assert_type((status.label, status.labels), tuple[str, tuple[str, ...]])
    assert_type((status.source, status.target, status.home), tuple[str, str, str])
    assert_type((status.phase, status.gate, status.behind), tuple[str, str, int])
    assert_type(status.tables, tuple[dict[str, Any], ...])
    assert_type((status.options, status.slot), tuple[dict[str, Any] | None, dict[str, Any] | None])
    assert_type((status.created, status.updated), tuple[str | None, str | None])
    assert_type(status.as_dict(), dict[str, Any])


def of_phases() -> None:
    there = [Phase.PREPARING, Phase.COPYING, Phase.INDEXING, Phase.CATCHING_UP, Phase.VERIFYING]
    back = [Phase.CUTTING_OVER, Phase.MOVED, Phase.RETURNING, Phase.RETURNED]
    assert_type([*there, *back, Phase.FINALIZING, Phase.FINALIZED], list[Phase])


def of_comparing(error: MoveError) -> None:
    found = compare_app("driver", "default", "driver", timeout=5, stop=Event())
    assert_type(found, Comparison)
    assert_type((found.labels, found.source, found.target), tuple[tuple[str, ...], str, str])
    assert_type(found.rows, Mapping[str, int])
    assert_type(found.as_dict(), dict[str, Any])
    for item in found.differences_of("driver_trip"):
        assert_type(item, Difference)
        assert_type((item.table, item.is_cut), tuple[str, bool])
        assert_type((item.lower, item.upper), tuple[tuple[str, ...] | None, tuple[str, ...] | None])
        assert_type((item.giver_rows, item.taker_rows), tuple[int, int])
        assert_type(item.keys, tuple[tuple[str, ...], ...])
    assert_type(found.differences, tuple[Difference, ...])
    assert_type(error.exit_code, int)
