"""Times queries in one process: `python -m benchmarks.queries FOLDER URL THRESHOLD ROUNDS`.

The threshold is psycopg's ``prepare_threshold``; 0 is Django's default, ``None``. The time is the
processor's, of all threads; that of the server is not in it.
"""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from time import process_time
from typing import Any

import django
from asgiref.sync import sync_to_async
from django.conf import settings
from django.db import connections
from django.db.transaction import atomic
from psycopg_pool import AsyncConnectionPool

from appdb_router import build_databases

from . import generated
from .timing import Case, interleave

ASYNC = "async query"
PREPARED = "async query, prepared statement"
TRANSACTION = "query in a transaction"
GET = "get(pk)"
AGET = "aget(pk)"
# What is timed, and by what in the plain way and in ours.
ROWS = {
    ASYNC: ("AsyncConnectionPool", "async with get_app_session"),
    PREPARED: ("AsyncConnectionPool", "async with get_app_session"),
    TRANSACTION: ("with atomic", "with get_app_session"),
    GET: ("Model.objects", "repository"),
    AGET: ("Model.objects", "repository"),
}
PLAIN = "plain"
OURS = "appdb_router"

# psycopg's own default is 5. Django prepares nothing, since a pooler may not know of it.
THRESHOLDS = {0: ASYNC, 5: PREPARED}
# A pool has one server process for all its queries, and which processor that one runs on is chance,
# to be drawn more often than elsewhere.
PROCESSES = 5
APPS = 10
# Like ``get(pk)``: one row, found by its primary key.
QUERY = "SELECT oid, relname, relnamespace, relkind FROM pg_class WHERE oid = 1259"
# Enough to make the step into the event loop cheap beside them.
CALLS = 20


def cell(row: str, variant: str) -> str:
    """Return the name of the case that times a row in one way."""
    return f"{variant}: {row}"


def main() -> None:
    """Print the samples of every case as JSON."""
    folder, url, threshold, rounds = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    label = configure(folder, url, threshold)
    # As large as ours: a second connection that takes turns would make it slower.
    pool = AsyncConnectionPool(
        url,
        open=False,
        min_size=0,
        max_size=4,
        kwargs={"prepare_threshold": threshold or None},
    )
    with asyncio.Runner() as runner:
        runner.run(pool.open())
        cases = [*session_cases(THRESHOLDS[threshold], label, pool, runner)]
        if not threshold:
            cases += [*transaction_cases(label), *model_cases(label, runner)]
        print(json.dumps(interleave(cases, rounds)))
        runner.run(sync_to_async(connections.close_all)())
        runner.run(pool.close())


def configure(folder: str, url: str, threshold: int) -> str:
    """Set up a project of some apps, and return the label of the one whose database is there."""
    label = generated.labels(1)[0]
    entries = ["appdb_router", *generated.entries(APPS)]
    own = f"{url}?prepare_threshold={threshold}" if threshold else url
    sys.path.insert(0, folder)
    settings.configure(
        INSTALLED_APPS=entries,
        DATABASES=build_databases(
            entries,
            base_dir=folder,
            default=generated.DEFAULT_URL,
            env={**generated.variables(APPS), f"{label.upper()}_DATABASE_URL": own},
        ),
        DATABASE_ROUTERS=["appdb_router.routers.AppDatabaseRouter"],
    )
    django.setup()
    return label


def session_cases(
    row: str, label: str, pool: "AsyncConnectionPool[Any]", runner: asyncio.Runner
) -> Iterable[Case]:
    """Return the cases of a query by a connection out of an asynchronous pool."""
    from appdb_router.sessions import get_app_session

    async def plain() -> None:
        async with pool.connection() as connection:
            await (await connection.execute(QUERY)).fetchone()

    async def ours() -> None:
        async with get_app_session(label) as connection:
            await (await connection.execute(QUERY)).fetchone()

    return asynchronous_pair(row, plain, ours, runner)


def transaction_cases(label: str) -> Iterable[Case]:
    """Return the cases of a query in a transaction on Django's connection."""
    from appdb_router.sessions import get_app_session

    def plain() -> None:
        with atomic(using=label), connections[label].cursor() as cursor:
            cursor.execute(QUERY)
            cursor.fetchone()

    def ours() -> None:
        with get_app_session(label) as connection, connection.cursor() as cursor:
            cursor.execute(QUERY)
            cursor.fetchone()

    return pair(TRANSACTION, plain, ours)


def model_cases(label: str, runner: asyncio.Runner) -> Iterable[Case]:
    """Return the cases of reading one row by its primary key."""
    from appdb_router.repositories import BaseRepository

    # Models need the settings, so whatever imports them comes after these.
    from .routing import insert_item, item_model

    model = item_model(label)
    rows = model._default_manager
    repository: BaseRepository[Any] = type("Items", (BaseRepository,), {"model": model})()
    pk = insert_item(model, label)
    yield from pair(GET, partial(rows.get, pk=pk), partial(repository.get, pk))
    # A connection belongs to a thread, and the temporary table to a connection.
    pk = runner.run(sync_to_async(insert_item)(model, label))
    plain, ours = partial(rows.aget, pk=pk), partial(repository.aget, pk)
    yield from asynchronous_pair(AGET, plain, ours, runner)


def asynchronous_pair(
    row: str,
    plain: Callable[[], Awaitable[object]],
    ours: Callable[[], Awaitable[object]],
    runner: asyncio.Runner,
) -> Iterable[Case]:
    """Return the two cases of a row whose functions are asynchronous."""

    async def repeat(query: Callable[[], Awaitable[object]]) -> None:
        for _ in range(CALLS):
            await query()

    def run(query: Callable[[], Awaitable[object]]) -> None:
        runner.run(repeat(query))

    return pair(row, partial(run, plain), partial(run, ours), CALLS)


def pair(
    row: str, plain: Callable[[], object], ours: Callable[[], object], calls: int = 1
) -> Iterable[Case]:
    """Return the two cases of a row."""
    for variant, query in ((PLAIN, plain), (OURS, ours)):
        yield Case(cell(row, variant), "query()", {"query": query}, calls, process_time)


if __name__ == "__main__":
    main()
