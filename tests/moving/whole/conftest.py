"""A project whose app is about to move, made once and copied for each test."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.live_moves import moving_project
from tests.support.project import Project
from tests.support.servers import Server

LABELS = ("default", "driver")


@dataclass(frozen=True)
class Live:
    """A project, the server of both of its databases, and their names by alias."""

    project: Project
    server: Server
    names: dict[str, str]

    def execute(self, alias: str, sql: str) -> None:
        """Run a statement past the project."""
        self.server.execute(sql, database=self.names[alias])

    def fetch(self, alias: str, sql: str) -> list[tuple[object, ...]]:
        """Run a query past the project."""
        return self.server.fetch(sql, database=self.names[alias])


@pytest.fixture(scope="session")
def seeded(
    postgres: Server, unique: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Live]:
    """What each test gets a copy of."""
    names = {label: unique(label) for label in LABELS}
    project = Project(tmp_path_factory.mktemp("moving"))
    try:
        moving_project(project, {label: postgres.url(name) for label, name in names.items()})
        yield Live(project, postgres, names)
    finally:
        for name in names.values():
            postgres.drop(name)


@pytest.fixture
def live(
    seeded: Live, postgres: Server, database_name: Callable[[str], str], tmp_path: Path
) -> Live:
    """A project on PostgreSQL whose app `driver` is about to move to a database of its own."""
    names = {label: database_name(label) for label in LABELS}
    for label, name in names.items():
        template = postgres.quote(seeded.names[label])
        postgres.execute(f"CREATE DATABASE {postgres.quote(name)} TEMPLATE {template}")
    folder = tmp_path / "moving"
    shutil.copytree(seeded.project.root, folder)
    project = Project(folder)
    project.installed_apps = seeded.project.installed_apps
    project.env = {
        "DATABASE_URL": postgres.url(names["default"]),
        "DRIVER_DATABASE_URL": postgres.url(names["driver"]),
        "DRIVER_DATABASE_MOVE_FROM": "default",
    }
    return Live(project, postgres, names)
