"""Numbers that commands take as options."""

import re
from argparse import ArgumentTypeError


def positive(text: str) -> int:
    """Return a whole number of 1 or more. Raises ``ArgumentTypeError``."""
    if not text.isdecimal() or int(text) < 1:
        raise ArgumentTypeError(f"{text!r} is not a whole number of 1 or more")
    return int(text)


def seconds(text: str) -> float:
    """Return a number above 0. Raises ``ArgumentTypeError``."""
    if not re.fullmatch(r"\d+(\.\d+)?", text) or not float(text):
        raise ArgumentTypeError(f"{text!r} is not a number of seconds above 0")
    return float(text)
