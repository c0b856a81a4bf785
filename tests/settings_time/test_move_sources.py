"""``<LABEL>_DATABASE_MOVE_FROM``: from where an app is moved, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from appdb_router.databases import METADATA
from appdb_router.exceptions import ConfigurationError
from tests.settings_time.conftest import POSTGRES, Builder, metadata

APPS: dict[str, str | None] = {"driver": None, "invoices": None, "crm": None}
URL = {"DRIVER_DATABASE_URL": POSTGRES + "driver"}
FROM = "DRIVER_DATABASE_MOVE_FROM"
ELSEWHERE = "postgresql://app:hidden@db9/old"


def moves(databases: dict[str, dict[str, Any]]) -> dict[str, Any]:
    return {alias: entry["move"] for alias, entry in metadata(databases).items() if "move" in entry}


@pytest.mark.parametrize("value", ["default", " default "])
def test_from_an_alias(build: Builder, value: str) -> None:
    found = build(APPS, {**URL, FROM: value})

    assert moves(found) == {"driver": {"source": "default", "variable": FROM}}
    assert found.keys() == {"default", "driver"}
    assert found["driver"][METADATA]["labels"] == ["driver"]


def test_from_the_database_of_another_group(build: Builder) -> None:
    env = {**URL, "CRM_DATABASE_URL": POSTGRES + "crm", FROM: "invoices"}

    found = build(APPS, env, together={"crm": ["invoices"]})

    assert moves(found) == {"driver": {"source": "crm", "variable": FROM}}


def test_from_a_url(build: Builder) -> None:
    found = build(APPS, {**URL, FROM: ELSEWHERE + "?pool_size=3"})

    assert moves(found) == {"driver": {"source": "driver_source", "variable": FROM}}
    source = found["driver_source"]
    assert source[METADATA] == {
        "canonical": "driver_source",
        "labels": [],
        "source": {"kind": "environment", "name": FROM},
    }
    assert (source["HOST"], source["NAME"], source["TEST"]) == ("db9", "old", {"DEPENDENCIES": []})
    assert source["OPTIONS"]["pool"]["max_size"] == 3
    assert "hidden" not in str(found["driver"])


def test_back_to_the_default(build: Builder) -> None:
    found = build(APPS, {"DRIVER_DATABASE_URL": POSTGRES + "main", FROM: ELSEWHERE})

    assert moves(found) == {"driver": {"source": "driver_source", "variable": FROM}}
    assert found["driver"][METADATA]["canonical"] == "default"


def test_a_url_of_a_known_database_is_its_alias(build: Builder) -> None:
    env = {**URL, "CRM_DATABASE_URL": ELSEWHERE, FROM: ELSEWHERE}

    found = build(APPS, env)

    assert found["driver_source"][METADATA]["canonical"] == "crm"
    assert found["driver_source"]["TEST"] == {"MIRROR": "crm"}


@pytest.mark.parametrize("member", ["driver", "invoices"])
def test_any_member_of_a_group_may_say_it(build: Builder, member: str) -> None:
    variable = f"{member.upper()}_DATABASE_MOVE_FROM"

    found = build(APPS, {**URL, variable: "default"}, together={"driver": ["invoices"]})

    assert moves(found) == {"driver": {"source": "default", "variable": variable}}


@pytest.mark.parametrize("value", ["", "  "])
def test_empty_is_unset(build: Builder, value: str) -> None:
    assert moves(build(APPS, {FROM: value, "DATABASE_MOVE_FROM": value})) == {}


@pytest.mark.parametrize(
    ("env", "arguments", "expected"),
    [
        (
            {FROM: "default"},
            {},
            f"{FROM} is set, but driver has no database of its own to move to. Set"
            f" DRIVER_DATABASE_URL, or remove {FROM}.",
        ),
        (
            {**URL, FROM: "defualt"},
            {},
            f"{FROM} is 'defualt', which is neither the alias of a database nor a URL. Did you mean"
            " 'default'?",
        ),
        (
            {**URL, FROM: "crm"},
            {},
            f"{FROM} is 'crm', an app without a database of its own. Write 'default', where it"
            " lives.",
        ),
        (
            {**URL, FROM: "driver"},
            {},
            f"{FROM} and the URL of 'driver' name one physical database. Let {FROM} name the one"
            " that the rows are in, or remove it.",
        ),
        (
            {"DRIVER_DATABASE_URL": "postgresql://localhost/a", FROM: "postgresql://127.0.0.1/a"},
            {},
            f"{FROM} and the URL of 'driver' name one physical database. Let {FROM} name the one"
            " that the rows are in, or remove it.",
        ),
        (
            {**URL, FROM: "default", "INVOICES_DATABASE_MOVE_FROM": ELSEWHERE},
            {"together": {"driver": ["invoices"]}},
            f"{FROM} and INVOICES_DATABASE_MOVE_FROM differ, but driver, invoices move together."
            " Keep one of them, or make them equal.",
        ),
        (
            {**URL, "DRIVR_DATABASE_MOVE_FROM": "default"},
            {},
            "The environment variable 'DRIVR_DATABASE_MOVE_FROM' belongs to no installed app. Did"
            f" you mean '{FROM}'? If it is another program's, pass"
            " ignore=('DRIVR_DATABASE_MOVE_FROM',) to build_databases().",
        ),
        (
            {**URL, "DRIVER_DATABASE_MOV_FROM": "default"},
            {},
            "The environment variable 'DRIVER_DATABASE_MOV_FROM' belongs to no installed app. Did"
            f" you mean '{FROM}'? If it is another program's, pass"
            " ignore=('DRIVER_DATABASE_MOV_FROM',) to build_databases().",
        ),
        (
            {**URL, "DATABASE_MOVE_FROM": "default"},
            {},
            "The environment variable 'DATABASE_MOVE_FROM' names no app, and the default database"
            " is not moved. Write '<LABEL>_DATABASE_MOVE_FROM' with the label of the app.",
        ),
    ],
)
def test_what_is_refused(
    build: Builder, env: dict[str, str], arguments: dict[str, Any], expected: str
) -> None:
    with pytest.raises(ConfigurationError) as raised:
        build(APPS, env, **arguments)

    assert str(raised.value) == expected


def test_an_app_with_the_name_of_the_alias(build: Builder) -> None:
    with pytest.raises(ConfigurationError) as raised:
        build({**APPS, "driver_source": None}, {**URL, FROM: ELSEWHERE})

    assert str(raised.value) == (
        f"{FROM} is a URL, and would get the alias 'driver_source', which is the label of an app."
        " Set another 'label' in the AppConfig of that app."
    )


def test_another_services_variable_is_a_warning(build: Builder) -> None:
    found = build(APPS, {"WAREHOUSE_DATABASE_MOVE_FROM": "default"})

    assert metadata(found)["default"]["project"]["findings"] == [
        {"kind": "variable", "name": "WAREHOUSE_DATABASE_MOVE_FROM"}
    ]
