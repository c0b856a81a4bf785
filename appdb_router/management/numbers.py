"""Numbers that commands take as options."""

import re
from argparse import ArgumentTypeError

# Decimal ones, as of `pv` and of those who sell networks.
_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9}


def positive(text: str) -> int:
    """Return a whole number of 1 or more. Raises ``ArgumentTypeError``."""
    if not text.isdecimal() or int(text) < 1:
        raise ArgumentTypeError(f"{text!r} is not a whole number of 1 or more")
    return int(text)


def byte_count(text: str) -> int:
    """Return 1 or more bytes: ``15000000``, or ``15MB``. Raises ``ArgumentTypeError``."""
    found = re.fullmatch(r"(\d+)\s*([KMG]?)B?", text, re.IGNORECASE)
    if not found or not int(found[1]):
        raise ArgumentTypeError(f"{text!r} is not a number of bytes, such as 15000000 or 15MB")
    return int(found[1]) * _UNITS[found[2].upper()]


def seconds(text: str) -> float:
    """Return a number above 0. Raises ``ArgumentTypeError``."""
    if not re.fullmatch(r"\d+(\.\d+)?", text) or not float(text):
        raise ArgumentTypeError(f"{text!r} is not a number of seconds above 0")
    return float(text)
