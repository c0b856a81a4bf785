"""Projects whose relations cross, with their databases made."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support import crossing
from tests.support.project import Project
from tests.support.servers import Server

ENGINES = ("sqlite", "postgres", "mariadb")


@dataclass(frozen=True)
class Tied:
    """A project, its engine, and where the database of each label is."""

    project: Project
    engine: str
    urls: dict[str, str]
    server: Server | None


@pytest.fixture(scope="module", params=ENGINES)
def tied(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    unique: Callable[[str], str],
) -> Iterator[Tied]:
    """A project on each engine, with tables."""
    yield from made(request, tmp_path_factory.mktemp("tied"), unique, request.param)


@pytest.fixture(scope="module")
def on_postgres(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    unique: Callable[[str], str],
) -> Iterator[Tied]:
    """The same on PostgreSQL alone."""
    yield from made(request, tmp_path_factory.mktemp("tied"), unique, "postgres")


def made(
    request: pytest.FixtureRequest, folder: Path, unique: Callable[[str], str], engine: str
) -> Iterator[Tied]:
    """Yield a project with its databases, which are gone afterwards."""
    server: Server | None = None if engine == "sqlite" else request.getfixturevalue(engine)
    names = {label: unique(label) for label in crossing.LABELS}
    if server is None:
        urls = {label: f"sqlite:///{folder / name}.sqlite3" for label, name in names.items()}
    else:
        urls = {label: server.url(name) for label, name in names.items()}
    project = Project(folder)
    crossing.write(project, urls)
    project.manage("db_init", "--all-apps", "--verbosity=0")
    yield Tied(project, engine, urls, server)
    if server is not None:
        for name in names.values():
            server.drop(name)
            if f"test_{name}" in server.databases():
                server.drop(f"test_{name}")
