"""The way there with a replication slot in the place of triggers, with processes that write."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import Any

import pytest

from tests.moving.test_move_kills import KILLS, LOCKS, RUNS
from tests.support.live_moves import moving_project, writing
from tests.support.project import Project
from tests.support.servers import Server


@pytest.fixture
def live(
    project: Project, logical: Server, postgres: Server, database_name: Callable[[str], str]
) -> Project:
    servers = {"default": logical, "driver": postgres}
    return moving_project(
        project, {label: server.url(database_name(label)) for label, server in servers.items()}
    )


def status(project: Project) -> dict[str, Any]:
    found = project.manage("db_move", "driver", "--status", "--format", "json").stdout
    return dict(json.loads(found))


LEFT = """
    SELECT 'slot', slot_name::text FROM pg_replication_slots
    UNION ALL SELECT 'trigger', tgname::text FROM pg_trigger WHERE tgname LIKE 'appdb_router_cap%'
    UNION ALL SELECT 'publication', pubname::text FROM pg_publication
"""


def left(project: Project, server: Server) -> list[tuple[str, str]]:
    """Return what is left of listening at the source."""
    name = project.env["DATABASE_URL"].rpartition("/")[2]
    return [(str(kind), str(found)) for kind, found in server.fetch(LEFT, database=name)]


@pytest.mark.slow
def test_there_and_back_with_a_slot(live: Project, logical: Server) -> None:
    """Nothing acknowledged is lost or doubled, and no slot stays behind."""
    plan = live.manage("db_move", "driver", "--plan", "--replication").stdout
    assert "Note: A replication slot makes the server of 'default' keep its write-ahead log" in plan
    assert "Nothing stands in the way." in plan
    with writing(live) as writers:
        there = live.manage("db_move", "driver", "--replication")
        before = writers.written()
        assert status(live)["home"] == "driver"
        assert left(live, logical) == []
        back = live.manage("db_move", "driver", "--rollback")
        assert status(live)["home"] == "default"
        again = live.manage("db_move", "driver", "--restart", "--noinput", "--replication")
        assert writers.written() > before
    print(there.stdout, back.stdout, again.stdout)
    assert status(live)["slot"] is None
    live.manage("db_move", "driver", "--finalize", "--noinput")
    assert left(live, logical) == []


@pytest.mark.slow
@pytest.mark.timeout(120 + 20 * KILLS)
def test_killed_at_any_moment_with_a_slot(live: Project, logical: Server) -> None:
    """The slot is there as long as it is needed, whatever moment it is, and no longer."""
    seed = int.from_bytes(os.urandom(4))
    code = RUNS.format(kills=KILLS, seed=seed, options=["--replication"])
    with writing(live):
        result = live.python(code, timeout=100 + 20 * KILLS, check=False)
        assert result.returncode == 0, (seed, result.stdout, result.stderr)
    print(result.stdout)
    assert left(live, logical) == []
    name = live.env["DATABASE_URL"].rpartition("/")[2]
    assert logical.fetch(LOCKS.format(name=name)) == [], seed
