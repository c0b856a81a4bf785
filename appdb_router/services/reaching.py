"""Raw SQL and migrations that would reach into another database."""

import sys
from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from django.apps import AppConfig, apps
from django.db.migrations.migration import Migration
from django.db.models import Model

from ..relations.homes import homes_in, is_everywhere
from ..topology import Topology, label_of
from .loading import SharedLoader
from .searching import Asked, Found, find_calls, is_whole, source_files
from .statements import tables_named

__all__ = ["Reach", "Statement"]

# They add tables to a query of the model's own.
_JOINING = {"extra", "RawSQL"}


@dataclass(frozen=True)
class Statement:
    """Raw SQL of the app ``label``, in the ``line`` of the module ``path``.

    ``alias`` is the database that it would be sent to, and ``tables`` has those that it names, with
    the app and the database that each would be in. ``kind`` is the name of what is called.
    ``is_whole`` is false if a part of the text is made where the source does not tell.
    """

    label: str
    path: str
    line: int
    kind: str
    alias: str
    tables: Mapping[str, tuple[str, str]]
    is_whole: bool

    @property
    def aliases(self) -> set[str]:
        """The databases that it would need at once: one, if all is well."""
        return {self.alias, *(home for _, home in self.tables.values())}

    @property
    def labels(self) -> set[str]:
        """The apps whose tables the statement brings together."""
        own = {self.label} if self.kind in _JOINING else set()
        return own | {label for label, _ in self.tables.values()}

    def as_dict(self) -> dict[str, Any]:
        """Return the statement as ``db_plan --format json`` shows it."""
        return {
            **asdict(self),
            "tables": {name: home for name, (_, home) in self.tables.items()},
        }


@dataclass(frozen=True)
class Reach:
    """A migration of the app ``label`` that asks for something of the app ``target``.

    ``asks_for`` is a model, which ``path`` and ``line`` ask for in a function of ``RunPython``, or
    a migration that this one depends on.
    """

    label: str
    migration: str
    target: str
    asks_for: str
    path: str | None = None
    line: int | None = None

    @property
    def is_dependency(self) -> bool:
        """Whether it depends on a migration, rather than using a model."""
        return self.line is None

    def as_dict(self) -> dict[str, Any]:
        """Return the reach as ``db_plan --format json`` shows it."""
        return asdict(self)


@dataclass(frozen=True)
class Source:
    """What was found in the modules of ``labels``; ``unreadable`` modules are none of Python."""

    labels: tuple[str, ...]
    found: tuple[tuple[str, Found], ...]
    unreadable: tuple[Path, ...]


def read_source(labels: Collection[str]) -> Source:
    """Read the modules of the apps ``labels``, without running them."""
    configs = [apps.get_app_config(label) for label in sorted(labels)]
    migrations, folders = _migration_files(), {Path(item.path) for item in apps.get_app_configs()}
    found: list[tuple[str, Found]] = []
    unreadable = []
    for config in configs:
        own = migrations.get(config.label, set())
        models = _models_by_name(config)
        for path in sorted({*source_files(Path(config.path), folders), *own}):
            try:
                calls = list(find_calls(path, models, is_migration=path in own))
            except (SyntaxError, ValueError):
                unreadable.append(path)
            else:
                found += [(config.label, item) for item in calls]
    return Source(tuple(config.label for config in configs), tuple(found), tuple(unreadable))


def statements(source: Source, topology: Topology) -> Iterator[Statement]:
    """Yield the raw SQL in ``source``, with the databases that ``topology`` has for it."""
    home = homes_in(topology)
    models = {model._meta.db_table: model for model in _models()}
    for label, found in source.found:
        if found.kind == "get_model":
            continue
        named = tables_named(found.text, models)
        yield Statement(
            label,
            display_path(found.path, topology),
            found.line,
            found.kind,
            _alias(found.asked, label, topology),
            {name: (label_of(models[name]), home(models[name])) for name in sorted(named)},
            # A call that may have nothing to do with SQL counts for the tables in it alone.
            is_whole(found.text) or not found.is_certain,
        )


def _alias(asked: Asked | None, label: str, topology: Topology) -> str:
    """Return the database that is asked; what nobody knows is taken for that of the app."""
    alias = topology.routes.get(asked.label or "", asked.alias) if asked else None
    return topology.canonical_aliases.get(alias) or topology.alias_of(label)


def reaches(source: Source, topology: Topology) -> Iterator[Reach]:
    """Yield what the migrations of the apps of ``source`` ask for of other apps."""
    for (label, name), migration in sorted(_migrations().items()):
        for other, parent in sorted(map(tuple, migration.dependencies)):
            if label in source.labels and other != label:
                yield Reach(label, f"{label}.{name}", other, f"{other}.{parent}")
    for label, found in source.found:
        target = found.text.partition(".")[0]
        if found.kind == "get_model" and target in topology.routes and target != label:
            path = display_path(found.path, topology)
            name = f"{label}.{found.path.stem}"
            yield Reach(label, name, target, found.text, path, found.line)


def display_path(path: Path, topology: Topology) -> str:
    """Return ``path``, from the project's folder if it is below that."""
    is_below = path.is_relative_to(topology.base_dir)
    return (path.relative_to(topology.base_dir) if is_below else path).as_posix()


def _models() -> Iterator[type[Model]]:
    for model in apps.get_models(include_auto_created=True):
        if not (is_everywhere(model) or model._meta.proxy):
            yield model


def _models_by_name(config: AppConfig) -> dict[str, type[Model]]:
    """Return the models that a name in a module of ``config`` can only mean, its own first."""
    found: dict[str, list[type[Model]]] = {}
    for model in apps.get_models():
        found.setdefault(model.__name__, []).append(model)
    unique = {name: models[0] for name, models in found.items() if len(models) == 1}
    return unique | {model.__name__: model for model in config.get_models()}


def _migrations() -> dict[tuple[str, str], Migration]:
    return SharedLoader(None).disk_migrations or {}


def _migration_files() -> dict[str, set[Path]]:
    found: dict[str, set[Path]] = {}
    for (label, _), migration in _migrations().items():
        path = sys.modules[type(migration).__module__].__file__
        found.setdefault(label, set()).add(Path(str(path)))
    return found
