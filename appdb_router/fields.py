"""A field of the package's own tables."""

import json
from typing import TYPE_CHECKING, Any

from django.core.serializers.json import DjangoJSONEncoder
from django.db import models


class JSONTextField(models.TextField):  # type: ignore[type-arg]
    """JSON in a column of text.

    ``JSONField`` asks the database whether it can, and the system checks of Django 6.1 would open
    every database for that.
    """

    if TYPE_CHECKING:
        # Where django-stubs looks for what may be set, and what is read.
        _pyi_private_set_type: Any
        _pyi_private_get_type: Any

    def get_prep_value(self, value: Any) -> str:
        """Return the text for ``value``."""
        return json.dumps(value, cls=DjangoJSONEncoder)

    def from_db_value(self, value: str, *_args: Any) -> Any:
        """Return what the text says."""
        return json.loads(value)
