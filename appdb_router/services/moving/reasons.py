"""What a refused write is told, in few words: MySQL has room for 128 characters."""

from datetime import datetime

__all__ = ["being_moved", "moved_away"]

_TIME = "%Y-%m-%d %H:%M %Z"


def moved_away(label: str, home: str, away: str, moment: datetime) -> str:
    """Return why nobody may write to the tables in ``away``, which the app left for ``home``."""
    return (
        f"App {label!r} moved from {away!r} to {home!r} at {moment:{_TIME}}. Write there; this"
        " table is for the way back."
    )


def being_moved(label: str, giver: str, taker: str, moment: datetime) -> str:
    """Return why nobody may write while the app is moved from ``giver`` to ``taker``."""
    return (
        f"App {label!r} is being moved from {giver!r} to {taker!r} since {moment:{_TIME}}. Try"
        f" again later; 'db_move {label} --status' tells how far it is."
    )
