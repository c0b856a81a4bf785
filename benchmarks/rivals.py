"""The routers to compare with."""

from collections.abc import Mapping
from typing import Any

from django.db.models import Field, Model


class DocumentationRouter:
    """The router of Django's documentation on multiple databases, for one app."""

    def __init__(self, label: str) -> None:
        self.route_app_labels = {label}
        self.alias = label

    def db_for_read(self, model: type[Model], **hints: Any) -> str | None:
        if model._meta.app_label in self.route_app_labels:
            return self.alias
        return None

    def db_for_write(self, model: type[Model], **hints: Any) -> str | None:
        if model._meta.app_label in self.route_app_labels:
            return self.alias
        return None

    def allow_relation(self, obj1: Model, obj2: Model, **hints: Any) -> bool | None:
        if (
            obj1._meta.app_label in self.route_app_labels
            or obj2._meta.app_label in self.route_app_labels
        ):
            return True
        return None

    def allow_migrate(
        self,
        db: str,
        app_label: str,
        model_name: str | None = None,  # noqa: ARG002
        **hints: Any,
    ) -> bool | None:
        if app_label in self.route_app_labels:
            return db == self.alias
        return None


class DictRouter:
    """The smallest router that keeps every rule: two dictionaries, methods written plainly.

    Abstract models have no concrete model, and the cache tables that Django passes for models have
    not even the attribute.

    ``aliases`` has the canonical alias of each label, ``canonical`` that of each alias.
    """

    def __init__(self, aliases: Mapping[str, str], canonical: Mapping[Any, str]) -> None:
        self.aliases = aliases
        self.canonical = canonical

    def db_for_read(self, model: type[Model], **hints: Any) -> str | None:
        try:
            label = model._meta.concrete_model._meta.app_label  # type: ignore[union-attr]
        except AttributeError:
            label = model._meta.app_label
        return self.aliases.get(label)

    def db_for_write(self, model: type[Model], **hints: Any) -> str | None:
        try:
            label = model._meta.concrete_model._meta.app_label  # type: ignore[union-attr]
        except AttributeError:
            label = model._meta.app_label
        return self.aliases.get(label)

    def allow_relation(self, obj1: Model, obj2: Model, **hints: Any) -> bool:
        model1, model2 = obj1.__class__, obj2.__class__
        db1 = obj1._state.db or self.db_for_read(model1)
        db2 = obj2._state.db or self.db_for_read(model2)
        if self.canonical.get(db1, db1) == self.canonical.get(db2, db2):
            return True
        return points_without_constraint(model1, model2) or points_without_constraint(
            model2, model1
        )

    def allow_migrate(
        self,
        db: str,
        app_label: str,
        model_name: str | None = None,  # noqa: ARG002
        **hints: Any,
    ) -> bool:
        if "model" in hints:
            model = hints["model"]
            try:
                app_label = model._meta.concrete_model._meta.app_label
            except AttributeError:
                app_label = model._meta.app_label
        if app_label == "appdb_router":
            return True
        return self.canonical.get(db, db) == self.aliases.get(app_label, "default")


def points_without_constraint(source: type[Model], target: type[Model]) -> bool:
    """Tell whether a relation field of ``source`` to ``target`` has ``db_constraint=False``."""
    for field in (*source._meta.concrete_fields, *source._meta.many_to_many):
        related = field.related_model
        if isinstance(related, type) and issubclass(target, related) and unconstrained(field):
            return True
    return False


def unconstrained(field: "Field[Any, Any]") -> bool:
    """Tell whether the database does not check a relation field; a many-to-many's remote knows."""
    holder = field if hasattr(field, "db_constraint") else field.remote_field
    return not getattr(holder, "db_constraint", True)
