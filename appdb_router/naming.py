"""Names of environment variables: how they are built, and which others are close to them."""

from collections.abc import Iterable

DEFAULT_VARIABLE = "DATABASE_URL"
DEFAULT_DIRECT_VARIABLE = "DATABASE_DIRECT_URL"
REHEARSE_VARIABLE = "APPDB_REHEARSE"
SUFFIX = f"_{DEFAULT_VARIABLE}"
DIRECT_SUFFIX = f"_{DEFAULT_DIRECT_VARIABLE}"
# The default itself does not move, so without a label it is nobody's.
MOVE_VARIABLE = "DATABASE_MOVE_FROM"
MOVE_SUFFIX = f"_{MOVE_VARIABLE}"
_DEFAULTS = (DEFAULT_VARIABLE, DEFAULT_DIRECT_VARIABLE)
_SUFFIXES = (SUFFIX, DIRECT_SUFFIX, MOVE_SUFFIX)


def variable_of(label: str) -> str:
    """Return the name of the environment variable that holds the URL of the app ``label``."""
    return label.upper() + SUFFIX


def direct_variable_of(label: str) -> str:
    """Return the name of the variable that holds the direct URL of the app ``label``."""
    return label.upper() + DIRECT_SUFFIX


def move_variable_of(label: str) -> str:
    """Return the name of the variable that says from where the app ``label`` is moved."""
    return label.upper() + MOVE_SUFFIX


def edits(left: str, right: str, limit: int) -> int:
    """Count the edits that turn ``left`` into ``right``, at most ``limit + 1``.

    An edit inserts, removes or replaces a character, or swaps two neighbours (the optimal string
    alignment distance): swapped letters are the commonest slip, and one slip.
    """
    if abs(len(left) - len(right)) > limit:
        return limit + 1
    before: list[int] = []
    previous = list(range(len(right) + 1))
    for i, char in enumerate(left, 1):
        current = [i]
        for j, other in enumerate(right, 1):
            cost = min(previous[j] + 1, current[j - 1] + 1, previous[j - 1] + (char != other))
            if i > 1 and j > 1 and char == right[j - 2] and left[i - 2] == other:
                cost = min(cost, before[j - 2] + 1)
            current.append(cost)
        if min(current) > limit:
            return limit + 1
        before, previous = previous, current
    return previous[-1]


def allowed_edits(label: str) -> int:
    """Return how many edits away from the variable of ``label`` a name counts as misspelt.

    Two edits turn any label of three letters into any other, so short labels allow one or none:
    a shared ``.env`` may well name the apps ``crm`` and ``erp`` of two services.
    """
    return 0 if len(label) < 3 else 1 if len(label) < 5 else 2


def misspelt(variable: str, labels: Iterable[str]) -> str | None:
    """Return the variable that ``variable`` was probably meant to be, if there is one.

    ``variable`` is a name that is not the variable of any of ``labels``.
    """
    name = variable.upper()
    for default in _DEFAULTS:
        if edits(name, default, 2) <= 2:
            return default
    labels = list(labels)
    for suffix in _SUFFIXES:
        exact_suffix = name.endswith(suffix)
        for label in labels:
            limit = allowed_edits(label) if exact_suffix else 2
            meant = label.upper() + suffix
            if edits(name, meant, limit) <= limit:
                return meant
    return None


def is_database_variable(variable: str) -> bool:
    """Tell whether ``variable`` ends as a variable of some app's database does."""
    return variable.endswith(_SUFFIXES)


def may_name_a_database(variable: str) -> bool:
    """Tell cheaply whether ``variable`` is worth comparing with the variables of all apps."""
    name = variable.upper()
    return is_database_variable(name) or any(
        _nearly_ends_with(name, word) for word in (*_DEFAULTS, MOVE_VARIABLE)
    )


def _nearly_ends_with(name: str, word: str) -> bool:
    longest = len(word) + 2
    letters = set(word)
    # Two edits leave all but two of the letters, which few other names have.
    if len(letters.intersection(name[-longest:])) < len(letters) - 2:
        return False
    lengths = range(len(word) - 2, longest + 1)
    return any(edits(name[-length:], word, 2) <= 2 for length in lengths)
