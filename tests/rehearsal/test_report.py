"""The summary: what is grouped, and what counts as another failure."""

from __future__ import annotations

import json
import pickle
from argparse import ArgumentTypeError
from pathlib import Path

import pytest

from appdb_router.exceptions import CrossingQueryError
from appdb_router.rehearsal.findings import Failure, Finding, Kind, Notes, as_data, finding_from
from appdb_router.rehearsal.report import Report, Target

MODELS = ("driver.Trip", "auth.User")
ALIASES = ("driver", "default")


def finding(line: int, test: str = "", kind: Kind = Kind.JOIN) -> Finding:
    models = MODELS if kind is Kind.JOIN else (None, "auth.User")
    return Finding(kind, models, ALIASES, f"message {line}", "views.py" if line else "", line, test)


def failure(test: str, line: int, *, is_known: bool = False) -> Failure:
    return Failure(test, "AssertionError", "tests.py", line, is_known)


def test_places_are_counted_in_their_order() -> None:
    report = Report(["driver", "auth"])
    report.findings += [
        finding(10, "b"),
        finding(9, "b"),
        finding(10, "a"),
        finding(10, "a"),
        finding(10),
        finding(0, kind=Kind.SQL),
    ]
    report.failures += [
        failure("a", 1),
        failure("c", 3),
        failure("d", 2, is_known=True),
        failure("e", 3),
    ]

    assert list(report.lines()) == [
        "Queries that join or combine tables across databases (CrossingQueryError):",
        "  driver.Trip ('driver') and auth.User ('default')",
        "    views.py:9, 1 time in 1 test",
        "      message 9",
        "    views.py:10, 4 times in 2 tests",
        "      message 10",
        "",
        "SQL that names tables of another database:",
        "  SQL on 'driver' and auth.User ('default')",
        "    (no line of the project), 1 time outside of tests",
        "      message 0",
        "",
        "Other failures; run the tests without APPDB_REHEARSE to see which are old:",
        "  AssertionError, tests.py:3",
        "    c",
        "    e",
        "",
        "Lines that break with databases of their own for driver, auth: 3. Other failures: 2.",
    ]


def test_only_failures() -> None:
    report = Report(["driver"], failures=[failure("a", 1, is_known=True)])

    assert list(report.lines()) == [
        "Lines that break with databases of their own for driver: 0. Other failures: 0."
    ]


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("text", Target()),
        ("json", Target(is_json=True)),
        ("json:a:b.json", Target(path="a:b.json")),
    ],
)
def test_targets(text: str, target: Target) -> None:
    assert Target.parse(text) == target


@pytest.mark.parametrize("text", ["", "xml", "json:", "text:", "text:a", "jsonl"])
def test_no_target(text: str) -> None:
    with pytest.raises(ArgumentTypeError) as raised:
        Target.parse(text)

    assert str(raised.value) == f"{text!r} is not one of text, json or json:FILE."


def test_the_file_has_what_the_terminal_would_have(tmp_path: Path) -> None:
    report = Report(["driver"], findings=[finding(1, "a")])
    path = tmp_path / "report.json"

    text = report.write(Target(path=str(path)))

    assert path.read_text(encoding="utf-8") == report.write(Target(is_json=True)) + "\n"
    assert text == report.write(Target()) + f"\n\nThe report is in {path}."


def test_the_way_between_processes() -> None:
    notes = Notes()
    notes.test = "now"
    notes.add(finding(1))
    notes.add(finding(2, "earlier"))
    found = notes.take()

    assert [item.test for item in found] == ["now", "earlier"]
    assert notes.take() == []
    assert [finding_from(json.loads(json.dumps(as_data(item)))) for item in found] == found
    error = pickle.loads(pickle.dumps(CrossingQueryError("message", MODELS)))  # noqa: S301
    assert (str(error), error.models) == ("message", MODELS)
    assert as_data(failure("a", 1))["line"] == 1
