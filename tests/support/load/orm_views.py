"""Views that read by Django's models alone, so that they work with any router."""

from typing import Any

from django.apps import apps
from django.http import HttpRequest, JsonResponse
from django.urls import path


def read(_request: HttpRequest, label: str, key: str) -> JsonResponse:
    """Answer with a row of an app."""
    return _answer(apps.get_model(label, "Entry")._default_manager.get(key=key))


async def aread(_request: HttpRequest, label: str, key: str) -> JsonResponse:
    """Do what ``read`` does."""
    return _answer(await apps.get_model(label, "Entry")._default_manager.aget(key=key))


def _answer(entry: Any) -> JsonResponse:
    return JsonResponse([entry.key, entry.place], safe=False)


urlpatterns = [
    path("read/<str:label>/<str:key>/", read),
    path("aread/<str:label>/<str:key>/", aread),
]
