"""Commands of Django that would mean ``default`` when no ``--database`` is given."""

from argparse import ArgumentParser
from collections.abc import Collection, Iterable

from django.apps import apps
from django.core.management.base import CommandError
from django.core.management.utils import parse_apps_and_model_labels
from django.db.models import Model

from ..relations.homes import asked_home_of, is_everywhere
from ..topology import get_topology


class NoDefaultDatabaseMixin:
    """Makes ``--database`` an option that may be left out, which is then ``None``."""

    without_database: str

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Define the options of Django's command, with another default."""
        super().add_arguments(parser)  # type: ignore[misc]
        parser.set_defaults(database=None)
        for action in parser._actions:
            if action.dest == "database":
                action.help = f"Specifies the database to use. {self.without_database}"


def all_aliases() -> list[str]:
    """Return one alias for each physical database, core first."""
    return [item.alias for item in get_topology().canonical_databases()]


def only_home(labels: Collection[str], excluded: Iterable[str]) -> str:
    """Return where the models of ``labels`` live, by default of all apps, without ``excluded``.

    A label is that of an app or a model. Raises ``CommandError`` if they live in several databases.
    """
    homes: dict[str, set[str]] = {}
    for model in _models(labels, excluded):
        if not is_everywhere(model):
            homes.setdefault(asked_home_of(model), set()).add(model._meta.app_label)
    if len(homes) > 1:
        found = "; ".join(
            f"{alias!r} ({', '.join(sorted(homes[alias]))})" for alias in sorted(homes)
        )
        raise CommandError(
            f"The models asked for live in several databases: {found}. Name one with --database,"
            " or ask for the apps of one."
        )
    return next(iter(homes), "default")


def _models(labels: Collection[str], excluded: Iterable[str]) -> set[type[Model]]:
    chosen = _named(labels) if labels else set(apps.get_models())
    return {model for model in chosen - _named(excluded) if not model._meta.proxy}


def _named(labels: Iterable[str]) -> set[type[Model]]:
    models, configs = parse_apps_and_model_labels(labels)
    return {*models, *(model for config in configs for model in config.get_models())}
