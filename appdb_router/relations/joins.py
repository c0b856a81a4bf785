"""Queries that would join tables of two databases: said before any SQL is sent."""

from collections.abc import Callable
from typing import Any

from django.apps import apps
from django.db.models import Model

from ..exceptions import CrossingQueryError
from ..moves.gate import seen_homes
from ..signals import announced
from ..topology import Topology, get_topology, label_of
from .homes import asked_home_of_other, home_of, is_everywhere
from .rewriting import join_error, subquery_error


class _Tables:
    """The tables that are elsewhere, by alias, as long as ``topology`` is in effect.

    ``homes`` are those of the apps in a move, whose tables are ``moving``.
    """

    def __init__(self, topology: Topology, homes: tuple[str, ...]) -> None:
        self.topology = topology
        self.homes = homes
        aliases = topology.canonical_aliases
        certain = _certain_tables()
        away = {
            home: {table: model for table, model in certain.items() if home_of(model) != home}
            for home in set(aliases.values())
        }
        self.away = {alias: away[home] for alias, home in aliases.items()}
        self.moving = {
            table: model for table, model in certain.items() if label_of(model) in topology.moves
        }


_tables: _Tables | None = None


def _current_tables() -> _Tables:
    global _tables
    topology, tables = get_topology(), _tables
    homes = seen_homes() if topology.moves else ()
    if tables is None or tables.topology is not topology or tables.homes != homes:
        # Of two threads that are here at once, each makes the same.
        tables = _tables = _Tables(topology, homes)
    return tables


def tables_away(alias: str) -> dict[str, type[Model]]:
    """Return the models, by table, that live in another database than ``alias`` stands for.

    There are none for an alias that somebody else added.
    """
    return _current_tables().away.get(alias, {})


def _ask_for_others(query: Any, tables: _Tables) -> None:
    """Ask where the apps in a move are whose tables ``query`` joins with those of another app."""
    for table in tables.moving.keys() & query.table_map:
        asked_home_of_other(query.model, tables.moving[table])


def _certain_tables() -> dict[str, type[Model]]:
    """Return the models by their tables.

    Left out are tables that nobody can be sure of: those of unmanaged models, and those that models
    in several databases have.
    """
    found: dict[str, type[Model]] = {}
    unsure = {"django_migrations"}
    for model in apps.get_models(include_auto_created=True):
        table = model._meta.db_table
        first = found.setdefault(table, model)
        if not model._meta.managed or home_of(first) != home_of(model) or is_everywhere(model):
            unsure.add(table)
    return {table: model for table, model in found.items() if table not in unsure}


def from_clause(original: Callable[..., Any]) -> Callable[..., Any]:
    """Return what replaces ``SQLCompiler.get_from_clause``.

    Only here it is known which joins remain: those for a key alone are trimmed.
    """

    def replacement(self: Any) -> Any:
        tables = _current_tables()
        # Asked for every query, so no call where no app is moved.
        if tables.moving:
            _ask_for_others(self.query, tables)
            tables = _current_tables()
        away = tables.away.get(self.connection.alias)
        if away and not away.keys().isdisjoint(self.query.table_map):
            _refuse_crossing(self.query, away)
        return original(self)

    return replacement


def combinator_sql(original: Callable[..., Any]) -> Callable[..., Any]:
    """Return what replaces ``SQLCompiler.get_combinator_sql``: the parts of a union, say."""

    def replacement(self: Any, combinator: str, all: bool) -> Any:
        away = tables_away(self.connection.alias)
        models = {query.model for query in self.query.combined_queries}
        found = {model for model in models if model._meta.db_table in away}
        # All of one other database: somebody said using(), and knows.
        if found and found != models:
            names = " and ".join(sorted(f"{m._meta.label} ({home_of(m)!r})" for m in models))
            text = (
                f"No query can take the {combinator} of tables in different databases: {names}."
                " Ask each for itself, and put the lists together."
            )
            labels = sorted(model._meta.label for model in models)
            raise announced(CrossingQueryError(text, tuple(labels)))
        return original(self, combinator, all)

    return replacement


def _refuse_crossing(query: Any, away: dict[str, type[Model]]) -> None:
    """Raise ``CrossingQueryError`` if a table of another database is joined, or in a subquery."""
    # The first table of a query for itself may be elsewhere: somebody said using(), and knows.
    base = query.base_table
    is_away = getattr(query.alias_map.get(base), "table_name", None) in away
    if is_away and not query.subquery:
        return
    for name, source in query.alias_map.items():
        if query.alias_refcount.get(name) and source.table_name in away:
            model = away[source.table_name]
            make_error = subquery_error if name == base else join_error
            raise announced(make_error(query, name, model))
