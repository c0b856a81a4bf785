"""The setting ``APPDB_ROUTER``."""

from __future__ import annotations

from typing import Any

from tests.support.facts import ask
from tests.support.project import Project

ASKING = """
    import os
    from django.test import override_settings
    from appdb_router import conf

    for number, (function, setting, variable) in enumerate({cases!r}):
        os.environ["WEB_CONCURRENCY"] = variable
        with override_settings(APPDB_ROUTER=setting):
            fact(str(number))(getattr(conf, function))
    del os.environ["WEB_CONCURRENCY"]
    fact("unset")(conf.worker_count)
"""


def answers(project: Project, *cases: tuple[str, Any, str]) -> list[Any]:
    facts = ask(project, ASKING.format(cases=cases))
    assert facts.pop("unset") == 1
    return list(facts.values())


def test_workers_and_threads(project: Project) -> None:
    assert answers(
        project,
        ("worker_count", {}, ""),
        ("worker_count", {}, " "),
        ("worker_count", {}, "3"),
        ("worker_count", {"WORKERS": 4}, "3"),
        ("worker_count", {"WORKERS": 4}, "x"),
        ("thread_count", {"WORKERS": 4}, "3"),
        ("thread_count", {"THREADS": 5}, ""),
    ) == [1, 1, 3, 4, 4, 1, 5]


def test_the_reaction_of_the_transaction_guard(project: Project) -> None:
    assert answers(
        project,
        ("guard_reaction", {}, ""),
        ("guard_reaction", {"TRANSACTION_GUARD": "off"}, ""),
        ("guard_reaction", {"TRANSACTION_GUARD": "warn"}, ""),
        ("guard_reaction", {"TRANSACTION_GUARD": "raise"}, ""),
    ) == [None, None, "warn", "raise"]


def test_what_makes_no_sense(project: Project) -> None:
    variable = 'Make it a whole number from 1 up, or set APPDB_ROUTER = {"WORKERS": ...}.'
    count = "Make it a whole number from 1 up."
    guard = "Make it one of 'off', 'raise', 'warn'."
    expected = [
        f"The environment variable WEB_CONCURRENCY is '0'. {variable}",
        f"The environment variable WEB_CONCURRENCY is '²'. {variable}",
        f"APPDB_ROUTER['WORKERS'] is 0. {count}",
        f"APPDB_ROUTER['THREADS'] is True. {count}",
        f"APPDB_ROUTER['THREADS'] is '2'. {count}",
        "APPDB_ROUTER is 4. Make it a dict.",
        "APPDB_ROUTER has no 'WORKER'. The keys are 'CIRCUIT_BREAKER', 'THREADS',"
        " 'TRANSACTION_GUARD', 'WORKERS'.",
        *(f"APPDB_ROUTER['TRANSACTION_GUARD'] is {value}. {guard}" for value in ("True", "[]")),
    ]

    assert answers(
        project,
        ("worker_count", {}, "0"),
        ("worker_count", {}, "²"),
        ("worker_count", {"WORKERS": 0}, "2"),
        ("thread_count", {"THREADS": True}, ""),
        ("thread_count", {"THREADS": "2"}, ""),
        ("thread_count", 4, ""),
        ("worker_count", {"WORKER": 4}, ""),
        ("guard_reaction", {"TRANSACTION_GUARD": True}, ""),
        ("guard_reaction", {"TRANSACTION_GUARD": []}, ""),
    ) == [f"ConfigurationError: {message}" for message in expected]
