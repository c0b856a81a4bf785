"""Who lives where: the aliases, their physical databases, and the labels routed to them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from threading import RLock
from typing import Any

from django.core.signals import setting_changed
from django.db.models import Model
from django.dispatch import Signal

from .conf import database_metadata
from .exceptions import UnknownLabelError

__all__ = ["Database", "Topology", "get_topology"]


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
class Topology:
    """The project's databases and routes.

    ``routes`` maps each installed label to the canonical alias of its database, and
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
        return cls(
            databases,
            {label: item.canonical_alias for item in databases.values() for label in item.labels},
            {alias: item.canonical_alias for alias, item in databases.items()},
            project["core"],
            tuple(map(tuple, project["groups"])),
            Path(project["base_dir"]),
            tuple(project["local"]),
            tuple(project["findings"]),
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
        )

    def canonical_databases(self) -> list[Database]:
        """Return one alias for each physical database: core first, then default, then the rest."""
        first = (self.core_alias, "default")
        return sorted(
            (item for item in self.databases.values() if not item.is_shared),
            key=lambda item: first.index(item.alias) if item.alias in first else len(first),
        )


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


def alias_for(target: str | type[Model] | Model) -> str:
    """Return the alias to use for an app's label, a model, or an instance of a model.

    This is the alias that queries are routed to, whatever the environment has set:
    ``atomic(using=alias_for("driver"))``. For an instance it is the alias of its model, not the
    database that the instance happened to be loaded from.

    Raises ``UnknownLabelError``, a ``LookupError``, if no such app is installed.
    """
    return get_topology().alias_of(label_for(target))
