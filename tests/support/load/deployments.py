"""Ways to run the project, and how many sessions each may have in a database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tests.support.load.servers import gunicorn, uvicorn

MAX_AGE = {"conn_max_age": "60"}
# A pool lets go of a connection every half second that nobody needed it.
POOL_SIZE = 2
POOL = {"pool_size": str(POOL_SIZE), "pool_max_idle": "0.5"}
# What the pool of asynchronous sessions holds unless the URL says otherwise.
DEFAULT_POOL_SIZE = 4


@dataclass(frozen=True)
class Deployment:
    """A server's command, and the parameters of the database URLs.

    ``lasting`` sessions are those of pools and of CONN_MAX_AGE. ``passing`` are those that come and
    go with requests; the database may still be ending as many again. ``kept`` are left when all is
    quiet.
    """

    command: Sequence[str]
    lasting: int
    passing: int
    kept: int
    parameters: Mapping[str, str] = field(default_factory=dict)

    @property
    def budget(self) -> int:
        """The most sessions that a database can have."""
        return self.lasting + 2 * self.passing


def deployments(workers: int, threads: int, clients: int) -> dict[str, Deployment]:
    """Return the ways to run the project, by name, for so many clients at once."""
    # With gunicorn each request of an asynchronous view has an event loop, and so a pool, for
    # itself. With uvicorn each request of a synchronous view has a thread, and so a connection.
    wsgi, asgi = gunicorn(workers=workers, threads=threads), uvicorn(workers=workers)
    return {
        "gunicorn": Deployment(wsgi, lasting=0, passing=2 * workers * threads, kept=0),
        "gunicorn, CONN_MAX_AGE": Deployment(
            wsgi,
            lasting=workers * threads,
            passing=workers * threads,
            kept=workers * threads,
            parameters=MAX_AGE,
        ),
        "gunicorn, pool, preloaded": Deployment(
            [*wsgi, "--preload"],
            lasting=workers * POOL_SIZE,
            passing=workers * threads,
            kept=0,
            parameters=POOL,
        ),
        "uvicorn": Deployment(
            asgi,
            lasting=workers * DEFAULT_POOL_SIZE,
            passing=clients,
            kept=workers * DEFAULT_POOL_SIZE,
        ),
        # Django's pool, and that of the sessions.
        "uvicorn, pool": Deployment(
            asgi, lasting=2 * workers * POOL_SIZE, passing=0, kept=0, parameters=POOL
        ),
    }
