"""The way there and back, with processes that write all the time."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from tests.support.live_moves import moving_project, writing
from tests.support.project import Project
from tests.support.servers import Server


@pytest.fixture
def live(project: Project, postgres: Server, database_name: Callable[[str], str]) -> Project:
    urls = {label: postgres.url(database_name(label)) for label in ("default", "driver")}
    return moving_project(project, urls)


def state(project: Project) -> tuple[str, str]:
    """Return the phase of the move, and where the app is at home."""
    found = json.loads(project.manage("db_move", "driver", "--status", "--format", "json").stdout)
    return found["phase"], found["home"]


@pytest.mark.slow
def test_there_and_back(live: Project) -> None:
    """Nothing acknowledged is lost or doubled, on the way there, back, and there again."""
    assert "Nothing stands in the way." in live.manage("db_move", "driver", "--plan").stdout
    assert state(live) == ("not begun", "default")
    with writing(live) as writers:
        there = live.manage("db_move", "driver")
        before = writers.written()
        assert state(live) == ("moved", "driver")
        back = live.manage("db_move", "driver", "--rollback")
        assert state(live) == ("returned", "default")
        again = live.manage("db_move", "driver", "--restart", "--noinput")
        assert writers.written() > before
    for result in (there, back, again):
        assert "Comparing all rows" in result.stdout
    live.manage("db_move", "driver", "--finalize", "--noinput")
    assert state(live) == ("finalized", "driver")
