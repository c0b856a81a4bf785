"""Generic relations of apps that do not live with ``contenttypes``.

Django looks content types up on the database of the object at hand, and the object of a content
type on that of the content type. Each is looked up where it lives.
"""

from collections.abc import Callable
from typing import Any

from .homes import at_home, related_home


def content_type_manager(original: Callable[..., Any]) -> Callable[..., Any]:
    """Return what replaces ``ContentTypeManager.db_manager``."""

    def replacement(self: Any, using: str | None = None, hints: Any = None) -> Any:
        return original(self, at_home(self.model, using), hints)

    return replacement


def object_for_this_type(original: Callable[..., Any]) -> Callable[..., Any]:
    """Return what replaces ``ContentType.get_object_for_this_type``."""

    def replacement(self: Any, using: str | None = None, **kwargs: Any) -> Any:
        model = self.model_class()
        if model is not None:
            using = at_home(model, using)
        return original(self, using=using, **kwargs)

    return replacement


def bulk_related_objects(original: Callable[..., Any]) -> Callable[..., Any]:
    """Return what replaces ``GenericRelation.bulk_related_objects``."""

    def replacement(self: Any, objs: Any, using: str = "default") -> Any:
        return original(self, objs, related_home(self.remote_field.model, objs, using))

    return replacement
