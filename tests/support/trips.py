"""A project with an app `driver`, the users and the rest in three databases."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.support.project import Project
from tests.support.servers import Server

MODELS = "class Trip(models.Model):\n    name = models.CharField(max_length=20, unique=True)\n"
NOTES = "class Note(models.Model):\n    text = models.CharField(max_length=20)\n"
LABELS = ("auth", "default", "driver")


def trips_project(
    project: Project,
    request: pytest.FixtureRequest,
    server: str,
    database_name: Callable[[str], str],
) -> Project:
    """Give the apps their databases on the fixture `server`, or on SQLite, and make them."""
    project.app("driver", models=MODELS)
    project.app("notes", models=NOTES)
    project.makemigrations("driver", "notes")
    for label in LABELS:
        variable = "DATABASE_URL" if label == "default" else f"{label.upper()}_DATABASE_URL"
        project.env[variable] = _url(request, server, label, database_name)
    project.manage("db_init", "--all-apps")
    return project


def _url(
    request: pytest.FixtureRequest, server: str, label: str, database_name: Callable[[str], str]
) -> str:
    if server == "sqlite":
        return f"sqlite:///{label}.sqlite3"
    found: Server = request.getfixturevalue(server)
    return found.url(database_name(label))
