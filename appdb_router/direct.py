"""Direct URLs: those that go past a pooler, for what needs a session of its own."""

from collections.abc import Mapping
from typing import Any

from .database_url import ParsedUrl
from .engines import MYSQL, POSTGRESQL, Family
from .exceptions import ConfigurationError, choices
from .tuning import tune

_FAMILIES = (POSTGRESQL, MYSQL)
_WHERE = ("NAME", "USER", "PASSWORD", "HOST", "PORT")


def direct_setting(
    parsed: ParsedUrl, family: Family, tuning: Mapping[str, Any], *, name: str, path: str
) -> dict[str, Any]:
    """Return what differs in a setting for the direct URL ``parsed``: address, user and options.

    ``family`` is that of the usual URL, ``tuning`` what ``database.py`` says; ``name`` and ``path``
    say in messages where the direct URL and the tuning stand. Raises ``ConfigurationError`` for
    another kind of server, and for what such a URL cannot say.
    """
    if family not in _FAMILIES:
        raise ConfigurationError(
            f"{name} is set for a database of {family.name!r}. Direct URLs are for"
            f" {choices(item.name for item in _FAMILIES)}. Remove it."
        )
    if parsed.family is not family:
        raise ConfigurationError(
            f"{name} is a URL of {parsed.family.name}, and must lead to the same database as the"
            f" usual URL, which is of {family.name}."
        )
    unused = {*parsed.config.keys() - {"ENGINE", "OPTIONS", *_WHERE}, *parsed.pool}
    unused.update({"pool"} & parsed.config.get("OPTIONS", {}).keys())
    if unused:
        raise ConfigurationError(
            f"{name}: {', '.join(sorted(map(str.lower, unused)))} would have no effect in a direct"
            " URL: it is used for one session at a time. Put it into the usual URL."
        )
    options = {key: value for key, value in tuning.get("OPTIONS", {}).items() if key != "pool"}
    tune(parsed, {"OPTIONS": options} if options else {}, name=name, path=path)
    return {key: parsed.config[key] for key in (*_WHERE, "OPTIONS")}
