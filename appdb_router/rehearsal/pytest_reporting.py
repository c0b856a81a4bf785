"""A rehearsal with pytest: what the tests of all workers have found, in one summary."""

from collections.abc import Generator
from typing import Any

import pytest

from .findings import Failure, as_data, finding_from, notes
from .report import Report, Target

# The attribute of a test's report that carries this from the workers of pytest-xdist.
_CARRIED = "appdb_rehearsal"


class RehearsalReporting:
    """A plugin that collects findings and failures, and shows them at the end."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._report = Report([])
        self._is_rehearsal = False

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[Any]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Put what was found onto the report of a test."""
        report = yield
        if notes.rehearsed is not None:
            failure = _failure(item, call) if report.failed else None
            carried = {
                "rehearsed": notes.rehearsed,
                "findings": [as_data(finding) for finding in notes.take()],
                "failure": failure and as_data(failure),
            }
            setattr(report, _CARRIED, carried)
        return report

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take what is on the report, which may be that of a worker."""
        carried = getattr(report, _CARRIED, None)
        if carried is None:
            return
        self._is_rehearsal = True
        self._report.rehearsed = carried["rehearsed"]
        for data in carried["findings"]:
            self._report.findings.append(finding_from({**data, "test": report.nodeid}))
        if carried["failure"]:
            self._report.failures.append(Failure(**carried["failure"]))

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Show the report."""
        if self._is_rehearsal:
            terminalreporter.section("rehearsal")
            terminalreporter.write_line(self._report.write(self._target))
        else:
            terminalreporter.write_line(
                "APPDB_REHEARSE is set, but nothing was rehearsed: no test ran with settings whose"
                " DATABASES build_databases() has made."
            )


def _failure(item: pytest.Item, call: pytest.CallInfo[Any]) -> Failure | None:
    # A test that was expected to fail and did not has failed without an exception.
    if call.excinfo is None:
        return None
    # It needs Django, which is loaded where there is a rehearsal.
    from .failing import failure_of

    return failure_of(item.nodeid, call.excinfo.value, call.excinfo.tb)
