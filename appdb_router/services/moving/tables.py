"""The tables of a move, as all of its parts know them."""

from dataclasses import dataclass

from django.db.models import Model

__all__ = ["MovedTable"]


@dataclass(frozen=True)
class MovedTable:
    """A table to move: that of ``model``, an automatic many-to-many table included.

    ``name`` is its ``db_table``. ``columns`` are those that are written, by name, in an order that
    both databases share; what the server computes itself (generated columns) is not among them.
    ``key`` are the columns of the primary key, in its order, and empty where the source has none.
    """

    model: type[Model]
    name: str
    columns: tuple[str, ...]
    key: tuple[str, ...]

    @property
    def label(self) -> str:
        """The app's label."""
        return self.model._meta.app_label
