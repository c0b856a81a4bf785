"""The plugin for pytest: rehearsals, and a fixture. It imports next to nothing until it is used."""

import os
from argparse import ArgumentTypeError
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

import pytest

from .naming import REHEARSE_VARIABLE
from .running import declare_test_run

if TYPE_CHECKING:
    from django.db.models import Model

OPTION_HELP = (
    "How APPDB_REHEARSE tells what it has found: text, json, or json:FILE, which shows the text and"
    " writes JSON to the file. Default is text."
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--appdb-report``, and say that this process runs tests: no settings are loaded yet."""
    declare_test_run()
    parser.getgroup("appdb_router").addoption(
        "--appdb-report",
        metavar="FORMAT",
        default="text",
        help="How APPDB_REHEARSE tells what it has found: text, json, or json:FILE, which shows the"
        " text and writes JSON to the file. Default is text.",
    )


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """Collect what is found, if the environment asks for a rehearsal."""
    if not os.environ.get(REHEARSE_VARIABLE):
        return
    from .rehearsal.pytest_reporting import RehearsalReporting
    from .rehearsal.report import Target

    try:
        target = Target.parse(config.getoption("--appdb-report"))
    except ArgumentTypeError as error:
        raise pytest.UsageError(f"--appdb-report: {error}") from None
    config.pluginmanager.register(RehearsalReporting(target), "appdb_router_rehearsal")


@pytest.fixture
def appdb_assert_num_queries() -> (
    "Callable[[Mapping[str | type[Model], int]], AbstractContextManager[None]]"
):
    """``assert_num_queries`` of ``appdb_router.testing``."""
    from .testing import assert_num_queries

    return assert_num_queries
