"""Who lives where: the aliases, their physical databases, and the labels routed to them."""

from collections import ChainMap
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import RLock
from typing import Any

from django.core.signals import setting_changed
from django.db.models import Model
from django.dispatch import Signal

from .conf import database_metadata
from .exceptions import UnknownLabelError

__all__ = ["AppMove", "Database", "Topology", "get_topology"]


@dataclass(frozen=True)
class Database:
    """An alias that ``build_databases`` made, or ``register_database``.

    ``canonical_alias`` is the alias to which the models of its physical database are routed: its
    own, unless an earlier alias points at the same place.
    """

    alias: str
    labels: tuple[str, ...]
    source_kind: str
    source_name: str
    canonical_alias: str

    @property
    def is_shared(self) -> bool:
        """Whether another alias already stands for this physical database."""
        return self.alias != self.canonical_alias


@dataclass(frozen=True)
class AppMove:
    """A move that the settings announce: of the app or group ``leader``, which is ``labels``.

    ``source`` and ``target`` are canonical aliases, and ``variable`` is what announces it. When it
    ``is_finalized``, as far as this process knows, the source has nothing of the app any more.
    """

    leader: str
    labels: tuple[str, ...]
    source: str
    target: str
    variable: str
    is_finalized: bool = False

    @property
    def aliases(self) -> tuple[str, ...]:
        """The databases that have the app's tables."""
        return (self.target,) if self.is_finalized else (self.source, self.target)


@dataclass(frozen=True)
class Topology:
    """The project's databases and routes.

    ``routes`` maps each installed label to the canonical alias of its database; that of an app in
    a move is the one where this process has seen it last. ``moves`` has the moves by label, and
    ``canonical_aliases`` each alias to its canonical one. ``core_label`` leads the group of
    ``contenttypes``, and is ``None`` where nothing of that group is installed; ``groups`` are the
    labels that must live together, the leader of each group first; ``findings`` are what settings
    time noticed that deserves a warning.
    """

    databases: dict[str, Database]
    routes: Mapping[str, str]
    canonical_aliases: dict[str | None, str]
    core_label: str | None
    groups: tuple[tuple[str, ...], ...]
    base_dir: Path
    local_labels: tuple[str, ...]
    findings: tuple[dict[str, Any], ...]
    moves: Mapping[str, AppMove] = field(default_factory=dict)

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, Mapping[str, Any]]) -> "Topology":
        """Return the topology that the metadata in ``settings.DATABASES`` describes."""
        databases = {
            alias: Database(
                alias,
                tuple(entry["labels"]),
                entry["source"]["kind"],
                entry["source"]["name"],
                entry["canonical"],
            )
            for alias, entry in metadata.items()
        }
        project = metadata["default"]["project"]
        homes = {
            label: item.canonical_alias for item in databases.values() for label in item.labels
        }
        moves = _moves(databases, metadata)
        homes.update((label, move.source) for label, move in moves.items())
        return cls(
            databases,
            homes,
            {alias: item.canonical_alias for alias, item in databases.items()},
            project["core"],
            tuple(map(tuple, project["groups"])),
            Path(project["base_dir"]),
            tuple(project["local"]),
            tuple(project["findings"]),
            moves,
        )

    @property
    def core_alias(self) -> str | None:
        """The canonical alias that holds ``contenttypes``, or ``None`` if that is not installed."""
        return self.routes[self.core_label] if self.core_label else None

    @property
    def routed_aliases(self) -> frozenset[str]:
        """The aliases that queries are routed to; those that share a database are not."""
        return frozenset(self.routes.values())

    def canonical_of(self, alias: str) -> str:
        """Return the alias that stands for the physical database of ``alias``.

        An alias that was added by hand stands for itself.
        """
        return self.canonical_aliases.get(alias, alias)

    def database_of(self, label: str) -> Database:
        """Return the alias of the app ``label``, or of its group; a shared alias as it is.

        Raises ``UnknownLabelError`` if no such app is installed.
        """
        self.alias_of(label)
        return next(item for item in self.databases.values() if label in item.labels)

    def alias_of(self, label: str) -> str:
        """Return the canonical alias of the app ``label``.

        Raises ``UnknownLabelError`` if no such app is installed.
        """
        try:
            return self.routes[label]
        except KeyError:
            raise UnknownLabelError(label, self.routes) from None

    def group_of(self, label: str) -> tuple[str, ...]:
        """Return the labels that live with ``label``, the leader first; ``label`` is one of them.

        Raises ``UnknownLabelError`` if no such app is installed.
        """
        self.alias_of(label)
        return next((group for group in self.groups if label in group), (label,))

    def aliases_of(self, label: str) -> tuple[str, ...]:
        """Return the canonical aliases whose databases have the tables of the app ``label``.

        These are two while it is moved. Raises ``UnknownLabelError`` if no such app is installed.
        """
        return self.moves[label].aliases if label in self.moves else (self.alias_of(label),)

    def has_tables(self, label: str, alias: str) -> bool:
        """Tell whether the database of ``alias`` has the tables of the app ``label``.

        Those of an app in a move are in two databases. What belongs to no installed app is on the
        default.
        """
        canonical = self.canonical_of(alias)
        if label in self.moves:
            return canonical in self.moves[label].aliases
        return canonical == self.routes.get(label, "default")

    def with_home(self, move: AppMove, alias: str, *, is_finalized: bool = False) -> "Topology":
        """Return this topology with the apps of ``move`` at home in ``alias``."""
        homes = dict.fromkeys(move.labels, alias)
        # The routes may be a mapping that answers each thread on its own.
        is_plain = isinstance(self.routes, dict)
        routes = {**self.routes, **homes} if is_plain else ChainMap(homes, self.routes)  # type: ignore[arg-type]
        now = replace(move, is_finalized=is_finalized)
        moves = {**self.moves, **dict.fromkeys(move.labels, now)}
        return replace(self, routes=routes, moves=moves)

    def with_database(self, added: Database) -> "Topology":
        """Return this topology with the labels of ``added`` moved there."""
        databases = {
            alias: replace(
                item, labels=tuple(label for label in item.labels if label not in added.labels)
            )
            for alias, item in self.databases.items()
        }
        moved = dict.fromkeys(added.labels, added.canonical_alias)
        return replace(
            self,
            databases={**databases, added.alias: added},
            routes={**self.routes, **moved},
            canonical_aliases={**self.canonical_aliases, added.alias: added.canonical_alias},
            moves={label: move for label, move in self.moves.items() if label not in added.labels},
        )

    def canonical_databases(self) -> list[Database]:
        """Return one alias for each physical database: core first, then default, then the rest."""
        first = (self.core_alias, "default")
        return sorted(
            (item for item in self.databases.values() if not item.is_shared),
            key=lambda item: first.index(item.alias) if item.alias in first else len(first),
        )


def _moves(
    databases: Mapping[str, Database], metadata: Mapping[str, Mapping[str, Any]]
) -> dict[str, AppMove]:
    """Return by label the moves that the metadata announces."""
    found = {}
    for alias, entry in metadata.items():
        if "move" in entry:
            target, source = databases[alias], databases[entry["move"]["source"]]
            move = AppMove(
                alias,
                target.labels,
                source.canonical_alias,
                target.canonical_alias,
                entry["move"]["variable"],
            )
            found.update(dict.fromkeys(target.labels, move))
    return found


_changed = Signal()
_lock = RLock()
_current: Topology | None = None


def get_topology() -> Topology:
    """Return the topology in effect: that of ``settings.DATABASES``, and what was registered."""
    return _current or _first_topology()


def _first_topology() -> Topology:
    with _lock:
        return _current or publish(settings_topology())


def settings_topology() -> Topology:
    """Return the topology of ``settings.DATABASES`` alone."""
    return Topology.from_metadata(database_metadata())


def publish(topology: Topology) -> Topology:
    """Put ``topology`` into effect, for all threads at once, and return it."""
    global _current
    with _lock:
        _current = topology
        _changed.send(Topology, topology=topology)
    return topology


def subscribe(receiver: Callable[..., None]) -> None:
    """Call ``receiver`` with ``topology``, now and whenever another one takes effect.

    It is kept by a weak reference.
    """
    with _lock:
        receiver(topology=get_topology())
        _changed.connect(receiver)


def _forget(*, setting: str, **_kwargs: object) -> None:
    global _current
    if setting == "DATABASES":
        _current = None


setting_changed.connect(_forget)


def label_of(model: type[Model]) -> str:
    """Return the label by which ``model`` is routed: a proxy lives where its table lives.

    The stand-in for a model that Django's database cache uses has no ``concrete_model``.
    """
    concrete = getattr(model._meta, "concrete_model", None) or model
    return concrete._meta.app_label


def label_for(target: str | type[Model] | Model) -> str:
    """Return the label by which a model or an instance is routed; a label is returned as it is."""
    if isinstance(target, str):
        return target
    # ``__class__``, not ``type()``: ``request.user`` is a lazy object in the shape of a user.
    return label_of(target if isinstance(target, type) else target.__class__)
