"""Content types and permissions of apps that do not live on the core alias."""

from collections.abc import Iterable
from typing import Any

from django.apps import apps
from django.contrib.auth import get_permission_codename
from django.contrib.auth.management import create_permissions
from django.contrib.contenttypes.management import create_contenttypes

from ..relations.homes import OWN_LABEL
from ..topology import Database, Topology, get_topology
from .loading import Key, names_on_disk

__all__ = ["written_elsewhere"]

_OF_PERMISSIONS = {"auth", "contenttypes"}


def core_for(alias: str) -> str | None:
    """Return the core alias, if ``alias`` is another and its apps have models; else ``None``."""
    topology = get_topology()
    here = topology.canonical_of(alias)
    core = topology.core_alias
    if core in {None, here} or not any(_models(label, apps) for label in labels_on(alias)):
        return None
    return core


def labels_on(alias: str) -> list[str]:
    """Return the apps whose database ``alias`` stands for, without the one that is everywhere."""
    topology = get_topology()
    here = topology.canonical_of(alias)
    labels = (label for label, home in topology.routes.items() if home == here)
    return sorted(label for label in labels if label != OWN_LABEL)


def migrations_of_core() -> set[Key]:
    """Return the migrations that make the tables of content types and permissions."""
    names, _ = names_on_disk()
    return {(label, name) for label, name in names if label in _OF_PERMISSIONS}


def missing_labels(core: str, labels: Iterable[str], registry: Any = apps) -> list[str]:
    """Return those of ``labels`` that lack a content type or a permission on ``core``.

    ``registry`` has the models. One query is made, or two if there are models without permissions.
    """
    wanted = {label: _wanted(label, registry) for label in labels}
    found: set[tuple[Any, ...]] = set()
    if apps.is_installed("django.contrib.auth"):
        permissions: Any = apps.get_model("auth", "Permission").objects.using(core)
        of_labels = permissions.filter(content_type__app_label__in=wanted)
        found.update(of_labels.values_list(*_NAMES))
    has_model_alone = any(item[2] is None for items in wanted.values() for item in items)
    if has_model_alone:
        types: Any = apps.get_model("contenttypes", "ContentType").objects.using(core)
        pairs = types.filter(app_label__in=wanted).values_list("app_label", "model")
        found.update((label, model, None) for label, model in pairs)
    return [label for label, items in wanted.items() if not items <= found]


_NAMES = ("content_type__app_label", "content_type__model", "codename")


def create(core: str, labels: Iterable[str], registry: Any) -> None:
    """Do on ``core`` for ``labels`` what Django's receivers do when it is migrated."""
    for label in labels:
        config = apps.get_app_config(label)
        create_contenttypes(config, using=core, apps=registry, verbosity=0)
        create_permissions(config, using=core, apps=registry, verbosity=0)


def written_elsewhere(topology: Topology, databases: Iterable[Database]) -> str | None:
    """Return in words what initialising ``databases`` writes to another one, if it does."""
    aliases = {database.alias for database in databases}
    core = topology.core_alias
    if core is None or core in aliases:
        return None
    names = sorted(alias for alias in aliases if core_for(alias))
    if not names:
        return None
    return (
        f"New content types and permissions of {', '.join(names)} are written to the database"
        f" {core!r}, where those of all apps are."
    )


def _wanted(label: str, registry: Any) -> set[tuple[str, str, str | None]]:
    found: set[tuple[str, str, str | None]] = set()
    has_permissions = apps.is_installed("django.contrib.auth")
    for model in _models(label, registry):
        meta = model._meta
        codenames = [get_permission_codename(action, meta) for action in meta.default_permissions]
        codenames += [codename for codename, _ in meta.permissions]
        wanted = codenames if has_permissions and codenames else [None]
        found |= {(label, meta.model_name, codename) for codename in wanted}
    return found


def _models(label: str, registry: Any) -> list[Any]:
    try:
        return list(registry.get_app_config(label).get_models())
    except LookupError:
        return []
