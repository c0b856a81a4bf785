"""Views that write to one app or to several, by sessions and repositories.

With ``?refuse`` a view rolls back. With ``?pause`` it keeps its transaction open for so many
seconds, in which the client may go away. All views take their connections in the order of the
labels: requests that need several databases must not wait in a circle where pools are small.
"""

import asyncio
from contextlib import AsyncExitStack, ExitStack
from typing import Any

from django.apps import apps
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import path
from django.views.decorators.http import require_POST

from appdb_router.repositories import BaseRepository
from appdb_router.sessions import get_app_session
from tests.support.load import orm_views
from tests.support.load.project import LABELS

ASKED = "SELECT current_database()"

repositories: dict[str, BaseRepository[Any]] = {
    label: type("Entries", (BaseRepository,), {"model": apps.get_model(label, "Entry")})()
    for label in LABELS
}


class RefusedError(Exception):
    """The request asked for it."""


@require_POST
def write(request: HttpRequest, labels: str, key: str) -> HttpResponse:
    """Write a row to each app, in transactions that end together."""
    asked = {}
    try:
        with ExitStack() as stack:
            for label in labels.split("+"):
                connection = stack.enter_context(get_app_session(label))
                repositories[label].add(repositories[label].model(key=key))
                with connection.cursor() as cursor:
                    cursor.execute(ASKED)
                    asked[label] = cursor.fetchone()[0]
                    cursor.execute("SELECT pg_sleep(%s)", [request.GET.get("pause", 0)])
            _refuse(request)
    except RefusedError:
        return HttpResponse(status=409)
    rows = {label: repositories[label].list(key=key) for label in asked}
    return _answer(asked, rows)


@require_POST
async def awrite(request: HttpRequest, labels: str, key: str) -> HttpResponse:
    """Do what ``write`` does, by asynchronous sessions whose queries run at the same time."""
    asked = {}

    async def insert(label: str, connection: Any) -> None:
        await connection.execute("INSERT INTO entry (key) VALUES (%s)", [key])
        cursor = await connection.execute(ASKED)
        asked[label] = (await cursor.fetchone())[0]
        await connection.execute("SELECT pg_sleep(%s)", [request.GET.get("pause", 0)])

    try:
        async with AsyncExitStack() as stack:
            connections = {
                label: await stack.enter_async_context(get_app_session(label))
                for label in labels.split("+")
            }
            async with asyncio.TaskGroup() as group:
                for label, connection in connections.items():
                    group.create_task(insert(label, connection))
            _refuse(request)
    except RefusedError:
        return HttpResponse(status=409)
    rows = {label: await repositories[label].alist(key=key) for label in connections}
    return _answer(asked, rows)


def _refuse(request: HttpRequest) -> None:
    if "refuse" in request.GET:
        raise RefusedError


def _answer(asked: dict[str, str], rows: dict[str, list[Any]]) -> JsonResponse:
    return JsonResponse(
        {label: [asked[label], *([row.key, row.place] for row in rows[label])] for label in asked}
    )


async def session_read(_request: HttpRequest, label: str, key: str) -> JsonResponse:
    """Answer with a row of an app, by an asynchronous session."""
    async with get_app_session(label) as connection:
        cursor = await connection.execute("SELECT key, place FROM entry WHERE key = %s", [key])
        return JsonResponse(await cursor.fetchone(), safe=False)


urlpatterns = [
    *orm_views.urlpatterns,
    path("session/<str:label>/<str:key>/", session_read),
    path("write/<str:labels>/<str:key>/", write),
    path("awrite/<str:labels>/<str:key>/", awrite),
]
