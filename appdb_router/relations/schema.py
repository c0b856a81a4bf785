"""Foreign keys into another database become plain columns, whoever migrates.

No server can check such a key. The migrations and the models stay as they are, so
``makemigrations`` finds nothing to do, and the column gets its constraint where both apps share a
database.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from functools import cache
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.models import Field, Model

from ..topology import get_topology, label_of
from .homes import canonical, home_of, is_routed


class CrossingSchemaEditor(BaseDatabaseSchemaEditor):
    """A schema editor that leaves out the constraints that its server cannot check.

    It also does nothing to the tables that other databases have: renaming a model, or changing the
    key of one, makes Django alter every foreign key that points at it.
    """

    def create_model(self, model: type[Model]) -> None:
        """Create the table of ``model``."""
        with _unconstrained(model, model._meta.local_fields, self.connection.alias):
            super().create_model(model)

    def add_field(self, model: type[Model], field: "Field[Any, Any]") -> None:
        """Add the column of ``field``."""
        with _unconstrained(model, [field], self.connection.alias):
            super().add_field(model, field)

    def alter_field(
        self,
        model: type[Model],
        old_field: "Field[Any, Any]",
        new_field: "Field[Any, Any]",
        strict: bool = False,
    ) -> None:
        """Make ``new_field`` of ``old_field``."""
        if not self._is_elsewhere(model):
            alias = self.connection.alias
            with _altered_on(alias), _unconstrained(model, [old_field, new_field], alias):
                super().alter_field(model, old_field, new_field, strict)

    def _remake_table(self, model: type[Model], *args: Any, **kwargs: Any) -> None:
        # SQLite's way to alter, also for the tables that refer to the altered one.
        if not self._is_elsewhere(model):
            remake: Any = super()
            remake._remake_table(model, *args, **kwargs)

    def _is_elsewhere(self, model: type[Model]) -> bool:
        return not get_topology().has_tables(label_of(model), self.connection.alias)


@cache
def _with_crossing(editor: type[BaseDatabaseSchemaEditor]) -> type[BaseDatabaseSchemaEditor]:
    return type(editor.__name__, (CrossingSchemaEditor, editor), {"__module__": editor.__module__})


def schema_editor(original: Callable[..., Any]) -> Callable[..., Any]:
    """Return what replaces ``BaseDatabaseWrapper.schema_editor``.

    A database that somebody added by hand has whatever tables their router says.
    """

    def replacement(self: BaseDatabaseWrapper, *args: Any, **kwargs: Any) -> Any:
        if not is_routed(self.alias):
            return original(self, *args, **kwargs)
        editor: Any = self.SchemaEditorClass
        return _with_crossing(editor)(self, *args, **kwargs)

    return replacement


def related_non_m2m_objects(original: Callable[..., Any]) -> Callable[..., Any]:
    """Return what replaces the search for the columns that refer to a column that is altered.

    Those of another database keep their type: only a migration of their own app can change it.
    """

    def replacement(old_field: Any, new_field: Any) -> Iterator[tuple[Any, Any]]:
        alias = _altered.get() or home_of(new_field.model)
        for old, new in original(old_field, new_field):
            if get_topology().has_tables(label_of(new.related_model), alias):
                yield old, new

    return replacement


# The alias whose column is being altered: an app in a move has tables in two databases.
_altered: ContextVar[str] = ContextVar("appdb_router.altered", default="")


@contextmanager
def _altered_on(alias: str) -> Iterator[None]:
    token = _altered.set(alias)
    try:
        yield
    finally:
        _altered.reset(token)


@contextmanager
def _unconstrained(model: type[Model], fields: Iterable[Any], alias: str) -> Iterator[None]:
    """Take the constraint from those of ``fields`` that lead from ``alias`` to another database.

    This is for a while. A field that a migration hands over may not know its model.
    """
    with ExitStack() as stack:
        for field in fields:
            if getattr(field, "db_constraint", False) and _leads_away(model, field, alias):
                field.db_constraint = False
                stack.callback(setattr, field, "db_constraint", True)
        yield


def _leads_away(model: type[Model], field: Any, alias: str) -> bool:
    target = field.remote_field.model
    label, target_label, moves = label_of(model), label_of(target), get_topology().moves
    if label == target_label:
        return False
    if label not in moves and target_label not in moves:
        return home_of(model) != home_of(target)
    # What moves together is together in both databases; whoever stays is in one.
    return moves.get(label) is not moves.get(target_label) and home_of(target) != canonical(alias)
