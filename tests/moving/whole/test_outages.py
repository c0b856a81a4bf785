"""A server goes away in the middle of a move, and comes back."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from tests.support.embedded import Cluster
from tests.support.live_moves import ALL, moving_project
from tests.support.project import Project
from tests.support.servers import Server
from tests.support.silence import Link

MOVE = ("db_move", "driver")
# Slowly, so that there is time to do harm between two chunks.
SLOWLY = ("--chunk-rows", "20", "--rate-limit", "20000", "--format", "json")
CUT = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = '{name}' AND pid <> pg_backend_pid()
"""


def begin(
    folder: Path, servers: Mapping[str, Server], database_name: Callable[[str], str]
) -> tuple[Project, dict[str, str], object]:
    """Make a project on the `servers` of its labels; return it, its databases, and its rows."""
    names = {label: database_name(label) for label in servers}
    urls = {label: server.url(names[label]) for label, server in servers.items()}
    project = moving_project(Project(folder), urls, rows=300)
    return project, names, json.loads(project.python(ALL).stdout)


@pytest.mark.slow
@pytest.mark.parametrize("fragile_label", ["default", "driver"])
@pytest.mark.parametrize("phase", ["copying", "verifying"])
def test_a_server_is_killed_and_connections_are_cut(
    tmp_path: Path,
    postgres: Server,
    fragile: tuple[Server, Cluster],
    database_name: Callable[[str], str],
    fragile_label: str,
    phase: str,
) -> None:
    server, cluster = fragile
    servers = {"default": postgres, "driver": postgres, fragile_label: server}
    project, names, before = begin(tmp_path, servers, database_name)

    def cut() -> None:
        server.execute(CUT.format(name=names[fragile_label]))

    for number, harm in enumerate((cluster.kill, cut)):
        process = project.popen(*MOVE, *(("--resume",) if number else ()), *SLOWLY)
        assert process.stdout is not None
        for line in process.stdout:
            event = json.loads(line)
            if event["event"] == "copied" or event.get("phase") in {phase, "verifying"}:
                break
        harm()
        _, stderr = process.communicate(timeout=60)
        if not cluster.is_there():
            cluster.start()
        if process.returncode:
            assert process.returncode == 1, stderr
            assert "--resume" in stderr
    project.manage(*MOVE, "--resume", *SLOWLY, check=False)
    found = project.manage(*MOVE, "--status", "--format", "json").stdout
    assert json.loads(found)["home"] == "driver"
    assert json.loads(project.python(ALL).stdout) == before
    server.drop(names[fragile_label])


@pytest.mark.once
@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("far_label", ["default", "driver"])
def test_the_network_goes_silent(
    tmp_path: Path,
    postgres: Server,
    far_server: tuple[Server, Link],
    database_name: Callable[[str], str],
    far_label: str,
) -> None:
    """Nothing arrives any more, and nothing says so: the servers see no end of a connection."""
    server, link = far_server
    servers = {"default": postgres, "driver": postgres, far_label: server}
    project, names, before = begin(tmp_path, servers, database_name)
    process = project.popen(*MOVE, *SLOWLY)
    assert process.stdout is not None
    for line in process.stdout:
        if json.loads(line)["event"] == "copied":
            break

    link.silence()
    try:
        _, stderr = process.communicate(timeout=90)
    finally:
        link.restore()

    assert process.returncode == 1, stderr
    assert "--resume" in stderr
    project.manage(*MOVE, "--resume", *SLOWLY)
    assert json.loads(project.python(ALL).stdout) == before
    server.drop(names[far_label])
