"""Projects with an app in a move."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.support.moving import Moving, moving_project


@pytest.fixture(params=("postgres", "mariadb", "sqlite"))
def moving(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    unique: Callable[[str], str],
) -> Iterator[Moving]:
    """A project on each engine."""
    folder = tmp_path_factory.mktemp("moving")
    with moving_project(request, folder, unique, request.param) as found:
        yield found


@pytest.fixture
def on_postgres(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    unique: Callable[[str], str],
) -> Iterator[Moving]:
    """The same on PostgreSQL alone."""
    folder = tmp_path_factory.mktemp("moving")
    with moving_project(request, folder, unique, "postgres") as found:
        yield found
