"""Groups of apps that live together."""

from __future__ import annotations

from typing import Any

import pytest

from appdb_router.exceptions import ConfigurationError
from appdb_router.groups import Groups

CORE = ["admin", "auth", "contenttypes"]


def groups(labels: list[str], **arguments: Any) -> dict[str, list[str]]:
    """Return the members by leader."""
    found = Groups(labels, **{"auth_user_model": "auth.User", **arguments})
    leaders = dict.fromkeys(map(found.leader_of, labels))
    return {leader: list(found.members(leader)) for leader in leaders}


@pytest.mark.parametrize(
    ("labels", "arguments", "expected"),
    [
        ([], {}, {}),
        (["a", "b"], {}, {"a": ["a"], "b": ["b"]}),
        (CORE, {}, {"auth": ["auth", "admin", "contenttypes"]}),
        (["a", *CORE], {}, {"a": ["a"], "auth": ["auth", "admin", "contenttypes"]}),
        (
            ["users", *CORE],
            {"auth_user_model": "users.User"},
            {"auth": ["auth", "users", "admin", "contenttypes"]},
        ),
        (["users"], {"auth_user_model": "users.User"}, {"users": ["users"]}),
        (
            ["contenttypes", "admin", "users"],
            {"auth_user_model": "users.User"},
            {"contenttypes": ["contenttypes", "admin", "users"]},
        ),
        (["contenttypes", "a"], {}, {"contenttypes": ["contenttypes"], "a": ["a"]}),
        (
            ["c", "b", "a", "d"],
            {"together": {"b": ["a", "c"]}},
            {"b": ["b", "c", "a"], "d": ["d"]},
        ),
        (["a", "b"], {"together": {"a": ["b", "b", "a"]}}, {"a": ["a", "b"]}),
        (["a", "b"], {"together": {"a": []}}, {"a": ["a"], "b": ["b"]}),
        (["a", "b"], {"together": {"a": iter(["b"])}}, {"a": ["a", "b"]}),
        (
            ["a", *CORE],
            {"together": {"auth": ["a"]}},
            {"auth": ["auth", "a", "admin", "contenttypes"]},
        ),
        (
            ["a", "b", "c", "d"],
            {"together": {"a": ["c"], "b": ["d"]}},
            {"a": ["a", "c"], "b": ["b", "d"]},
        ),
    ],
)
def test_good(labels: list[str], arguments: dict[str, Any], expected: dict[str, list[str]]) -> None:
    assert groups(labels, **arguments) == expected


JOIN = "together= puts {} under {}, but some of them are in the group of {} already. Write one"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"together": {"aple": ["pear"]}},
            "together= names the label 'aple', which no installed app has. Did you mean 'apple'?",
        ),
        (
            {"together": {"apple": ["xyz"]}},
            "together= names the label 'xyz', which no installed app has. The labels are 'admin',"
            " 'apple', 'auth', 'contenttypes', 'fig', 'pear'.",
        ),
        (
            {"together": {"apple": "pear"}},
            "together={'apple': ...} takes a list of labels.",
        ),
        (
            {"together": {"apple": ["pear"], "pear": ["fig"]}},
            JOIN.format("'fig', 'pear'", "'pear'", "'apple'")
            + " group: together={'apple': [...]}.",
        ),
        (
            {"together": {"apple": ["pear"], "fig": ["apple"]}},
            JOIN.format("'apple', 'fig'", "'fig'", "'apple'")
            + " group: together={'apple': [...]}.",
        ),
        (
            {"together": {"apple": ["pear"], "fig": ["pear"]}},
            JOIN.format("'fig', 'pear'", "'fig'", "'apple'") + " group: together={'apple': [...]}.",
        ),
        (
            {"together": {"apple": ["admin"]}},
            JOIN.format("'admin', 'apple'", "'apple'", "'auth'")
            + " group: together={'auth': [...]}.",
        ),
        (
            {"together": {"admin": ["apple"]}},
            JOIN.format("'admin', 'apple'", "'admin'", "'auth'")
            + " group: together={'auth': [...]}.",
        ),
        (
            {"auth_user_model": "acounts.User"},
            "AUTH_USER_MODEL names the label 'acounts', which no installed app has. The labels are"
            " 'admin', 'apple', 'auth', 'contenttypes', 'fig', 'pear'.",
        ),
        *(
            (
                {"auth_user_model": model},
                f"auth_user_model is {model!r}, and must be 'app_label.ModelName'.",
            )
            for model in ("", "User", ".User", "auth.")
        ),
    ],
)
def test_bad(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        groups(["apple", "pear", "fig", *CORE], **arguments)

    assert str(raised.value) == message


def test_a_user_model_of_nobody_is_fine_without_auth() -> None:
    assert groups(["contenttypes", "a"]) == {"contenttypes": ["contenttypes"], "a": ["a"]}
