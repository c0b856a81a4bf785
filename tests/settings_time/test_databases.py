"""``build_databases``: the finished ``DATABASES``."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pytest
from django.db.utils import ConnectionHandler

from appdb_router.databases import METADATA
from appdb_router.exceptions import ConfigurationError
from appdb_router.topology import Topology
from tests.settings_time.conftest import POSTGRES, Builder, metadata, routes

CORE = {"django.contrib.auth": None, "django.contrib.contenttypes": None}
SAME = POSTGRES + "main"
EQUIVALENT = POSTGRES.replace("db1:5432", "DB1.") + "main"


def test_the_whole_result(build: Builder) -> None:
    databases = build(
        {"driver": "CONN_MAX_AGE = 60\n", **CORE, "user": None, "empty": None},
        {
            "DRIVER_DATABASE_URL": "postgresql://d:hush@db2:5433/driver?sslmode=require",
            "AUTH_DATABASE_URL": SAME + "?conn_health_checks=true",
            "DATABASE_URL": SAME + "?conn_health_checks=true&atomic_requests=true",
        },
        required=["driver"],
    )

    common = {
        "ENGINE": "django.db.backends.postgresql",
        "DISABLE_SERVER_SIDE_CURSORS": False,
        "AUTOCOMMIT": True,
        "TIME_ZONE": None,
    }
    main = {
        **common,
        "NAME": "main",
        "USER": "app",
        "PASSWORD": "secret",
        "HOST": "db1",
        "PORT": "5432",
        "CONN_MAX_AGE": 0,
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": {"connect_timeout": 5},
    }
    assert databases == {
        "default": {
            **main,
            "ATOMIC_REQUESTS": True,
            "TEST": {"DEPENDENCIES": []},
            METADATA: {
                "canonical": "default",
                "labels": ["user", "empty"],
                "source": {"kind": "environment", "name": "DATABASE_URL"},
                "project": {
                    "base_dir": str(build.base_dir),
                    "core": "auth",
                    "groups": [["auth", "contenttypes"]],
                    "local": ["driver", "user", "empty"],
                    "findings": [],
                },
            },
        },
        "driver": {
            **common,
            "NAME": "driver",
            "USER": "d",
            "PASSWORD": "hush",
            "HOST": "db2",
            "PORT": "5433",
            "CONN_MAX_AGE": 60,
            "CONN_HEALTH_CHECKS": False,
            "ATOMIC_REQUESTS": False,
            "OPTIONS": {"sslmode": "require", "connect_timeout": 5},
            "TEST": {"DEPENDENCIES": []},
            METADATA: {
                "canonical": "driver",
                "labels": ["driver"],
                "source": {"kind": "environment", "name": "DRIVER_DATABASE_URL"},
            },
        },
        "auth": {
            **main,
            "ATOMIC_REQUESTS": False,
            "TEST": {"MIRROR": "default"},
            METADATA: {
                "canonical": "default",
                "labels": ["auth", "contenttypes"],
                "source": {"kind": "environment", "name": "AUTH_DATABASE_URL"},
            },
        },
    }


@pytest.mark.parametrize(
    ("env", "order"),
    [
        ([], ["default"]),
        (["B"], ["default", "b"]),
        (["AUTH"], ["auth", "default"]),
        (["A", "B", "AUTH"], ["auth", "default", "b", "a"]),
        (["A", "B"], ["default", "b", "a"]),
    ],
)
def test_the_core_alias_comes_first(build: Builder, env: list[str], order: list[str]) -> None:
    urls = {f"{name}_DATABASE_URL": POSTGRES + name for name in env}

    databases = build({"b": None, **CORE, "a": None}, urls)

    assert list(databases) == order
    assert databases["default"][METADATA]["project"]["core"] == "auth"


def test_the_core_alias_is_a_canonical_one(build: Builder) -> None:
    databases = build(
        {"b": None, **CORE},
        {"B_DATABASE_URL": POSTGRES + "x", "AUTH_DATABASE_URL": POSTGRES + "x"},
    )

    assert list(databases) == ["b", "default", "auth"]
    topology = Topology.from_metadata({alias: databases[alias][METADATA] for alias in databases})
    assert topology.core_alias == "b"


def test_no_core_without_its_apps(build: Builder) -> None:
    assert build({"a": None})["default"][METADATA]["project"]["core"] is None


@pytest.mark.parametrize("order", list(itertools.permutations("abc")))
def test_the_first_app_has_the_canonical_alias(build: Builder, order: tuple[str, ...]) -> None:
    env = dict.fromkeys([f"{name.upper()}_DATABASE_URL" for name in "abc"], POSTGRES + "shared")

    databases = build(dict.fromkeys(order), env)

    canonical = {alias: entry["canonical"] for alias, entry in metadata(databases).items()}
    assert canonical == {"default": "default", **dict.fromkeys(order, order[0])}
    assert {alias: setting["TEST"] for alias, setting in databases.items()} == {
        "default": {"DEPENDENCIES": []},
        order[0]: {"DEPENDENCIES": []},
        order[1]: {"MIRROR": order[0]},
        order[2]: {"MIRROR": order[0]},
    }


def test_the_default_beats_the_first_app(build: Builder) -> None:
    databases = build({"a": None}, {"A_DATABASE_URL": EQUIVALENT})

    assert databases["a"]["TEST"] == {"MIRROR": "default"}
    assert routes(databases) == {"default": [], "a": ["a"]}


def test_databases_in_memory_are_never_shared(build: Builder) -> None:
    databases = build(
        {"a": None, "b": None},
        {"A_DATABASE_URL": "sqlite://:memory:", "B_DATABASE_URL": "sqlite://:memory:"},
        default="sqlite://:memory:",
    )

    assert [entry["canonical"] for entry in metadata(databases).values()] == ["default", "a", "b"]


DIFFER = (
    "'default' (default=) and 'a' ({}) are one physical database, but differ in {}. Make them"
    " equal, or give one of them a database of its own."
)


@pytest.mark.parametrize(
    ("url", "module", "different"),
    [
        (SAME.replace("app", "other"), None, "USER"),
        (SAME.replace("secret", "hush"), None, "PASSWORD"),
        (SAME.replace("app:secret", "other:hush"), None, "PASSWORD, USER"),
        (SAME.replace("postgresql:", "postgis:"), None, "ENGINE"),
        (SAME + "?sslmode=require", None, "OPTIONS"),
        (SAME + "?pool=true", None, "OPTIONS"),
        (SAME + "?conn_max_age=60", None, "CONN_MAX_AGE"),
        (SAME + "?atomic_requests=true", None, "ATOMIC_REQUESTS"),
        (SAME, "TEST = {'NAME': 't'}\nAUTOCOMMIT = False\n", "AUTOCOMMIT, TEST"),
        (SAME, "ENGINE = 'vendor.postgresql'\n", "ENGINE"),
    ],
)
def test_one_database_with_two_sets_of_rights(
    build: Builder, url: str, module: str | None, different: str
) -> None:
    with pytest.raises(ConfigurationError) as raised:
        build({"a": module}, {"A_DATABASE_URL": url})

    assert str(raised.value) == DIFFER.format("A_DATABASE_URL", different)


def test_the_other_alias_of_a_database_may_leave_out_what_is_the_default(build: Builder) -> None:
    build({"a": "AUTOCOMMIT = True\nTIME_ZONE = None\n"}, {"A_DATABASE_URL": EQUIVALENT})


def test_atomic_requests_is_not_inherited(build: Builder) -> None:
    databases = build(
        {"a": None, "b": None, "c": "ATOMIC_REQUESTS = True\n"},
        {
            "A_DATABASE_URL": SAME,
            "B_DATABASE_URL": POSTGRES + "b",
            "C_DATABASE_URL": POSTGRES + "c",
        },
        default=SAME + "?atomic_requests=true",
    )

    assert {alias: setting["ATOMIC_REQUESTS"] for alias, setting in databases.items()} == {
        "default": True,
        "a": False,
        "b": False,
        "c": True,
    }


def test_test_settings_of_a_module_are_kept(build: Builder) -> None:
    module = "TEST = {'NAME': 'x', 'DEPENDENCIES': ['default']}\n"

    databases = build({"a": module}, {"A_DATABASE_URL": POSTGRES + "a"})

    assert databases["a"]["TEST"] == {"NAME": "x", "DEPENDENCIES": ["default"]}


def containers(value: Any) -> list[int]:
    """Return the identities of everything in ``value`` that could be changed in place."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    own = [id(value)] if isinstance(value, dict | list) else []
    return own + [item for part in inner for item in containers(part)]


def test_every_alias_has_its_own_copy_of_everything(build: Builder) -> None:
    shared = (
        "from shared_by_all import OPTIONS, TEST, ENGINE_OPTIONS, DATABASE\nOPTIONS = OPTIONS\n"
    )
    (build.base_dir / "shared_by_all.py").write_text(
        "OPTIONS = {'isolation_level': [1]}\nTEST = {'X': {}}\nENGINE_OPTIONS = {'pool': True}\n"
        "DATABASE = {'ENGINE': 'django.db.backends.postgresql', 'NAME': 'x'}\n"
    )
    without_options = shared.replace("TEST, ENGINE_OPTIONS, DATABASE", "TEST, ENGINE_OPTIONS")
    apps = {"a": without_options, "b": without_options, "c": "from shared_by_all import DATABASE\n"}
    apps["d"] = apps["c"]

    databases = build(apps, {"A_DATABASE_URL": POSTGRES + "a", "B_DATABASE_URL": POSTGRES + "b"})

    found = containers(databases)
    assert len(found) == len(set(found))
    assert databases["a"]["OPTIONS"]["isolation_level"] == [1]
    assert databases["c"][METADATA]["canonical"] == databases["d"][METADATA]["canonical"] == "c"


def test_two_builds_share_nothing(build: Builder) -> None:
    apps: dict[str, str | None] = {"a": "TEST = {}\n", **CORE}
    env = {"A_DATABASE_URL": POSTGRES + "a"}

    first, second = build(apps, env), build(apps, env)

    assert first == second
    assert not set(containers(first)) & set(containers(second))


def test_the_metadata_is_plain_data_without_urls_and_secrets(build: Builder) -> None:
    databases = build(
        {
            "a": "DATABASE_URL = 'postgresql://u:hush@h/a?pool=true'\n",
            **CORE,
            "b": "OPTIONS = {}\n",
        },
        {
            "AUTH_DATABASE_URL": "postgresql://u:hush@h/auth",
            "NOBODYS_DATABASE_URL": "postgresql://u:hush@h/n",
        },
        default="mysql://u:hush@h/d?pool=true",
    )

    found = metadata(databases)
    text = json.dumps(found)

    assert json.loads(text) == found
    assert "hush" not in text
    assert "://" not in text


def test_djangos_connection_handler_has_nothing_to_add(build: Builder) -> None:
    databases = build({"a": None}, {"A_DATABASE_URL": "sqlite:///a.sqlite3"})
    before = {alias: set(setting) for alias, setting in databases.items()}

    configured = ConnectionHandler(databases).settings

    assert {alias: set(setting) for alias, setting in configured.items()} == before
    assert {"CHARSET", "COLLATION", "MIGRATE", "MIRROR", "NAME"} <= set(configured["a"]["TEST"])


def test_base_dir_may_be_text_and_relative(build: Builder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(build.base_dir)

    databases = build({"a": None}, base_dir=".", default="sqlite:///x.sqlite3")

    assert databases["default"]["NAME"] == str(Path.cwd() / "x.sqlite3")
    assert databases["default"][METADATA]["project"]["base_dir"] == str(Path.cwd())


def test_a_new_app_needs_its_variable_and_nothing_else(build: Builder) -> None:
    apps = dict.fromkeys([f"app_{number}" for number in range(20)])
    env = {f"{name.upper()}_DATABASE_URL": POSTGRES + name for name in apps}

    databases = build(apps, env)

    assert routes(databases) == {"default": [], **{name: [name] for name in apps}}
    assert all(databases[name]["NAME"] == name for name in apps)
