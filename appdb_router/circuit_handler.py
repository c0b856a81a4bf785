"""A connection handler with a circuit in front of whatever connects, of asynchronous pools too."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from .conf import CircuitOptions
from .connection_handler import OpenConnectionHandler
from .exceptions import ConfigurationError
from .topology import get_topology

if TYPE_CHECKING:
    # It imports pybreaker, which is an extra.
    from .circuits import Circuit


_is_past = ContextVar("appdb_router.past_circuits", default=False)


class GuardedConnectionHandler(OpenConnectionHandler):
    """A handler with a circuit for each physical database, which its connections ask."""

    _circuits: dict[str, "Circuit"]
    _make_circuit: Callable[[str], "Circuit"]

    def create_connection(self, alias: str) -> BaseDatabaseWrapper:
        """Create a connection that asks its circuit before it connects."""
        connection = super().create_connection(alias)
        self.guard(connection)
        return connection

    def guard(self, connection: BaseDatabaseWrapper) -> None:
        """Put the circuit in front of what a connection, or its pool, connects with."""
        # Every backend has ``Database``, which the stubs of Django do not.
        backend: Any = connection
        connect = backend.get_new_connection

        def get_new_connection(conn_params: Any) -> Any:
            driver = backend.Database
            with connecting(backend.alias, (driver.OperationalError, driver.InterfaceError)):
                return connect(conn_params)

        vars(backend)["get_new_connection"] = get_new_connection

    def circuit_of(self, alias: str) -> "Circuit":
        """Return the circuit of the physical database of ``alias``."""
        canonical = get_topology().canonical_of(alias)
        circuit = self._circuits.get(canonical)
        # Of two threads that are here at once, the first one's circuit is that of both.
        return circuit or self._circuits.setdefault(canonical, self._make_circuit(canonical))


def install(options: CircuitOptions) -> None:
    """Guard the connections of Django's handler, which is an ``OpenConnectionHandler``.

    Raises ``ConfigurationError`` if pybreaker is missing or the handler is another library's.
    """
    try:
        from .circuits import Circuit
    except ImportError as error:
        raise ConfigurationError(
            "APPDB_ROUTER['CIRCUIT_BREAKER'] needs pybreaker, which cannot be imported:"
            f' {error}. Install "django-appdb-router[breaker]".'
        ) from None
    if type(connections) is not OpenConnectionHandler:
        raise ConfigurationError(
            "APPDB_ROUTER['CIRCUIT_BREAKER'] cannot be used: django.db.connections is a"
            f" {type(connections).__qualname__!r} of another library. Remove one of the two."
        )
    handler = cast(GuardedConnectionHandler, connections)
    handler._circuits, handler._make_circuit = {}, partial(Circuit, options=options)
    handler.__class__ = GuardedConnectionHandler
    for connection in handler.all(initialized_only=True):
        handler.guard(connection)


def connecting(alias: str, failures: tuple[type[Exception], ...]) -> AbstractContextManager[None]:
    """Return what lets a block connect to ``alias``; without circuits that is nothing."""
    if isinstance(connections, GuardedConnectionHandler) and not _is_past.get():
        return connections.circuit_of(alias).connecting(failures)
    return nullcontext()


@contextmanager
def past_circuits() -> Iterator[None]:
    """Connect in a block whether a circuit is open or not, as somebody who repairs a server must.

    What becomes of it is not counted.
    """
    token = _is_past.set(True)
    try:
        yield
    finally:
        _is_past.reset(token)
