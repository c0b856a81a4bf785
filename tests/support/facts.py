"""Asking a project many questions in one subprocess."""

from __future__ import annotations

import json
from textwrap import dedent, indent
from typing import Any

from tests.support.project import Project

_PROGRAM = """\
import json
facts = {{}}


def fact(name):
    def record(function):
        try:
            facts[name] = function()
        except Exception as error:
            facts[name] = f"{{type(error).__name__}}: {{error}}"
    return record


{code}
print("FACTS" + json.dumps(facts, default=str))
"""


def ask(project: Project, code: str, *, timeout: float = 60) -> dict[str, Any]:
    """Run `code` in the project and return what it recorded with `@fact("name")`.

    A fact is the result of the decorated function, or the exception it raised.
    """
    program = _PROGRAM.format(code=indent(dedent(code), ""))
    result = project.python(program, timeout=timeout)
    found: dict[str, Any] = json.loads(result.stdout.rpartition("FACTS")[2])
    return found
