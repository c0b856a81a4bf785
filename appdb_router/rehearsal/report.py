"""The summary of a rehearsal: grouped by models, as text and as JSON; nothing here needs Django."""

import json
from argparse import ArgumentTypeError
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from .findings import Failure, Finding, Kind

OPTION_HELP = (
    "How APPDB_REHEARSE tells what it has found: text, json, or json:FILE, which shows the text and"
    " writes JSON to the file. Default is text."
)

_TITLES = {
    Kind.JOIN: "Queries that join or combine tables across databases (CrossingQueryError)",
    Kind.WRITE: "Writes that the open transaction does not cover (UncoveredWriteError)",
    Kind.SQL: "SQL that names tables of another database",
}
_NOWHERE = "(no line of the project)"

Item = TypeVar("Item")


@dataclass(frozen=True)
class Target:
    """Where a report goes: JSON to the terminal or to ``path``, or else text."""

    is_json: bool = False
    path: str | None = None

    @classmethod
    def parse(cls, text: str) -> "Target":
        """Return what the value of the option asks for; raises ``ArgumentTypeError``."""
        name, colon, path = text.partition(":")
        if name == "json" and bool(path) == bool(colon):
            return cls(not path, path or None)
        if text == "text":
            return cls()
        raise ArgumentTypeError(f"{text!r} is not one of text, json or json:FILE.")


@dataclass
class Report:
    """What a rehearsal has found; ``rehearsed`` are the aliases that it was about."""

    rehearsed: list[str]
    findings: list[Finding] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)

    def other_failures(self) -> list[Failure]:
        """Return the failures of tests in which nothing was found."""
        tests = {finding.test for finding in self.findings}
        return [item for item in self.failures if not item.is_known and item.test not in tests]

    def as_dict(self) -> dict[str, Any]:
        """Return the report as ``--appdb-report=json`` shows it."""
        return {
            "rehearsed": self.rehearsed,
            "findings": [
                {
                    "kind": str(first.kind),
                    "models": list(first.models),
                    "databases": list(first.aliases),
                    "places": list(_places(group)),
                }
                for first, group in _grouped(self.findings, _sides)
            ],
            "failures": [
                {
                    "error": first.error,
                    "file": first.file or None,
                    "line": first.line or None,
                    "tests": sorted({item.test for item in group}),
                }
                for first, group in _grouped(self.other_failures(), _cause)
            ],
        }

    def as_json(self) -> str:
        """Return the report as a JSON document."""
        return json.dumps(self.as_dict(), indent=2)

    def write(self, target: Target) -> str:
        """Write the file that ``target`` names, and return what is for the terminal."""
        if target.path is None:
            return self.as_json() if target.is_json else "\n".join(self.lines())
        Path(target.path).write_text(self.as_json() + "\n", encoding="utf-8")
        return "\n".join([*self.lines(), "", f"The report is in {target.path}."])

    def lines(self) -> Iterator[str]:
        """Yield the report as text."""
        document = self.as_dict()
        for kind, title in _TITLES.items():
            groups = [item for item in document["findings"] if item["kind"] == kind]
            if groups:
                yield f"{title}:"
                for group in groups:
                    yield from _of_group(group)
                yield ""
        if document["failures"]:
            yield "Other failures; run the tests without APPDB_REHEARSE to see which are old:"
            for item in document["failures"]:
                yield f"  {item['error']}, {_shown(item)}"
                yield from (f"    {test}" for test in item["tests"])
            yield ""
        yield self._verdict()

    def _verdict(self) -> str:
        places = len({(item.file, item.line) for item in self.findings})
        split = f"with databases of their own for {', '.join(self.rehearsed)}"
        if not places and not self.failures:
            return f"Nothing breaks {split}."
        others = len(self.other_failures())
        return f"Lines that break {split}: {places}. Other failures: {others}."


def _of_group(group: dict[str, Any]) -> Iterator[str]:
    sides = zip(group["models"], group["databases"], strict=True)
    yield "  " + " and ".join(
        f"{model} ({alias!r})" if model else f"{_UNKNOWN[group['kind']]} {alias!r}"
        for model, alias in sides
    )
    for place in group["places"]:
        tests = len(place["tests"])
        where = f"in {_counted(tests, 'test')}" if tests else "outside of tests"
        yield f"    {_shown(place)}, {_counted(place['count'], 'time')} {where}"
        yield f"      {place['message']}"


_UNKNOWN = {Kind.JOIN: "a query on", Kind.WRITE: "atomic() on", Kind.SQL: "SQL on"}


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _shown(place: dict[str, Any]) -> str:
    return f"{place['file']}:{place['line']}" if place["file"] else _NOWHERE


def _places(findings: Iterable[Finding]) -> Iterator[dict[str, Any]]:
    for first, group in _grouped(findings, lambda item: (item.file, item.line, item.message)):
        yield {
            "file": first.file or None,
            "line": first.line or None,
            "count": len(group),
            "tests": sorted({item.test for item in group if item.test}),
            "message": first.message,
        }


def _sides(finding: Finding) -> Any:
    return [*_TITLES].index(finding.kind), str(finding.models), finding.aliases


def _cause(failure: Failure) -> Any:
    return failure.file, failure.line, failure.error


def _grouped(items: Iterable[Item], key: Any) -> list[tuple[Item, list[Item]]]:
    """Return the items with an equal key together, sorted by it, the first of each beside them."""
    groups: dict[Any, list[Item]] = {}
    for item in items:
        groups.setdefault(key(item), []).append(item)
    return [(groups[name][0], groups[name]) for name in sorted(groups)]
