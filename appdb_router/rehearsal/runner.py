"""A rehearsal with Django's test runner, or with one that derives from it."""

import sys
from argparse import ArgumentParser
from typing import Any
from unittest import TestCase, TestResult, TestSuite

from django.core.management.base import CommandError, SystemCheckError
from django.test import runner
from django.test.runner import DiscoverRunner

from ..conf import rehearsed_aliases
from ..topology import get_topology
from .failing import failure_of
from .findings import Failure, Finding, notes
from .report import OPTION_HELP, Report, Target

__all__ = ["RehearsalRunner"]


class RehearsalRunner(DiscoverRunner):
    """Django's test runner; with ``APPDB_REHEARSE`` it reports what breaks.

    A rehearsal takes it by itself, and puts it in front of a ``TEST_RUNNER`` that derives from
    Django's. Without the variable it does what Django's does.
    """

    def __init__(self, *args: Any, appdb_report: Target | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._target = appdb_report or Target()
        if self.parallel > 1 and not _has_tblib() and rehearsed_aliases() is not None:
            raise CommandError(
                "Some tests of a rehearsal are expected to fail, and Django takes no failure from"
                " other processes without tblib. Install it (python -m pip install tblib), or leave"
                " out --parallel."
            )

    @classmethod
    def add_arguments(cls, parser: ArgumentParser) -> None:
        """Add ``--appdb-report`` to the options of Django's runner."""
        super().add_arguments(parser)
        parser.add_argument("--appdb-report", type=Target.parse, help=OPTION_HELP)

    def get_databases(self, suite: TestSuite) -> Any:
        """Return every routed alias, if the tests use a database at all."""
        # Whether it is serialized, by alias; the stubs have an earlier Django's type.
        databases: Any = super().get_databases(suite)
        if not databases or rehearsed_aliases() is None:
            return databases
        is_serialized = any(databases.values())
        return {**databases, **dict.fromkeys(get_topology().routed_aliases, is_serialized)}

    def get_resultclass(self) -> Any:
        """Return the class of results that the runner has anyway, with a note of each failure."""
        found: Any = super().get_resultclass()
        if rehearsed_aliases() is None:
            return found
        base: Any = found or self.test_runner.resultclass
        return type(base.__name__, (NotingResult, base), {})

    def run_checks(self, databases: Any) -> None:
        """Show which checks fail, and go on with the tests: they may well find more."""
        try:
            super().run_checks(databases)
        except SystemCheckError as error:
            if rehearsed_aliases() is None:
                raise
            sys.stderr.write(f"{error}\nThe tests are run all the same.\n")

    def suite_result(self, suite: TestSuite, result: Any, **kwargs: Any) -> int:
        """Write the report, and return how many tests failed."""
        rehearsed = rehearsed_aliases()
        if rehearsed is not None:
            noted: list[Failure] = getattr(result, "noted", [])
            report = Report(rehearsed, notes.take(), noted)
            sys.stdout.write(f"\n{report.write(self._target)}\n")
        return super().suite_result(suite, result, **kwargs)


def _has_tblib() -> bool:
    # Django imports it if it is there.
    return vars(runner)["tblib"] is not None


class NotingResult(TestResult):
    """Notes failures, and what other processes have found."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.noted: list[Failure] = []

    def addError(self, test: TestCase, err: Any) -> None:  # noqa: N802
        """Note an error of a test, or of a class of tests."""
        self._note(test, err)
        super().addError(test, err)

    def addFailure(self, test: TestCase, err: Any) -> None:  # noqa: N802
        """Note an assertion that failed."""
        self._note(test, err)
        super().addFailure(test, err)

    def addSubTest(self, test: TestCase, subtest: TestCase, err: Any) -> None:  # noqa: N802
        """Note the failure of a part of a test."""
        if err is not None:
            self._note(test, err)
        super().addSubTest(test, subtest, err)

    def addFindings(self, _test: TestCase, findings: list[Finding]) -> None:  # noqa: N802
        """Take over what another process has found: Django calls this by the name of an event."""
        for finding in findings:
            notes.add(finding)

    def _note(self, test: TestCase, err: Any) -> None:
        _, error, traceback = err
        self.noted.append(failure_of(test.id(), error, traceback))
