"""Finding the passwords of databases in text, however they are written there."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from .conf import direct_setting

SUBSTITUTE = "***"


class Masker:
    """Replaces the passwords of some database settings wherever they stand in a text."""

    def __init__(self, settings: Iterable[Mapping[str, Any]]) -> None:
        secrets = {secret for entry in settings for secret in _secrets(entry)}
        # The longest first: one may be part of another.
        self._patterns = [_pattern(secret) for secret in sorted(secrets, key=len, reverse=True)]

    def mask(self, text: str, substitute: str = SUBSTITUTE) -> str:
        """Return ``text`` with ``substitute`` in the place of each password."""
        for pattern in self._patterns:
            text = pattern.sub(substitute, text)
        return text


def masked_error(error: BaseException, setting: Mapping[str, Any]) -> str:
    """Return the message of ``error`` on one line, without the passwords of ``setting``."""
    text = " ".join(str(error).split()) or type(error).__name__
    return Masker([setting]).mask(text)


def _secrets(setting: Mapping[str, Any]) -> Iterable[str]:
    for entry in (setting, direct_setting(setting) or {}):
        options = entry.get("OPTIONS", {})
        values = [value for key, value in options.items() if "pass" in key.lower()]
        for value in (entry.get("PASSWORD"), *values):
            if value and isinstance(value, str):
                yield value


def _pattern(secret: str) -> re.Pattern[str]:
    """Return a pattern of ``secret`` as it looks in a repr, in a repr of a repr, or in a URL."""
    shown = "".join(rf"(?:\\*{re.escape(char)}|%{ord(char):02X})" for char in secret)
    # Short ones count as whole words only: masked inside of words they would give themselves away.
    edges = (r"(?<!\w)", r"(?!\w)") if len(secret) < 6 else ("", "")
    return re.compile(edges[0] + shown + edges[1], re.IGNORECASE)
