"""From where an app is moved to its own database: ``<LABEL>_DATABASE_MOVE_FROM``."""

from collections.abc import Mapping
from dataclasses import dataclass

from .exceptions import ConfigurationError, suggestion
from .groups import Groups
from .naming import move_variable_of, variable_of
from .resolution import Database, Resolver

# An alias has none of it, and every URL has.
_OF_A_URL = "://"


@dataclass(frozen=True)
class MoveSource:
    """The alias that an app's rows come from, and the variable that says so."""

    alias: str
    variable: str


def find_moves(
    databases: dict[str, Database], groups: Groups, resolver: Resolver
) -> dict[str, MoveSource]:
    """Return from where apps are moved, by the alias of their own database.

    Where a variable names the source by its URL, ``databases`` gets an alias without apps for it.
    Raises ``ConfigurationError``.
    """
    finder = _Finder(databases, groups, resolver)
    found = {leader: finder.find(leader) for leader in groups.leaders()}
    return {leader: source for leader, source in found.items() if source}


def check_moves(moves: Mapping[str, MoveSource], canonical: Mapping[str, str]) -> None:
    """Raise ``ConfigurationError`` if an app is moved to the database that it is in."""
    for leader, source in moves.items():
        if canonical[source.alias] == canonical[leader]:
            raise ConfigurationError(
                f"{source.variable} and the URL of {leader!r} name one physical database. Let"
                f" {source.variable} name the one that the rows are in, or remove it."
            )


class _Finder:
    """Reads the variables of one project."""

    def __init__(self, databases: dict[str, Database], groups: Groups, resolver: Resolver) -> None:
        self._databases = databases
        self._groups = groups
        self._resolver = resolver

    def find(self, leader: str) -> MoveSource | None:
        """Return from where the group or app ``leader`` is moved, if it is."""
        members = self._groups.members(leader)
        variables = map(move_variable_of, members)
        given = {name: text.strip() for name in variables if (text := self._resolver.value(name))}
        if not given:
            return None
        if len(set(given.values())) > 1:
            raise ConfigurationError(
                f"{' and '.join(given)} differ, but {', '.join(members)} move together. Keep one of"
                " them, or make them equal."
            )
        variable, text = next(iter(given.items()))
        if leader not in self._databases:
            raise ConfigurationError(
                f"{variable} is set, but {', '.join(members)} has no database of its own to move"
                f" to. Set {variable_of(leader)}, or remove {variable}."
            )
        is_url = _OF_A_URL in text
        alias = self._declare(leader, variable, text) if is_url else self._alias(variable, text)
        return MoveSource(alias, variable)

    def _declare(self, leader: str, variable: str, url: str) -> str:
        alias = f"{leader}_source"
        if alias in self._groups.labels:
            raise ConfigurationError(
                f"{variable} is a URL, and would get the alias {alias!r}, which is the label of an"
                " app. Set another 'label' in the AppConfig of that app."
            )
        self._databases[alias] = self._resolver.additional(alias, variable, url)
        return alias

    def _alias(self, variable: str, name: str) -> str:
        leader = self._groups.leader_of(name)
        alias = leader if name in self._groups.labels else name
        if alias in self._databases:
            return alias
        if name in self._groups.labels:
            raise ConfigurationError(
                f"{variable} is {name!r}, an app without a database of its own. Write 'default',"
                " where it lives."
            )
        raise ConfigurationError(
            f"{variable} is {name!r}, which is neither the alias of a database nor a URL."
            + suggestion(name, self._databases, "aliases")
        )
