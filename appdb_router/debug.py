"""Keeping database passwords out of Django's debug page and error mails."""

import re
from collections.abc import ItemsView
from types import FrameType
from typing import Any

from django.db import connections
from django.http import HttpRequest
from django.views.debug import SafeExceptionReporterFilter

from .masking import Masker

__all__ = ["ExceptionReporterFilter"]

_CREDENTIALS = re.compile(r"(://[^\s:/?#]*):.*@", re.DOTALL)


class ExceptionReporterFilter(SafeExceptionReporterFilter):
    """Masks database URLs and passwords wherever the debug page would show them.

    Django masks a setting or environment variable by its name. ``AUTH_DATABASE_URL`` happens to
    match its pattern, ``DRIVER_DATABASE_URL`` does not, and ``runserver`` shows the whole
    environment. With a database down, the drivers' frames hold the password as a variable.
    """

    hidden_settings: re.Pattern[str] = re.compile(
        SafeExceptionReporterFilter.hidden_settings.pattern + r"|DATABASE\w*_URL|^DATABASE_URL$",
        re.IGNORECASE,
    )

    def cleanse_setting(self, key: Any, value: Any) -> Any:
        """Return ``value`` without secrets, in nested containers too."""
        cleansed = super().cleanse_setting(key, value)
        return self._mask_urls(cleansed) if isinstance(cleansed, str) else cleansed

    def get_traceback_frame_variables(
        self, request: HttpRequest | None, tb_frame: FrameType
    ) -> ItemsView[str, Any]:
        """Return the variables of a frame; where one shows a password, its masked text instead."""
        variables = super().get_traceback_frame_variables(request, tb_frame)
        masker = Masker(connections.settings.values())
        return {name: self._without(masker, value) for name, value in variables}.items()

    def _without(self, masker: Masker, value: Any) -> Any:
        try:
            text = repr(value)
        except Exception:  # noqa: BLE001  Django shows its own text for an object without repr.
            return value
        masked = masker.mask(self._mask_urls(text), self.cleansed_substitute)
        return value if masked == text else masked

    def _mask_urls(self, text: str) -> str:
        return _CREDENTIALS.sub(rf"\1:{self.cleansed_substitute}@", text)
