"""Giving an app another database while the process runs."""

from collections import defaultdict, deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import count
from threading import Event, RLock
from types import TracebackType
from typing import Any

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.utils.asyncio import async_unsafe

from .closing import close_everywhere
from .connection_handler import OpenConnectionHandler
from .databases import build_database, canonical_alias
from .exceptions import RegistrationError, choices
from .topology import Database, Topology, get_topology, publish, settings_topology

_ASYNC = "{} closes connections. Call it with asgiref.sync.sync_to_async() in a coroutine."
# How many aliases of the past are kept for threads that were told to use one a moment ago.
_KEPT = 1000


@dataclass(frozen=True, eq=False)
class Registration:
    """A database that was given to an app, and to the apps of its group: ``labels``.

    ``alias`` is its own, which no other database of this process ever had or will have. As a
    context manager it is undone when the block is left.
    """

    label: str
    labels: tuple[str, ...]
    alias: str

    def __enter__(self) -> "Registration":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        _undo(self)


@async_unsafe(_ASYNC.format("register_database()"))
def register_database(label: str, url: str, **options: Any) -> Registration:
    """Give the app ``label`` and its group the database ``url``, until that is undone.

    This is for tests and scripts, not for tenants: it changes where the app lives for the whole
    process, and for this process alone. ``options`` are those of a ``database.py``, such as
    ``ENGINE_OPTIONS`` or ``CONN_MAX_AGE``. Nothing is created, and nothing is connected to; in a
    test run it is the database that the URL names, not a test database of it.

    A transaction that another thread has open goes on in the database that it began in; the thread
    changes over with its next one. What nobody is routed to any more is closed: connections of
    this thread and pools at once, other threads' connections at the end of their requests.

    The latest registration of an app counts. It is undone by leaving ``with
    register_database(...)``, or by ``unregister_database``.

    Raises ``UnknownLabelError`` if no such app is installed, ``ConfigurationError`` for a URL or
    an option that cannot be used, and ``RegistrationError`` while this thread has a transaction
    open.
    """
    _refuse_in_transaction("register_database()")
    with _lock:
        handler, topology = _handler(), get_topology()
        labels = topology.group_of(label)
        name = f"register_database({label!r})"
        entry = build_database(url, options, name=name, base_dir=topology.base_dir)
        registration = Registration(label, labels, f"{labels[0]}@{next(_numbers)}")
        handler.declare(registration.alias, entry)
        _active.append(registration)
        try:
            left = _switch(handler)
        except BaseException:
            _active.remove(registration)
            handler.remove(registration.alias)
            raise
    close_everywhere(handler, left)
    return registration


@async_unsafe(_ASYNC.format("unregister_database()"))
def unregister_database(label: str) -> None:
    """Undo the latest registration of the app ``label``: the one before it counts, or settings.

    Raises ``UnknownLabelError`` if no such app is installed, and ``RegistrationError`` if it has
    no registered database, or while this thread has a transaction open.
    """
    get_topology().alias_of(label)
    with _lock:
        found = [registration for registration in _active if label in registration.labels]
    if not found:
        registered = {label for registration in _active for label in registration.labels}
        raise RegistrationError(
            f"The app {label!r} has no registered database. Those that have one are"
            f" {choices(registered)}."
        )
    _undo(found[-1])


_lock = RLock()
_numbers = count(1)
_active: list[Registration] = []
_past: deque[str] = deque()
# By label, the aliases that it has been routed to.
_former: dict[str, set[str]] = {}


@async_unsafe(_ASYNC.format("Undoing register_database()"))
def _undo(registration: Registration) -> None:
    _refuse_in_transaction("Undoing register_database()")
    with _lock:
        if registration not in _active:
            return
        handler = _handler()
        _active.remove(registration)
        left = _switch(handler)
        handler.withdraw(registration.alias)
        _past.append(registration.alias)
        while len(_past) > _KEPT:
            handler.remove(_past.popleft())
    close_everywhere(handler, left | {registration.alias})


def _handler() -> OpenConnectionHandler:
    if not isinstance(connections, OpenConnectionHandler):
        raise RegistrationError(
            f"django.db.connections is a {type(connections).__qualname__!r} of another library, so"
            " a database cannot be registered."
        )
    return connections


def _refuse_in_transaction(what: str) -> None:
    for connection in connections.all(initialized_only=True):
        if _in_transaction(connection):
            raise RegistrationError(
                f"{what} would split the transaction that this thread has open on"
                f" {connection.alias!r}. Call it outside of atomic(); in tests, use"
                " TransactionTestCase or pytest.mark.django_db(transaction=True)."
            )


def _in_transaction(connection: BaseDatabaseWrapper) -> bool:
    is_manual = connection.connection is not None and not connection.autocommit
    return connection.in_atomic_block or is_manual


def _switch(handler: OpenConnectionHandler) -> set[str]:
    """Put the active registrations into effect, and return the aliases that nobody has now."""
    after = _effective()
    routes = get_topology().routes
    before = routes.settled if isinstance(routes, _ChangedRoutes) else routes
    living_at = _living_at(before)
    for label, alias in before.items():
        if after.routes[label] != alias:
            _former.setdefault(label, set()).add(alias)
    changing = _ChangedRoutes(after.routes)
    try:
        publish(replace(after, routes=changing))
        for connection in filter(_in_transaction, handler.made()):
            _mark(connection, living_at.get(connection.alias, set()))
    finally:
        changing.ready.set()
    return set(before.values()) - set(after.routes.values())


def _living_at(routes: Mapping[str, str]) -> dict[str, set[str]]:
    """Return by alias the labels whose transactions may be open there."""
    used, found = set(routes.values()), defaultdict[str, set[str]](set)
    for label, alias in routes.items():
        found[alias].add(label)
    for label, aliases in _former.items():
        for alias in aliases - used:
            found[alias].add(label)
    return found


def _mark(connection: BaseDatabaseWrapper, labels: set[str]) -> None:
    """Note with a transaction which apps have their database there until it ends."""
    unmarked = frozenset(label for label in labels if not _is_marked(connection, label))
    if unmarked:
        # As on_commit() does it, but for no savepoint: it is there until the end.
        mark: Any = (set(), _Earlier(unmarked), True)
        connection.run_on_commit.append(mark)


def _is_marked(connection: BaseDatabaseWrapper, label: str) -> bool:
    return any(
        isinstance(hook, _Earlier) and label in hook.labels
        for _, hook, *_ in connection.run_on_commit
    )


def _effective() -> Topology:
    """Return the topology of the settings with the active registrations."""
    topology = settings_topology()
    for registration in _active:
        earlier = [item.alias for item in topology.canonical_databases()]
        canonical = canonical_alias(registration.alias, connections.settings, earlier)
        topology = topology.with_database(
            Database(
                registration.alias,
                registration.labels,
                "registered",
                "register_database()",
                canonical,
            )
        )
    return topology


@dataclass(frozen=True)
class _Earlier:
    """The mark of a transaction that began while ``labels`` had the database of its connection."""

    labels: frozenset[str]

    def __call__(self) -> None:
        """Do nothing: a transaction is marked by a hook, because hooks end with it."""


class _ChangedRoutes(Mapping[str, str]):
    """Routes by label that differ from those that transactions may have begun with."""

    def __init__(self, settled: Mapping[str, str]) -> None:
        self.settled = settled
        self._used = frozenset(settled.values())
        self._former = {
            label: frozenset(aliases - {settled[label]}) for label, aliases in _former.items()
        }
        # Set when the transactions that are open have their marks. Until then nobody is told
        # where such a label lives, or a transaction might be told both.
        self.ready = Event()

    def __getitem__(self, label: str) -> str:
        """Return the alias of ``label`` for the transaction that this thread is in."""
        former = self._former.get(label)
        if former:
            self.ready.wait()
            for connection in connections.all(initialized_only=True):
                if connection.alias in former and self._began_there(connection, label):
                    return connection.alias
        return self.settled[label]

    def __iter__(self) -> Iterator[str]:
        return iter(self.settled)

    def __len__(self) -> int:
        return len(self.settled)

    def _began_there(self, connection: BaseDatabaseWrapper, label: str) -> bool:
        """Return whether the transaction of ``connection`` has ``label`` in its database."""
        if not _in_transaction(connection):
            return False
        # A database that others use too may be in a later transaction, for their sake.
        return connection.alias not in self._used or _is_marked(connection, label)
