"""Which tables a text of SQL names, as far as its words tell."""

import re
from collections.abc import Collection

# Stands for a part that is not known: it may be a part of a name, or hold names itself.
UNKNOWN = "\0"

# Comments and strings name nothing. What is between dollars is the body of a function, which does.
_SILENT = re.compile(r"--[^\n]*|/\*.*?\*/|'(?:[^']|'')*'", re.DOTALL)
_WORDS = re.compile(r'"[^"]*"|`[^`]*`|\[\w+\]|[\w\0$]+|[^\s\w]')
_NAME = re.compile(r"[\w\0$\"`\[]")
# A word that follows any other word is an alias or a column.
_BEFORE_TABLE = frozenset(
    {
        *("analyze", "copy", "exists", "from", "ignore", "into", "join", "lateral", "lock", "of"),
        *("on", "only", "references", "table", "to", "truncate", "update", "using", "vacuum"),
        "view",
    }
)


def tables_named(sql: str, tables: Collection[str]) -> frozenset[str]:
    """Return those of ``tables`` that ``sql`` names, which may be a part of a statement.

    Aliases, columns and common table expressions that have the name of a table are told from it
    by what stands beside them; a column behind a comma is not.
    """
    known = {table.strip('"`').lower(): table for table in tables}
    words = [word.strip('"`[]').lower() or word for word in _WORDS.findall(_SILENT.sub(" ", sql))]
    # So that each word has one in front of it, and two behind.
    words = ["", *words, "", ""]
    expressions, aliases = _expressions(words), _aliases(words)
    found = {
        known[word]
        for place, word in enumerate(words)
        if word in known and word not in expressions and _is_table(words, place, aliases)
    }
    return frozenset(found | _with_schema(sql, tables))


def _expressions(words: list[str]) -> set[str]:
    """Return the names of common table expressions: ``WITH recent AS (``."""
    return {
        word
        for place, word in enumerate(words[:-2])
        if words[place + 1 : place + 3] == ["as", "("]
        and words[place - 1] in {"with", "recursive", ","}
    }


def _aliases(words: list[str]) -> set[str]:
    """Return the words that follow another one which no table follows."""
    return {
        word
        for place, word in enumerate(words[:-2])
        if words[place + 1] != "." and _is_named(words[place - 1])
    }


def _is_table(words: list[str], place: int, aliases: set[str]) -> bool:
    word, before, behind = words[place], words[place - 1], words[place + 1]
    if behind == ".":
        return word not in aliases
    if before == ".":
        # Behind a schema, which stands nowhere alone as tables and aliases do.
        qualifier = words[place - 2]
        return all(words[other + 1] == "." for other, name in enumerate(words) if name == qualifier)
    return not _is_named(before)


def _is_named(before: str) -> bool:
    """Tell whether ``before`` makes the word behind it an alias or a column."""
    return bool(_NAME.match(before)) and before not in _BEFORE_TABLE


def _with_schema(sql: str, tables: Collection[str]) -> set[str]:
    """Return the tables whose ``db_table`` has a schema in it, in the quotes that Django adds."""
    return {table for table in tables if '"."' in table and f'"{table.strip(chr(34))}"' in sql}
