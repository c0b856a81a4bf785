"""Doing what a page shows, block by block, in the folder of a project."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from tests.docs.markdown import blocks
from tests.support.project import KEPT_PREFIXES, KEPT_VARIABLES, describe

# The commands of a page are those beside the interpreter that runs the tests.
PATH = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])


def walk(text: str, folder: Path, env: Mapping[str, str]) -> Counter[str]:
    """Do what the comments above the blocks say, and return how often each was met.

    - `run`: run the block, shell or Python, to a good end. Python runs in the project, and blocks
      of it with nothing but output between them are one module; a line `expression  # value` is an
      assertion.
    - `output`: the block is in what the last run has written.
    - `write PATH` and `append PATH`: the block is the file, or its end.
    - `file PATH`: the project has this file already.
    """
    return _Walk(folder, {**env, "PATH": PATH}).through(text)


class _Walk:
    def __init__(self, folder: Path, env: Mapping[str, str]) -> None:
        self._folder = folder
        self._env = env
        self._code: list[str] = []
        self._written = ""
        self._shown: list[str] = []

    def through(self, text: str) -> Counter[str]:
        met: Counter[str] = Counter()
        for block in blocks(text):
            action, _, path = block.mark.partition(" ")
            met[action] += 1
            if action == "output":
                self._shown.append(block.text.strip())
            elif action == "run" and block.language == "python":
                if not self._code:
                    self._check()
                self._code.append(checked(block.text))
            else:
                self._check()
                self._do(action, path, block.text)
        self._check()
        return met

    def _check(self) -> None:
        """Run the Python that has gathered, and look for what the last run has to write."""
        if self._code:
            code, self._code = "\n".join(self._code), []
            self._written = self._run("python", "manage.py", "shell", "--no-imports", "-c", code)
        for text in self._shown:
            assert text in self._written, f"shown:\n{text}\nwritten:\n{self._written}"
        self._shown.clear()

    def _do(self, action: str, path: str, text: str) -> None:
        if action == "run":
            self._written = self._run("bash", "-e", "-c", text)
        elif action == "file":
            found = (self._folder / path).read_text(encoding="utf-8")
            assert text == found, f"shown:\n{text}\n{path}:\n{found}"
        elif action in {"write", "append"}:
            self._write(self._folder / path, text, keep=action == "append")

    def _run(self, *command: str) -> str:
        return run(*command, cwd=self._folder, env=self._env)

    def _write(self, path: Path, text: str, *, keep: bool) -> None:
        path.parent.mkdir(exist_ok=True)
        if keep:
            old = path.read_text(encoding="utf-8")
            text = f"{without_databases(old) if path.name == 'settings.py' else old}\n{text}"
        path.write_text(text, encoding="utf-8")


def checked(code: str) -> str:
    """Turn each line `expression  # value` into an assertion."""
    lines = []
    for line in code.splitlines():
        expression, found, value = line.partition("  # ")
        indent = line[: len(line) - len(line.lstrip())]
        lines.append(f"{indent}assert ({expression.strip()}) == ({value})" if found else line)
    return "\n".join([*lines, ""])


def without_databases(settings: str) -> str:
    """Return the text of a settings module without its DATABASES."""
    [node] = [
        node
        for node in ast.parse(settings).body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "DATABASES"
    ]
    lines = settings.splitlines(keepends=True)
    return "".join([*lines[: node.lineno - 1], *lines[node.end_lineno :]])


def run(*command: str, cwd: Path, env: Mapping[str, str]) -> str:
    """Run a command to a good end, with next to nothing of the environment."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name in KEPT_VARIABLES or name.startswith((*KEPT_PREFIXES, "PIP_"))
    }
    result = subprocess.run(
        command,
        cwd=cwd,
        env={**kept, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONUTF8": "1", **env},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert result.returncode == 0, describe(result)
    return result.stdout
