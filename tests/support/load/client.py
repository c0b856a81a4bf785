"""Many clients at once, and what they must be told."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import aiohttp

# Seconds after which a client goes away, and after which all of them do, unless told otherwise.
PATIENCE, END = 30, 60


@dataclass(frozen=True)
class Visit:
    """A request; ``patience`` is after how many seconds the client goes away."""

    method: str
    path: str
    patience: float = PATIENCE


@dataclass(frozen=True)
class Answer:
    """What a visit brought: no status if the client or the connection went away."""

    visit: Visit
    status: int | None
    body: Any
    seconds: float


def visit_all(url: str, visits: Iterable[Visit], clients: int, end: float = END) -> list[Answer]:
    """Make all visits, by so many clients at once, and return what each brought.

    Visits that ``end`` seconds do not suffice for are not made.
    """
    return asyncio.run(_visit_all(url, visits, clients, end))


async def _visit_all(url: str, visits: Iterable[Visit], clients: int, end: float) -> list[Answer]:
    pending = iter(visits)
    answers: list[Answer] = []

    async def client() -> None:
        # A session each: its connection stays with one worker, as that of a browser.
        async with aiohttp.ClientSession(url) as session:
            for visit in pending:
                answers.append(await _ask(session, visit))

    with suppress(TimeoutError):
        async with asyncio.timeout(end), asyncio.TaskGroup() as group:
            for _ in range(clients):
                group.create_task(client())
    return answers


async def _ask(session: aiohttp.ClientSession, visit: Visit) -> Answer:
    started = time.perf_counter()
    status: int | None = None
    body: Any = None
    timeout = aiohttp.ClientTimeout(total=visit.patience)
    try:
        async with session.request(visit.method, visit.path, timeout=timeout) as response:
            is_json = response.content_type == "application/json"
            body = await (response.json() if is_json else response.text())
            status = response.status
    # An answer that breaks off in the middle is none, as a connection that was never made.
    except (aiohttp.ClientError, TimeoutError) as error:
        body = f"{type(error).__name__}: {error}"
    return Answer(visit, status, body, time.perf_counter() - started)
