"""gunicorn and uvicorn under load on PostgreSQL: no leaked session, no cross-talk, no lost row."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.conftest import Role
from tests.support.load.client import visit_all
from tests.support.load.deployments import deployments
from tests.support.load.project import LABELS, ThreeApps
from tests.support.load.servers import serve, wait_for
from tests.support.load.writing import writes, wrong_answers, wrong_rows
from tests.support.project import Project
from tests.support.servers import Server

pytestmark = [pytest.mark.once, pytest.mark.slow]

CLIENTS = 8
WORKERS = 2
WRITES = 72
DEPLOYMENTS = deployments(WORKERS, threads=3, clients=CLIENTS)


@pytest.fixture
def three_apps(
    project: Project,
    postgres: Server,
    database_name: Callable[[str], str],
    role: Callable[..., Role],
) -> ThreeApps:
    owner = role(postgres)
    names = {label: database_name(label) for label in LABELS}
    apps = ThreeApps(project, postgres, names, owner.name, owner.password)
    apps.write()
    apps.create_databases()
    return apps


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_a_loaded_server_answers_rightly_and_leaks_nothing(
    three_apps: ThreeApps, name: str
) -> None:
    deployment = DEPLOYMENTS[name]
    three_apps.configure(deployment.parameters)
    # The database itself refuses a session too many, and then an answer is wrong.
    three_apps.limit_sessions(deployment.budget)
    planned = [*writes("key", WRITES)]

    with serve(three_apps.project, deployment.command) as server:
        answers = visit_all(server.url, [write.visit for write in planned], CLIENTS)

        assert wrong_answers(three_apps, planned, answers) == []
        assert len(answers) == WRITES
        assert wrong_rows(three_apps, planned, answers) == []
        assert three_apps.settle(deployment.kept) <= deployment.kept
        assert server.stop() == 0
        assert "Traceback" not in server.log
    assert three_apps.settle(0) == 0
    # uvicorn's workers end by the signal, and their connections with them.
    if "gunicorn" in name:
        assert three_apps.lost_sessions() == 0


@pytest.mark.parametrize("name", ["gunicorn, pool, preloaded", "uvicorn, pool"])
def test_a_killed_worker_is_replaced_and_nothing_acknowledged_is_lost(
    three_apps: ThreeApps, name: str
) -> None:
    deployment = DEPLOYMENTS[name]
    three_apps.configure(deployment.parameters)
    before, after = [*writes("before", WRITES)], [*writes("after", WRITES // 3)]

    with serve(three_apps.project, deployment.command) as server, ThreadPoolExecutor() as threads:
        load = threads.submit(visit_all, server.url, [write.visit for write in before], CLIENTS)
        wait_for(lambda: len(three_apps.rows(LABELS[0])) > WRITES / 10)
        os.kill(server.workers[0], signal.SIGKILL)
        answers = load.result()
        answered = [answer for answer in answers if answer.status is not None]
        wait_for(lambda: len(server.workers) == WORKERS + 1)
        later = visit_all(server.url, [write.visit for write in after], CLIENTS)

        assert wrong_answers(three_apps, before, answered) == []
        assert wrong_answers(three_apps, after, later) == []
        assert len(answers) == len(before)
        assert len(later) == len(after)
        assert wrong_rows(three_apps, [*before, *after], [*answers, *later]) == []
        assert three_apps.settle(0) == 0
