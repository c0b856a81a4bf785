"""Databases that apps have for a test run alone: ``APPDB_REHEARSE``."""

import re
from collections.abc import Iterable, Mapping
from copy import deepcopy
from hashlib import sha256
from typing import Any

from .discovery import App
from .exceptions import ConfigurationError, suggestion
from .groups import Groups
from .naming import REHEARSE_VARIABLE
from .resolution import Database, Resolver, Source
from .running import is_test_run

# The test runner appends the number of a worker. PostgreSQL takes 63 characters.
_LONGEST = 50
# What a test can see of the tuning of an app's database, whatever kind of server that is on.
_SEEN_BY_TESTS = ("ATOMIC_REQUESTS", "AUTOCOMMIT", "TIME_ZONE")


def rehearsed_leaders(
    env: Mapping[str, str], apps: Mapping[str, App], groups: Groups
) -> list[str] | None:
    """Return the leaders of the groups of apps that ``APPDB_REHEARSE`` names.

    That is ``None`` if it is unset or empty, and for ``all`` the groups of the apps whose code is
    the project's own. Raises ``ConfigurationError`` for an unknown label, and outside of a test
    run.
    """
    names = re.split(r"[,\s]+", env.get(REHEARSE_VARIABLE, "").strip(", \t\r\n"))
    if names == [""]:
        return None
    if not is_test_run():
        raise ConfigurationError(
            f"{REHEARSE_VARIABLE} is set, and this is no test run: outside of one, the databases"
            " that it asks for are not there. Unset it, or run the tests: manage.py test, or pytest"
            " with the plugin (-p appdb_router.pytest_plugin). A script that runs tests calls"
            " appdb_router.running.declare_test_run() before the settings are loaded."
        )
    if names == ["all"]:
        names = [app.label for app in apps.values() if app.is_local]
    for name in names:
        if name not in apps:
            raise ConfigurationError(
                f"{REHEARSE_VARIABLE} names the label {name!r}, which no installed app has."
                + suggestion(name, ["all", *apps], "choices")
            )
    asked = {groups.leader_of(name) for name in names}
    return [leader for leader in groups.leaders() if leader in asked]


def add_rehearsed(
    databases: Mapping[str, Database],
    canonical: Mapping[str, str],
    leaders: Iterable[str],
    groups: Groups,
    resolver: Resolver,
) -> dict[str, Database]:
    """Return ``databases`` with one for each of ``leaders`` that shares one with other apps.

    It is on the server of the one that the group has now, with the same user and options.
    ``canonical`` has the alias that stands for the physical database of each.
    """
    shared = [*canonical.values()]
    default = databases["default"]
    found = dict(databases)
    for leader in leaders:
        now = databases.get(leader, default)
        if now is default or shared.count(canonical[leader]) > 1:
            labels = [label for label in now.labels if groups.leader_of(label) == leader]
            found[leader] = _rehearsed(now, leader, labels, resolver.tuning_of(leader))
    default.labels = [label for label in default.labels if groups.leader_of(label) not in found]
    # In the order that they have after the split: the default, then that of the apps.
    return {alias: found[alias] for alias in ("default", *groups.leaders()) if alias in found}


def _rehearsed(
    now: Database, alias: str, labels: Iterable[str], tuning: Mapping[str, Any]
) -> Database:
    """Return a database that only a test runner can make: its name is that of a test database."""
    config = deepcopy(now.config)
    if now.alias == "default":
        # As after the split: nobody inherits it.
        config.pop("ATOMIC_REQUESTS", None)
    config.update({name: tuning[name] for name in _SEEN_BY_TESTS if name in tuning})
    test = config.setdefault("TEST", {})
    for name in ("DEPENDENCIES", "MIRROR", "NAME"):
        test.pop(name, None)
    if now.family.is_sqlite:
        # Django makes the test database in memory, too.
        config["NAME"] = ":memory:"
    else:
        config["NAME"] = test["NAME"] = _test_name(str(config["NAME"]), alias)
    source = Source("rehearsal", REHEARSE_VARIABLE)
    return Database(alias, config, now.family, source, labels=list(labels))


def _test_name(name: str, alias: str) -> str:
    whole = "_".join(filter(None, ["test", name, alias]))
    if len(whole) <= _LONGEST:
        return whole
    digest = sha256(whole.encode()).hexdigest()[:8]
    return f"{whole[: _LONGEST - len(digest) - 1]}_{digest}"
