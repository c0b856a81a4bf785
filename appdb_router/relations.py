"""Relations whose two models live in different physical databases."""

from functools import lru_cache

from django.db.models import Model
from django.db.models.fields.related import RelatedField


# Asked at each assignment across databases, and the fields of a model do not change. Bounded: the
# models that migrations make up for each state would stay for ever.
@lru_cache(maxsize=4096)
def joins_without_constraint(left: type[Model], right: type[Model]) -> bool:
    """Tell whether a relation between the two models, either way, has ``db_constraint=False``.

    Such a field says that its author knows that the database does not check it.
    """
    return _points_at(left, right) or _points_at(right, left)


def _points_at(source: type[Model], target: type[Model]) -> bool:
    fields = (*source._meta.concrete_fields, *source._meta.many_to_many)
    return any(_is_unconstrained(field, target) for field in fields)


def _is_unconstrained(field: object, target: type[Model]) -> bool:
    if not isinstance(field, RelatedField):
        return False
    related = field.related_model._meta.concrete_model or field.related_model
    # ForeignKey keeps db_constraint itself, ManyToManyField keeps it on its remote_field.
    holder = field if hasattr(field, "db_constraint") else field.remote_field
    return issubclass(target, related) and not getattr(holder, "db_constraint", True)
