"""The part of Django's own tests that relations touch, in the tests of this package."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.support.project import REPOSITORY, bare_environment, describe


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_django_gives_the_same_results_with_the_hooks() -> None:
    result = subprocess.run(
        [sys.executable, "-m", "tests.suites"],
        cwd=REPOSITORY,
        env=bare_environment(),
        capture_output=True,
        encoding="utf-8",
        check=False,
    )

    assert result.returncode == 0, describe(result)
    assert " tests, " in result.stdout
