"""The relations of the installed apps that cross, and those of them that cannot work.

Each question takes a ``home``, which says where models live: as they do now, or as they might.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from django.apps import apps
from django.core.exceptions import FieldDoesNotExist
from django.db.models import Model
from django.db.models.fields.related import ForeignObject, RelatedField

from ..topology import label_of
from .homes import Home, home_of, is_reverse


@dataclass(frozen=True)
class CrossingRelation:
    """A relation of the model ``source`` to ``target`` in another database.

    ``obstacle`` says why it cannot work, and is ``None`` where this package takes care of it.
    """

    field: Any
    source: type[Model]
    target: type[Model]
    obstacle: str | None

    @property
    def models(self) -> tuple[type[Model], ...]:
        """The models whose tables take part: that between is one."""
        through = getattr(self.field.remote_field, "through", None)
        return (self.source, self.target, *([through] if through else ()))

    def __str__(self) -> str:
        return f"{self.source._meta.label}.{self.field.name} to {self.target._meta.label}"


def crossing_relations(
    models: Iterable[type[Model]] | None = None, home: Home = home_of
) -> Iterator[CrossingRelation]:
    """Yield the relations of ``models``, by default of all apps, that lead to another database."""
    for model in apps.get_models() if models is None else models:
        if model._meta.proxy:
            continue
        for field in (*model._meta.local_fields, *model._meta.local_many_to_many):
            target = field.related_model
            if isinstance(field, RelatedField) and isinstance(target, type):
                obstacle = _obstacle(model, field, target, home)
                if home(model) != home(target) or obstacle:
                    yield CrossingRelation(field, model, target, obstacle)


def _obstacle(model: type[Model], field: Any, target: type[Model], home: Home) -> str | None:
    if field.many_to_many:
        return _obstacle_between(model, field, target, home)
    if home(model) == home(target):
        return None
    if field.remote_field.parent_link:
        return "a row of the child is one of the parent too, and no query can write both"
    on_delete = field.remote_field.on_delete
    if getattr(on_delete, "on_delete_sql", None):
        return f"its on_delete={on_delete} is for the database to do, and it cannot"
    if isinstance(field, ForeignObject) and len(field.foreign_related_fields) > 1:
        return "it refers to several columns"
    return None


def _obstacle_between(
    model: type[Model], field: Any, target: type[Model], home: Home
) -> str | None:
    through = field.remote_field.through
    third = home(through)
    if third in {home(model), home(target)}:
        return None
    return f"the table between, of {through._meta.label}, is in a third: {third!r}"


def generic_foreign_keys(home: Home = home_of) -> Iterator[tuple[type[Model], str]]:
    """Yield the models, and their generic foreign keys, that do not live with content types."""
    if not apps.is_installed("django.contrib.contenttypes"):
        return
    core = home(apps.get_model("contenttypes", "ContentType"))
    for model in apps.get_models():
        if home(model) != core and not model._meta.proxy:
            for field in model._meta.private_fields:
                if getattr(field, "ct_field", None) and hasattr(field, "fk_field"):
                    yield model, field.name


def joined_on_the_way(model: type[Model], path: str, home: Home = home_of) -> type[Model] | None:
    """Return the model in another database that a look-up such as ``rider__email`` joins, if any.

    The relation alone does not, if it is the last step and its column, or the table between, is
    here.
    """
    current: Any = model
    here = model
    keys: tuple[Any, ...] = ()
    for name in path.split("__"):
        try:
            field: Any = current._meta.pk if name == "pk" else current._meta.get_field(name)
        except FieldDoesNotExist:
            # A transform such as ``date``, or an annotation.
            return None
        if home(current) != home(model):
            return None if field in keys and home(here) == home(model) else current
        if not field.is_relation or not isinstance(field.related_model, type):
            return None
        here, current = _with_the_key(field), field.related_model
        keys = getattr(field, "foreign_related_fields", (current._meta.pk,))
    return current if home(here) != home(model) else None


def _with_the_key(relation: Any) -> type[Model]:
    """Return the model whose table says which rows belong together."""
    through = getattr(relation.remote_field, "through", None) or getattr(relation, "through", None)
    is_theirs = is_reverse(relation) or relation.one_to_many
    owner = relation.related_model if is_theirs else relation.model
    found: type[Model] = through or owner
    return found


def by_app(relations: Iterable[CrossingRelation]) -> dict[str, list[CrossingRelation]]:
    """Return ``relations`` by the label of the app that has them."""
    found: dict[str, list[CrossingRelation]] = {}
    for relation in relations:
        found.setdefault(label_of(relation.source), []).append(relation)
    return found
