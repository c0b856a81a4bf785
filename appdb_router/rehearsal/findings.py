"""What a rehearsal finds, kept until it is collected; nothing here needs Django."""

from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any


class Kind(StrEnum):
    """What is broken by the split."""

    JOIN = "join"
    WRITE = "write"
    SQL = "sql"


@dataclass(frozen=True)
class Finding:
    """A query or a write that concerns several databases.

    ``models`` are labels, as ``"auth.User"``, and ``aliases`` their databases, side by side; a
    model is ``None`` where only its database is known. ``file`` and ``line`` are those of the
    project's code, ``""`` and 0 if none of it is involved. ``test`` is ``""`` outside of tests. No
    value of a query is in any of them.
    """

    kind: Kind
    models: tuple[str | None, ...]
    aliases: tuple[str, ...]
    message: str
    file: str
    line: int
    test: str = ""


@dataclass(frozen=True)
class Failure:
    """A test that failed: ``error`` is the class of the exception, at a line of the project.

    ``is_known`` tells whether the exception, or one that it came from, is what a finding is about.
    """

    test: str
    error: str
    file: str
    line: int
    is_known: bool


class Notes:
    """What was found since it was last taken away.

    ``test`` is the one that runs, and ``rehearsed`` what the rehearsal is about, once there is one.
    """

    def __init__(self) -> None:
        self.rehearsed: list[str] | None = None
        self.test = ""
        self._findings: list[Finding] = []

    def add(self, finding: Finding) -> None:
        """Note ``finding``, for the test that runs unless it names one."""
        self._findings.append(finding if finding.test else replace(finding, test=self.test))

    def take(self) -> list[Finding]:
        """Return the findings, and forget them."""
        found, self._findings = self._findings, []
        return found


# Of this process: other threads, such as those of a live server, work for the test that runs.
notes = Notes()


def as_data(item: Finding | Failure) -> dict[str, Any]:
    """Return plain data, which pytest-xdist can send between processes."""
    data = asdict(item)
    return {**data, "kind": str(data["kind"])} if "kind" in data else data


def finding_from(data: dict[str, Any]) -> Finding:
    """Return the finding that ``as_data`` made ``data`` of."""
    sides = {name: tuple(data[name]) for name in ("models", "aliases")}
    return Finding(**{**data, **sides, "kind": Kind(data["kind"])})
