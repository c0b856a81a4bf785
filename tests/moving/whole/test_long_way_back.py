"""The way back after a long time on the new database.

``APPDB_TEST_CHANGES`` says how many rows were written there; 720,000 are an hour of 200 a second.
"""

from __future__ import annotations

import json
import os

import pytest

from tests.moving.whole.conftest import Live
from tests.support.live_moves import ALL

CHANGES = int(os.environ.get("APPDB_TEST_CHANGES", "20000"))
# In transactions of many rows, by which a writer of our own comes to as many in reasonable time.
WRITES = (
    "INSERT INTO driver_trip (token, amount, payload)"
    " SELECT 'hour ' || n, n % 1000, jsonb_build_object('n', n) FROM generate_series(1, {third}) n",
    "UPDATE driver_trip SET amount = amount + 1, payload = payload || '{{\"later\": true}}'"
    " WHERE token LIKE 'hour %'",
    "DELETE FROM driver_trip WHERE token LIKE 'hour %' AND id % 3 = 0",
    "INSERT INTO driver_trip (token, amount, payload)"
    " SELECT 'more ' || n, 1, '{{}}' FROM generate_series(1, {third}) n",
)
NEXT = "INSERT INTO driver_trip (token, amount, payload) VALUES ('last', 0, '{}') RETURNING id"


@pytest.mark.slow
@pytest.mark.timeout(120 + CHANGES // 1000)
def test_an_hour_of_writes_comes_back(live: Live) -> None:
    """Nothing is lost, and no number is given twice."""
    project = live.project
    project.manage("db_move", "driver")
    for statement in WRITES:
        live.execute("driver", statement.format(third=CHANGES // 3))
    there = json.loads(project.python(ALL).stdout)
    [(highest,)] = live.fetch("driver", "SELECT max(id) FROM driver_trip")

    project.manage("db_move", "driver", "--rollback", timeout=100 + CHANGES // 1000)

    assert json.loads(project.python(ALL).stdout) == there
    sums = "SELECT count(*), sum(hashtextextended(t::text, 0)) FROM driver_trip t"
    assert live.fetch("default", sums) == live.fetch("driver", sums)
    [(number,)] = live.fetch("default", NEXT)
    assert isinstance(number, int)
    assert isinstance(highest, int)
    assert number > highest
