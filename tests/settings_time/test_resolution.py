"""Which source decides, for apps and for groups."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from appdb_router.exceptions import ConfigurationError
from tests.settings_time.conftest import POSTGRES, Builder, Packages, findings, metadata, routes

MODULE = "DATABASE_URL = 'postgresql://app:secret@db2:5433/from_module'\n"
CORE = {"django.contrib.auth": None, "django.contrib.contenttypes": None}
ADMIN = {**CORE, "django.contrib.admin": None}


def url(name: str) -> str:
    return POSTGRES + name


def names(databases: dict[str, dict[str, Any]]) -> dict[str, str]:
    return {alias: setting["NAME"] for alias, setting in databases.items()}


def source(databases: dict[str, dict[str, Any]], alias: str) -> tuple[str, str]:
    found = metadata(databases)[alias]["source"]
    return found["kind"], found["name"]


@pytest.mark.parametrize(
    ("apps", "env", "arguments", "expected", "kind"),
    [
        ({"driver": None}, {}, {}, {"default": "main"}, None),
        (
            {"driver": None},
            {"DRIVER_DATABASE_URL": url("own")},
            {},
            {"default": "main", "driver": "own"},
            ("environment", "DRIVER_DATABASE_URL"),
        ),
        (
            {"driver": MODULE},
            {},
            {},
            {"default": "main", "driver": "from_module"},
            ("database.py", "driver/database.py"),
        ),
        (
            {"driver": MODULE},
            {"DRIVER_DATABASE_URL": url("own")},
            {},
            {"default": "main", "driver": "own"},
            ("environment", "DRIVER_DATABASE_URL"),
        ),
        (
            {"driver": MODULE},
            {"DRIVER_DATABASE_URL": ""},
            {},
            {"default": "main", "driver": "from_module"},
            ("database.py", "driver/database.py"),
        ),
        ({"driver": None}, {"DRIVER_DATABASE_URL": " \t"}, {}, {"default": "main"}, None),
        ({"driver": "DATABASE_URL = ''\n"}, {}, {}, {"default": "main"}, None),
        (
            {"driver": "DATABASE = {'ENGINE': 'vendor.x', 'NAME': 'n'}\n"},
            {},
            {},
            {"default": "main", "driver": "n"},
            ("database.py", "driver/database.py"),
        ),
        # Groups: a variable of any member beats the module of any other.
        (
            {"billing": None, "driver": MODULE},
            {"BILLING_DATABASE_URL": url("own")},
            {"together": {"driver": ["billing"]}},
            {"default": "main", "driver": "own"},
            ("environment", "BILLING_DATABASE_URL"),
        ),
        (
            {"billing": MODULE, "driver": None},
            {},
            {"together": {"driver": ["billing"]}},
            {"default": "main", "driver": "from_module"},
            ("database.py", "billing/database.py"),
        ),
        (
            {"billing": None, "driver": None},
            {"BILLING_DATABASE_URL": url("own"), "DRIVER_DATABASE_URL": url("own")},
            {"together": {"driver": ["billing"]}},
            {"default": "main", "driver": "own"},
            ("environment", "DRIVER_DATABASE_URL"),
        ),
        (
            {"billing": MODULE, "driver": MODULE},
            {},
            {"together": {"driver": ["billing"]}},
            {"default": "main", "driver": "from_module"},
            ("database.py", "driver/database.py"),
        ),
    ],
)
def test_order_of_sources(
    build: Builder,
    apps: dict[str, str | None],
    env: dict[str, str],
    arguments: dict[str, Any],
    expected: dict[str, str],
    kind: tuple[str, str] | None,
) -> None:
    databases = build(apps, env, **arguments)

    assert names(databases) == expected
    assert source(databases, "default") == ("argument", "default=")
    assert ("driver" in databases) == (kind is not None)
    if kind:
        assert source(databases, "driver") == kind
        assert routes(databases) == {"default": [], "driver": list(apps)}
    else:
        assert routes(databases) == {"default": list(apps)}


def test_the_variable_of_the_default(build: Builder) -> None:
    databases = build({"driver": None}, {"DATABASE_URL": url("prod")}, default="sqlite:///x")

    assert names(databases) == {"default": "prod"}
    assert source(databases, "default") == ("environment", "DATABASE_URL")


def test_the_environment_of_the_process_is_the_default(
    build: Builder, packages: Packages, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in os.environ if name.upper().endswith("DATABASE_URL")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("DATABASE_URL", url("process"))

    from appdb_router import build_databases

    assert names(build_databases([], base_dir=str(build.base_dir))) == {"default": "process"}


def test_the_user_model_goes_with_the_core_group(build: Builder) -> None:
    databases = build(
        {"accounts": None, "driver": None, **ADMIN},
        {"ACCOUNTS_DATABASE_URL": url("users")},
        auth_user_model="accounts.User",
    )

    assert routes(databases) == {
        "auth": ["accounts", "auth", "contenttypes", "admin"],
        "default": ["driver"],
    }
    assert source(databases, "auth") == ("environment", "ACCOUNTS_DATABASE_URL")


@pytest.mark.parametrize(
    ("default", "env", "state"),
    [
        (None, {}, "not set"),
        (None, {"DATABASE_URL": ""}, "empty"),
        ("", {"DATABASE_URL": " "}, "empty"),
    ],
)
def test_no_default(build: Builder, default: str | None, env: dict[str, str], state: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        build({"driver": None}, env, default=default)

    assert str(raised.value) == (
        f"There is no default database: DATABASE_URL is {state}, and build_databases() was given no"
        " default=. Set it, for example to postgresql://user:password@host:5432/name."
    )


TOGETHER = {"together": {"driver": ["billing"]}}
CANNOT = (
    "{0}_DATABASE_URL is set, but {1!r} cannot leave its group ({2}): their tables refer to each"
    " other. Set {3} to move the group."
)
LOST = "The app {!r} is required to have its database from the environment, but {}. Set "


@pytest.mark.parametrize(
    ("apps", "env", "arguments", "message"),
    [
        (
            {"driver": None, "billing": None},
            {"DRIVER_DATABASE_URL": url("a"), "BILLING_DATABASE_URL": url("b")},
            TOGETHER,
            "DRIVER_DATABASE_URL and BILLING_DATABASE_URL name two databases, but driver, billing"
            " must live together. Keep one of them, or make both equal.",
        ),
        (
            {"driver": MODULE, "billing": MODULE.replace("module", "other")},
            {},
            TOGETHER,
            "driver/database.py and billing/database.py name two databases, but driver, billing"
            " must live together. Keep one of them, or make both equal.",
        ),
        (
            {"accounts": None, **CORE},
            {"AUTH_DATABASE_URL": url("a"), "ACCOUNTS_DATABASE_URL": url("b")},
            {"auth_user_model": "accounts.User"},
            "AUTH_DATABASE_URL and ACCOUNTS_DATABASE_URL name two databases, but auth, accounts,"
            " contenttypes must live together. Keep one of them, or make both equal.",
        ),
        # Only the default's variable would move these.
        (
            ADMIN,
            {"ADMIN_DATABASE_URL": url("x")},
            {},
            CANNOT.format("ADMIN", "admin", "auth, contenttypes, admin", "AUTH_DATABASE_URL"),
        ),
        (
            CORE,
            {"CONTENTTYPES_DATABASE_URL": url("x")},
            {},
            CANNOT.format(
                "CONTENTTYPES", "contenttypes", "auth, contenttypes", "AUTH_DATABASE_URL"
            ),
        ),
        (
            ADMIN,
            {"CONTENTTYPES_DATABASE_URL": url("x"), "ADMIN_DATABASE_URL": url("x")},
            {},
            CANNOT.format(
                "CONTENTTYPES", "contenttypes", "auth, contenttypes, admin", "AUTH_DATABASE_URL"
            ),
        ),
        # Required.
        (
            {"driver": MODULE},
            {},
            {"required": ["driver"]},
            LOST.format("driver", "DRIVER_DATABASE_URL is not set", "DRIVER_DATABASE_URL"),
        ),
        (
            {"driver": None},
            {"DRIVER_DATABASE_URL": ""},
            {"required": ("driver",)},
            LOST.format("driver", "DRIVER_DATABASE_URL is empty", "DRIVER_DATABASE_URL"),
        ),
        (
            {"driver": None, "billing": None},
            {"DRIVER_DATABASE_URL": url("a")},
            {"required": "all"},
            LOST.format("billing", "BILLING_DATABASE_URL is not set", "BILLING_DATABASE_URL"),
        ),
        (
            {"driver": None},
            {},
            {"required": "driver"},
            "required= is a sequence of labels, or 'all'; it is the string 'driver'.",
        ),
        (
            {"driver": None},
            {},
            {"required": ["drivr"]},
            "required= names the label 'drivr', which no installed app has. Did you mean 'driver'?",
        ),
        # database.py.
        *(
            (
                {"driver": f"DATABASE = {{'ENGINE': {engine!r}, {rest}}}\n"},
                {},
                {},
                "driver/database.py: DATABASE has no 'NAME'.",
            )
            for engine, rest in [
                ("django.db.backends.postgresql", "'HOST': 'h'"),
                ("django.db.backends.mysql", "'NAME': None"),
                ("django.db.backends.sqlite3", "'NAME': ''"),
            ]
        ),
        (
            {"driver": "DATABASE_URL = 'postgresql://app:secret@h'\n"},
            {},
            {},
            "driver/database.py: it has no database name. Write postgresql://host/NAME. The URL is"
            " 'postgresql://app:***@h'.",
        ),
        (
            {"driver": "OPTIONS = {'sslmode': 'a'}\n", "billing": "OPTIONS = {'sslmode': 'b'}\n"},
            {"DRIVER_DATABASE_URL": url("a")},
            TOGETHER,
            "driver/database.py and billing/database.py give OPTIONS two values, but their apps"
            " share a database. Keep one of them.",
        ),
        # Arguments that are URLs.
        (
            {"driver": None},
            {},
            {"default": "db.sqlite3"},
            "default=: the value is not a URL: it does not begin with a scheme, such as"
            " postgresql://.",
        ),
        (
            {"driver": None},
            {"DRIVER_DATABASE_URL": "postgresql://app:hush@h:x/d"},
            {},
            "DRIVER_DATABASE_URL: the port is not a number from 1 to 65535. A ':' in the user name"
            " is written %3A. The URL is 'postgresql://app:***@h:x/d'.",
        ),
        (
            {"driver": None},
            {"DRIVR_DATABASE_URL": url("a")},
            {},
            "The environment variable 'DRIVR_DATABASE_URL' belongs to no installed app. Did you"
            " mean 'DRIVER_DATABASE_URL'? If it is another program's, pass"
            " ignore=('DRIVR_DATABASE_URL',) to build_databases().",
        ),
    ],
)
def test_bad(
    build: Builder,
    apps: dict[str, str | None],
    env: dict[str, str],
    arguments: dict[str, Any],
    message: str,
) -> None:
    with pytest.raises(ConfigurationError) as raised:
        build(apps, env, **arguments)

    assert str(raised.value).startswith(message)


@pytest.mark.parametrize(
    ("required", "env"),
    [
        ((), {}),
        (["driver"], {"DRIVER_DATABASE_URL": url("a")}),
        (["billing"], {"DRIVER_DATABASE_URL": url("a")}),
        ("all", {"BILLING_DATABASE_URL": url("a")}),
        (iter(["billing", "driver"]), {"BILLING_DATABASE_URL": url("a")}),
    ],
)
def test_required_and_there(build: Builder, required: Any, env: dict[str, str]) -> None:
    apps = {"driver": None, "billing": None, "django.contrib.sessions": None}

    build(apps, env, required=required, **TOGETHER)


def test_equal_variables_of_the_core_group_split_nothing(build: Builder) -> None:
    env = dict.fromkeys(
        ["AUTH_DATABASE_URL", "ADMIN_DATABASE_URL", "CONTENTTYPES_DATABASE_URL"], url("core")
    )

    assert names(build(ADMIN, env)) == {"auth": "core", "default": "main"}


def test_the_first_of_the_core_group_may_well_be_contenttypes(build: Builder) -> None:
    apps = {"django.contrib.contenttypes": None, "django.contrib.sessions": None}

    databases = build(apps, {"CONTENTTYPES_DATABASE_URL": url("types")})

    assert names(databases) == {"contenttypes": "types", "default": "main"}


def test_contenttypes_leads_where_auth_is_not_installed(build: Builder) -> None:
    apps = {"django.contrib.contenttypes": None, "django.contrib.admin": None}

    databases = build(apps, {"CONTENTTYPES_DATABASE_URL": url("types")})

    assert routes(databases) == {"contenttypes": ["contenttypes", "admin"], "default": []}


def test_the_default_may_name_a_member_of_the_core_group(build: Builder) -> None:
    databases = build(
        {**CORE, "blog": None}, {"BLOG_DATABASE_URL": url("x")}, together={"auth": ["blog"]}
    )

    assert routes(databases) == {"auth": ["auth", "contenttypes", "blog"], "default": []}


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("'data/x.sqlite3'", "data/x.sqlite3"),
        ("__import__('pathlib').Path('x.sqlite3')", "x.sqlite3"),
        ("':odd'", ":odd"),
    ],
)
def test_sqlite_paths_of_a_module_are_relative_to_base_dir(
    build: Builder, name: str, path: str
) -> None:
    module = f"DATABASE = {{'ENGINE': 'django.db.backends.sqlite3', 'NAME': {name}}}\n"

    assert build({"driver": module})["driver"]["NAME"] == str(build.base_dir / path)


@pytest.mark.parametrize("name", [":memory:", "file:x?mode=memory", "/absolute/x.sqlite3"])
def test_other_sqlite_names_stay(build: Builder, name: str) -> None:
    module = f"DATABASE = {{'ENGINE': 'django.db.backends.sqlite3', 'NAME': {name!r}}}\n"

    assert build({"driver": module})["driver"]["NAME"] == name


@pytest.mark.parametrize(
    ("engine", "rest"),
    [
        ("django.db.backends.postgresql", "'OPTIONS': {'service': 'x'}"),
        ("django.db.backends.mysql", "'OPTIONS': {'read_default_file': 'x'}"),
        ("django.db.backends.oracle", ""),
        ("vendor.engine", "'NAME': ''"),
    ],
)
def test_a_database_that_needs_no_name(build: Builder, engine: str, rest: str) -> None:
    databases = build({"driver": f"DATABASE = {{'ENGINE': {engine!r}, {rest}}}\n"})

    assert databases["driver"]["NAME"] == ""


def test_a_service_beside_the_database_names_it(build: Builder) -> None:
    module = "DATABASE = {'ENGINE': 'django.db.backends.postgresql'}\nOPTIONS = {'service': 'x'}\n"

    assert build({"driver": module})["driver"]["OPTIONS"] == {"service": "x"}


def test_tuning_of_all_members_is_joined(build: Builder) -> None:
    apps: dict[str, str | None] = {
        "driver": "OPTIONS = {'sslmode': 'a'}\nCONN_MAX_AGE = 5\n",
        "billing": "CONN_MAX_AGE = 5\nTIME_ZONE = 'UTC'\n",
        "other": None,
    }

    setting = build(
        apps, {"OTHER_DATABASE_URL": url("a")}, together={"other": ["driver", "billing"]}
    )["other"]

    assert setting["OPTIONS"] == {"sslmode": "a", "connect_timeout": 5}
    assert (setting["CONN_MAX_AGE"], setting["TIME_ZONE"]) == (5, "UTC")


# Findings: what is worth a warning.


def test_tuning_of_an_app_on_the_default_is_reported_and_not_applied(build: Builder) -> None:
    databases = build({"driver": "CONN_MAX_AGE = 60\n", "billing": None})

    assert findings(databases) == [
        {"kind": "tuning", "label": "driver", "path": "driver/database.py"}
    ]
    assert databases["default"]["CONN_MAX_AGE"] == 0


def test_every_finding(build: Builder, packages: Packages, tmp_path: Path) -> None:
    apps = {"driver": "ENGINE_OPTIONS = {'pool_size': 5}\n", "other": MODULE, "third": MODULE}
    env = {
        "WAREHOUSE_DATABASE_URL": "x",
        "STOCK_DATABASE_URL": "x",
        "DRIVER_DATABASE_URL": "sqlite:///x",
        "DATABASE_URL": "mysql://h/d?pool=true",
    }

    databases = build(
        apps, env, base_dir=tmp_path / "project", trust=["driver"], ignore=["STOCK_DATABASE_URL"]
    )

    assert findings(databases) == [
        {"kind": "variable", "name": "WAREHOUSE_DATABASE_URL"},
        *(
            {"kind": "untrusted", "label": label, "path": str(tmp_path / label / "database.py")}
            for label in ("other", "third")
        ),
        {
            "kind": "pool",
            "alias": "default",
            "engine": "django.db.backends.mysql",
            "names": ["pool"],
        },
        {
            "kind": "pool",
            "alias": "driver",
            "engine": "django.db.backends.sqlite3",
            "names": ["pool_size"],
        },
    ]
