"""Which tests failed, and where in the project."""

from types import TracebackType

from ..exceptions import CrossingQueryError
from ..uncovered import UncoveredWriteError
from .findings import Failure
from .places import place_of_traceback

_KNOWN = (CrossingQueryError, UncoveredWriteError)


def failure_of(test: str, error: BaseException, traceback: TracebackType | None) -> Failure:
    """Return the failure of ``test`` by ``error``; of its message nothing is kept."""
    place = place_of_traceback(traceback)
    return Failure(test, type(error).__name__, *place, is_known=_comes_from_the_split(error))


def _comes_from_the_split(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, _KNOWN):
            return True
        error = error.__cause__ or error.__context__
    return False
