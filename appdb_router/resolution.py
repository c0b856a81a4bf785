"""Which source decides the database of an app or group."""

import os
from collections.abc import Iterable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .database_module import DatabaseModule
from .database_url import ParsedUrl, parse_database_url
from .direct import direct_setting
from .discovery import App
from .engines import Family, family_of
from .exceptions import ConfigurationError
from .groups import CORE_LABELS, Groups
from .naming import (
    DEFAULT_DIRECT_VARIABLE,
    DEFAULT_VARIABLE,
    direct_variable_of,
    variable_of,
)
from .tuning import tune
from .variables import given

Finding = dict[str, Any]


@dataclass(frozen=True)
class Source:
    """Where a database setting came from: its kind, and the name of variable, file or argument."""

    kind: str
    name: str


@dataclass
class Database:
    """The setting of one alias, with its source and the labels that live there.

    ``direct`` is what differs in the setting for the direct URL, ``None`` if there is none.
    """

    alias: str
    config: dict[str, Any]
    family: Family
    source: Source
    direct: dict[str, Any] | None = None
    labels: list[str] = field(default_factory=list)


_Candidate = tuple[Source, ParsedUrl]


class Resolver:
    """Applies the order of the sources; ``findings`` collects what is worth a warning."""

    def __init__(
        self, apps: Mapping[str, App], groups: Groups, env: Mapping[str, str], base_dir: Path
    ) -> None:
        self._apps = apps
        self._groups = groups
        self._env = env
        self._base_dir = base_dir
        self.findings: list[Finding] = []

    def default(self, fallback: str | None) -> Database:
        """Return the default database, from ``DATABASE_URL`` or else the URL ``fallback``."""
        if url := self.value(DEFAULT_VARIABLE):
            source = Source("environment", DEFAULT_VARIABLE)
        elif fallback:
            url, source = fallback, Source("argument", "default=")
        else:
            raise ConfigurationError(
                f"There is no default database: {self._unset(DEFAULT_VARIABLE)}, and"
                " build_databases() was given no default=. Set it, for example to"
                " postgresql://user:password@host:5432/name."
            )
        parsed = parse_database_url(url, name=source.name, base_dir=self._base_dir)
        database = self._database("default", source, parsed, {}, source.name)
        return self._with_direct(database, [DEFAULT_DIRECT_VARIABLE], {}, "")

    def own(self, leader: str) -> Database | None:
        """Return the own database of the group or app ``leader``, or ``None``."""
        members = [self._apps[label] for label in self._groups.members(leader)]
        self._check_core(members)
        candidates = list(self._from_environment(members)) or list(self._from_modules(members))
        direct = [direct_variable_of(app.label) for app in members]
        if not candidates:
            self._refuse_lone(direct, members)
            self.findings += (
                {"kind": "tuning", "label": app.label, "path": self.shown(app.module.path)}
                for app in members
                if app.module and app.module.tuning
            )
            return None
        source, parsed = self._agreed(candidates, members)
        path, tuning = self._tuning(members)
        database = self._database(leader, source, parsed, tuning, path)
        return self._with_direct(database, direct, tuning, path)

    def require(self, labels: Iterable[str]) -> None:
        """Raise ``ConfigurationError`` if one of ``labels`` has no variable, nor has its group.

        A ``database.py`` is not enough: it is often the laptop's, and a lost secret must not send
        an app's writes there.
        """
        for label in labels:
            group = self._groups.members(self._groups.leader_of(label))
            if not any(self.value(variable_of(member)) for member in group):
                raise ConfigurationError(
                    f"The app {label!r} is required to have its database from the environment, but"
                    f" {' and '.join(self._unset(variable_of(member)) for member in group)}. Set"
                    f" {variable_of(group[0])}; without it the app's writes would go to another"
                    " database."
                )

    def additional(self, alias: str, variable: str, url: str) -> Database:
        """Return a database of no app, whose ``url`` was given by ``variable``."""
        parsed = parse_database_url(url, name=variable, base_dir=self._base_dir)
        return self._database(alias, Source("environment", variable), parsed, {}, variable)

    def value(self, variable: str) -> str | None:
        """Return the value of an environment variable; an empty one counts as unset."""
        return given(self._env, variable)

    def tuning_of(self, leader: str) -> dict[str, Any]:
        """Return the tuning of the group or app ``leader``, wherever it lives."""
        members = [self._apps[label] for label in self._groups.members(leader)]
        return self._tuning(members)[1]

    def shown(self, path: str) -> str:
        """Return ``path`` as messages show it: relative to ``base_dir`` where it lies there."""
        relative = os.path.relpath(path, self._base_dir)
        return path if relative.startswith(os.pardir) else Path(relative).as_posix()

    def _unset(self, variable: str) -> str:
        return f"{variable} is {'empty' if variable in self._env else 'not set'}"

    def _check_core(self, members: list[App]) -> None:
        """Refuse a variable that means to take ``admin`` or ``contenttypes`` from their group."""
        if len(members) == 1 or members[0].label not in CORE_LABELS:
            return
        given = [app for app in members if self.value(app.variable)]
        followers = [app for app in given if app.label in CORE_LABELS[1:]]
        if given and given == followers and members[0] not in given:
            raise ConfigurationError(
                f"{given[0].variable} is set, but {given[0].label!r} cannot leave its group"
                f" ({', '.join(app.label for app in members)}): their tables refer to each other."
                f" Set {members[0].variable} to move the group."
            )

    def _from_environment(self, members: list[App]) -> Iterable[_Candidate]:
        for app in members:
            if url := self.value(app.variable):
                source = Source("environment", app.variable)
                yield source, parse_database_url(url, name=app.variable, base_dir=self._base_dir)

    def _from_modules(self, members: list[App]) -> Iterable[_Candidate]:
        for app in members:
            if app.module and (app.module.url or app.module.database is not None):
                source = Source("database.py", self.shown(app.module.path))
                yield source, self._parse_module(app.module, source.name)

    def _parse_module(self, module: DatabaseModule, name: str) -> ParsedUrl:
        if module.url:
            return parse_database_url(module.url, name=name, base_dir=self._base_dir)
        config = deepcopy(module.database or {})
        family = family_of(config["ENGINE"]) or Family(config["ENGINE"])
        database_name = config.setdefault("NAME", "")
        options = {**module.tuning.get("OPTIONS", {}), **config.get("OPTIONS", {})}
        if not database_name and family.must_be_named(options):
            raise ConfigurationError(f"{name}: DATABASE has no 'NAME'.")
        if family.is_sqlite and not str(database_name).startswith((":memory:", "file:")):
            config["NAME"] = str(self._base_dir / database_name)
        return ParsedUrl(config, family)

    def _refuse_lone(self, variables: list[str], members: list[App]) -> None:
        """Refuse a direct URL for an app on the default: its own URL may have been lost."""
        for name in filter(self.value, variables):
            raise ConfigurationError(
                f"{name} is set, but {', '.join(app.label for app in members)} has no database of"
                f" its own. Set {members[0].variable}, or remove {name}: the direct URL of the"
                f" default database is {DEFAULT_DIRECT_VARIABLE}."
            )

    def _with_direct(
        self, database: Database, variables: list[str], tuning: dict[str, Any], path: str
    ) -> Database:
        """Add the direct URL that one of ``variables`` holds; several must be equal."""
        found = {
            name: direct_setting(
                parse_database_url(url, name=name, base_dir=self._base_dir),
                database.family,
                tuning,
                name=name,
                path=path,
            )
            for name in variables
            if (url := self.value(name))
        }
        for setting in found.values():
            if database.direct is None:
                database.direct = setting
            elif database.direct != setting:
                raise ConfigurationError(
                    f"{' and '.join(found)} differ, but are for one database. Keep one of them, or"
                    " make them equal."
                )
        return database

    def _agreed(self, candidates: list[_Candidate], members: list[App]) -> _Candidate:
        first, *others = candidates
        for other in others:
            if other[1] != first[1]:
                raise ConfigurationError(
                    f"{first[0].name} and {other[0].name} name two databases, but"
                    f" {', '.join(app.label for app in members)} must live together. Keep one of"
                    " them, or make both equal."
                )
        return first

    def _tuning(self, members: list[App]) -> tuple[str, dict[str, Any]]:
        """Return the tuning of all members together, and the files it came from."""
        merged: dict[str, Any] = {}
        origin: dict[str, str] = {}
        for module in (app.module for app in members if app.module):
            path = self.shown(module.path)
            for name, value in module.tuning.items():
                if merged.setdefault(name, value) != value:
                    raise ConfigurationError(
                        f"{origin[name]} and {path} give {name} two values, but their apps share"
                        " a database. Keep one of them."
                    )
                origin.setdefault(name, path)
        return " and ".join(sorted(set(origin.values()))), merged

    def _database(
        self, alias: str, source: Source, parsed: ParsedUrl, tuning: dict[str, Any], path: str
    ) -> Database:
        ignored = tune(parsed, tuning, name=source.name, path=path)
        if ignored:
            engine = parsed.config["ENGINE"]
            self.findings.append(
                {"kind": "pool", "alias": alias, "engine": engine, "names": ignored}
            )
        return Database(alias, parsed.config, parsed.family, source)
