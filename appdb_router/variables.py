"""The environment's database variables: which are set, misspelt, or nobody's."""

from collections.abc import Collection, Iterable, Mapping

from .exceptions import ConfigurationError
from .naming import (
    DEFAULT_DIRECT_VARIABLE,
    DEFAULT_VARIABLE,
    MOVE_VARIABLE,
    direct_variable_of,
    is_database_variable,
    may_name_a_database,
    misspelt,
    move_variable_of,
    variable_of,
)


def given(env: Mapping[str, str], variable: str) -> str | None:
    """Return the value of ``variable``; an empty one counts as unset."""
    value = env.get(variable)
    return value if value and not value.isspace() else None


def check_variables(
    env: Mapping[str, str], labels: Collection[str], ignore: Collection[str] = ()
) -> list[str]:
    """Return the names in ``env`` that end as a database variable does and are no app's.

    ``ignore`` lists variables that are known to be somebody else's. Raises ``ConfigurationError``
    for a name that is a few edits from the variable of an installed app: a slip there would send
    the app's writes to the default database.
    """
    if isinstance(ignore, str):
        raise ConfigurationError("ignore= is a sequence of variable names, not a string.")
    own = {DEFAULT_VARIABLE, DEFAULT_DIRECT_VARIABLE}
    for name_of in (variable_of, direct_variable_of, move_variable_of):
        own.update(map(name_of, labels))
    if given(env, MOVE_VARIABLE) and MOVE_VARIABLE not in ignore:
        raise ConfigurationError(
            f"The environment variable {MOVE_VARIABLE!r} names no app, and the default database is"
            f" not moved. Write {move_variable_of('<label>')!r} with the label of the app."
        )
    unmatched = []
    for name in sorted(_candidates(env, own.union(ignore))):
        meant = misspelt(name, labels)
        if meant is not None:
            raise ConfigurationError(
                f"The environment variable {name!r} belongs to no installed app. Did you mean"
                f" {meant!r}? If it is another program's, pass ignore=({name!r},) to"
                " build_databases()."
            )
        if is_database_variable(name):
            unmatched.append(name)
    return unmatched


def _candidates(env: Mapping[str, str], known: Collection[str]) -> Iterable[str]:
    return (name for name in env if name not in known and may_name_a_database(name))
