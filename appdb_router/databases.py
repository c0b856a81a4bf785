"""Building ``settings.DATABASES`` while the settings module loads."""

import os
from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

from .database_module import check_tuning
from .database_url import parse_database_url
from .discovery import App, discover_apps
from .engines import Family, family_of
from .exceptions import ConfigurationError, choices, suggestion
from .groups import Groups
from .move_sources import MoveSource, check_moves, find_moves
from .physical import Identity, physical_identity, search_path
from .rehearsed import add_rehearsed, rehearsed_leaders
from .resolution import Database, Finding, Resolver, Source
from .tuning import tune
from .variables import check_variables

# What the run time needs beside the settings travels under this key, as plain data without URLs:
# Django's debug page shows it.
METADATA = "APPDB_ROUTER"

_DEFAULTS: dict[str, Any] = {
    "NAME": "",
    "USER": "",
    "PASSWORD": "",
    "HOST": "",
    "PORT": "",
    "CONN_MAX_AGE": 0,
    "CONN_HEALTH_CHECKS": False,
    "DISABLE_SERVER_SIDE_CURSORS": False,
    "ATOMIC_REQUESTS": False,
    "AUTOCOMMIT": True,
    "TIME_ZONE": None,
}
_WHERE = {"NAME", "HOST", "PORT"}
# What an alias has of its own, also beside another one of its physical database.
_OF_THE_ALIAS = {METADATA, "TEST"}


def build_databases(
    installed_apps: Sequence[str],
    *,
    base_dir: str | os.PathLike[str],
    default: str | None = None,
    auth_user_model: str = "auth.User",
    together: Mapping[str, Iterable[str]] | None = None,
    required: Iterable[str] = (),
    trust: Sequence[str] = (),
    ignore: Sequence[str] = (),
    labels: Mapping[str, str] | None = None,
    env: Mapping[str, str] | None = None,
) -> dict[str, dict[str, Any]]:
    """Return ``DATABASES``: one alias for each app or group that has a database of its own.

    For each app the first of these decides: its variable ``<LABEL>_DATABASE_URL``, its
    ``database.py``, either of them of an app in its group, the default. Nothing is imported of the
    apps, and nothing of Django's settings or registry is touched. With
    ``<LABEL>_DATABASE_MOVE_FROM`` the app stays where that says until ``db_move`` has moved it.

    :param installed_apps: ``INSTALLED_APPS``.
    :param base_dir: the project's folder; SQLite paths are relative to it, and a ``database.py``
        under it is trusted.
    :param default: the URL of the default database if ``DATABASE_URL`` is unset or empty.
    :param auth_user_model: ``AUTH_USER_MODEL``; its app belongs to the core group, with ``auth``,
        ``contenttypes`` and ``admin``.
    :param together: groups of labels that share a database, by the label that leads the group.
    :param required: labels whose variable (or that of an app in their group) must be set, or
        ``"all"`` for every app whose code lies under ``base_dir``.
    :param trust: packages outside ``base_dir`` whose ``database.py`` may be run.
    :param ignore: environment variables named like a database's that belong to others.
    :param labels: the labels of entries of ``installed_apps`` whose AppConfig computes them.
    :param env: the environment, by default ``os.environ``.
    :raises ConfigurationError: for whatever is missing, misspelt, ambiguous or contradictory.
    """
    environment = os.environ if env is None else env
    root = Path(base_dir).absolute()
    apps = discover_apps(installed_apps, base_dir=root, trust=trust, labels=labels)
    groups = Groups(list(apps), auth_user_model=auth_user_model, together=together)
    unmatched = check_variables(environment, apps, ignore)
    resolver = Resolver(apps, groups, environment, root)
    databases = _resolve(apps, groups, resolver, default)
    resolver.require(_required(required, apps))
    moves = find_moves(databases, groups, resolver)
    canonical = _canonical_aliases(databases.values())
    leaders = rehearsed_leaders(environment, apps, groups)
    if leaders is not None:
        databases = add_rehearsed(databases, canonical, leaders, groups, resolver)
        canonical = _canonical_aliases(databases.values())
    check_moves(moves, canonical)
    _share_direct(databases, canonical)
    core = canonical.get(groups.core[0], "default") if groups.core else None
    project = {
        "base_dir": str(root),
        "core": groups.core[0] if groups.core else None,
        "groups": groups.shared(),
        "local": [app.label for app in apps.values() if app.is_local],
        "findings": _findings(unmatched, apps, resolver),
        **({} if leaders is None else {"rehearsed": leaders}),
    }
    # Core first: the test runner creates databases in this order, and migrations of any app may
    # need content types and users. TEST["DEPENDENCIES"] on the core alias would fail the runs that
    # do not use it.
    return {
        alias: _setting(databases[alias], canonical[alias], project, moves.get(alias))
        for alias in sorted(databases, key=lambda alias: alias != core)
    }


def build_database(
    url: str, tuning: Mapping[str, Any], *, name: str, base_dir: Path
) -> dict[str, Any]:
    """Return an entry of ``DATABASES`` for one more database, while the process runs.

    ``tuning`` is what a ``database.py`` has beside its URL; messages call both ``name``. Raises
    ``ConfigurationError``.
    """
    check_tuning(name, tuning)
    parsed = parse_database_url(url, name=name, base_dir=base_dir)
    ignored = tune(parsed, tuning, name=name, path=name)
    if ignored:
        raise ConfigurationError(
            f"{name}: the engine {parsed.config['ENGINE']!r} has no pool, so {choices(ignored)} can"
            " have no effect. Leave it out."
        )
    # The runner of tests has made its databases already.
    return {**_DEFAULTS, "TEST": {}, **parsed.config}


def canonical_alias(
    alias: str, databases: Mapping[str, Mapping[str, Any]], earlier: Iterable[str]
) -> str:
    """Return which of ``earlier`` is the same physical database as ``alias``, or else ``alias``.

    All are keys of ``databases``. Raises ``ConfigurationError`` if both give different rights.
    """
    ours = _as_database(alias, databases[alias])
    identity = physical_identity(ours.config, ours.family, alias)
    for other in earlier:
        theirs = _as_database(other, databases[other])
        if physical_identity(theirs.config, theirs.family, other) == identity:
            _check_sameness(theirs, ours)
            return other
    return alias


def _findings(
    unmatched: Iterable[str], apps: Mapping[str, App], resolver: Resolver
) -> list[Finding]:
    """Return what is worth a warning of the system checks."""
    return [
        *({"kind": "variable", "name": name} for name in unmatched),
        *(
            {"kind": "untrusted", "label": app.label, "path": resolver.shown(app.untrusted)}
            for app in apps.values()
            if app.untrusted
        ),
        *resolver.findings,
    ]


def _as_database(alias: str, entry: Mapping[str, Any]) -> Database:
    config = {key: value for key, value in entry.items() if key not in _OF_THE_ALIAS}
    source = entry.get(METADATA, {}).get(
        "source", {"kind": "registered", "name": "register_database()"}
    )
    family = family_of(config["ENGINE"]) or Family(config["ENGINE"])
    return Database(alias, config, family, Source(**source))


def _resolve(
    apps: Mapping[str, App], groups: Groups, resolver: Resolver, default: str | None
) -> dict[str, Database]:
    """Return the databases by alias, the default first, then in the order of the apps."""
    fallback = resolver.default(default)
    databases = {fallback.alias: fallback}
    without: set[str] = set()
    for label in apps:
        leader = groups.leader_of(label)
        if leader not in databases and leader not in without:
            own = resolver.own(leader)
            if own is None:
                without.add(leader)
            else:
                databases[leader] = own
        databases.get(leader, fallback).labels.append(label)
    return databases


def _required(required: Iterable[str], apps: Mapping[str, App]) -> list[str]:
    if required == "all":
        return [app.label for app in apps.values() if app.is_local]
    if isinstance(required, str):
        raise ConfigurationError(
            f"required= is a sequence of labels, or 'all'; it is the string {required!r}."
        )
    labels = list(required)
    for label in labels:
        if label not in apps:
            raise ConfigurationError(
                f"required= names the label {label!r}, which no installed app has."
                + suggestion(label, apps, "labels")
            )
    return labels


def _canonical_aliases(databases: Iterable[Database]) -> dict[str, str]:
    """Return for each alias the first one of its physical database."""
    first: dict[Identity, Database] = {}
    canonical: dict[str, str] = {}
    for database in databases:
        identity = physical_identity(database.config, database.family, database.alias)
        owner = first.setdefault(identity, database)
        if owner is not database:
            _check_sameness(owner, database)
        canonical[database.alias] = owner.alias
    return canonical


def _check_sameness(owner: Database, other: Database) -> None:
    """Refuse two sets of rights for one physical database: one would by-pass the other."""
    left, right = ({**_DEFAULTS, **item.config} for item in (owner, other))
    keys = (left.keys() | right.keys()) - _WHERE
    different = sorted(key for key in keys if left.get(key) != right.get(key))
    # The default may well wrap each request in a transaction; no other database inherits that.
    if "ATOMIC_REQUESTS" in different and left["ATOMIC_REQUESTS"]:
        different.remove("ATOMIC_REQUESTS")
    if different:
        raise ConfigurationError(
            f"{owner.alias!r} ({owner.source.name}) and {other.alias!r} ({other.source.name}) are"
            f" one physical database, but differ in {', '.join(different)}. Make them equal, or"
            " give one of them a database of its own."
        )


def _share_direct(databases: Mapping[str, Database], canonical: Mapping[str, str]) -> None:
    """Give all aliases of a physical database its direct URL, of which there may be only one."""
    for alias, owner in canonical.items():
        shared, database = databases[owner], databases[alias]
        shared.direct = shared.direct or database.direct
        if database.direct not in (None, shared.direct):
            raise ConfigurationError(
                f"{owner!r} and {alias!r} are one physical database, but have different direct"
                " URLs. Make them equal, or remove one of them."
            )
    for alias, owner in canonical.items():
        databases[alias].direct = deepcopy(databases[owner].direct)


def _setting(
    database: Database, canonical: str, project: dict[str, Any], move: MoveSource | None
) -> dict[str, Any]:
    """Return the finished entry of ``DATABASES``."""
    metadata: dict[str, Any] = {
        "canonical": canonical,
        "labels": database.labels,
        "source": {"kind": database.source.kind, "name": database.source.name},
    }
    if database.direct is not None:
        metadata["direct"] = database.direct
    if move is not None:
        metadata["move"] = {"source": move.alias, "variable": move.variable}
    if database.alias == "default":
        metadata["project"] = project
    setting = {**_DEFAULTS, **database.config, METADATA: metadata}
    setting["TEST"] = _test_setting(database, canonical)
    return setting


def _test_setting(database: Database, canonical: str) -> dict[str, Any]:
    """Return ``TEST`` such that the test runner makes each physical database once.

    Without a word on dependencies, Django has every database wait for the default one.
    """
    config, alias = database.config, database.alias
    if canonical != alias:
        return {"MIRROR": canonical}
    test: dict[str, Any] = {"DEPENDENCIES": []}
    if search_path(config["OPTIONS"]):
        # For the runner two schemas of one database are one place.
        test["NAME"] = f"test_{config['NAME']}_{alias}"
    return {**test, **config.get("TEST", {})}
