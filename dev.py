"""Development tasks, for a bare Python with pip: `python3 dev.py --help` lists them.

Each task makes the virtual environment it needs, and installs again when pyproject.toml changes.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

ROOT = Path(__file__).resolve().parent
STAMP = "appdb-dev.json"
WORKERS = str(1 + (os.cpu_count() or 1))
PYTHON_VERSION = "import sys; print('{}.{}'.format(*sys.version_info))"


@dataclass(frozen=True)
class Environment:
    """A virtual environment with the project installed in editable mode."""

    folder: Path
    interpreter: str
    django: str

    @property
    def python(self) -> str:
        """The environment's own interpreter."""
        scripts = "Scripts" if os.name == "nt" else "bin"
        return str(self.folder / scripts / "python")

    def ensure(self, *extras: str) -> None:
        """Make the environment, or bring it up to date, unless it has all that is asked for."""
        stamp = self._stamp()
        wanted: dict[str, Any] = {
            "python": version_of(self.interpreter),
            "django": self.django,
            "pyproject": hashlib.sha256((ROOT / "pyproject.toml").read_bytes()).hexdigest(),
            "extras": sorted({*stamp.get("extras", ()), *extras}),
        }
        if stamp == wanted:
            return
        if stamp.get("python") != wanted["python"]:
            shutil.rmtree(self.folder, ignore_errors=True)
            run([self.interpreter, "-m", "venv", str(self.folder)])
        self._install(wanted["extras"])
        (self.folder / STAMP).write_text(json.dumps(wanted), encoding="utf-8")

    def _install(self, extras: list[str]) -> None:
        target = f".[{','.join(extras)}]" if extras else "."
        django = [f"Django=={self.django}"] if self.django else []
        pip = ["-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
        run([self.python, *pip, "--editable", target, *django])

    def _stamp(self) -> dict[str, Any]:
        try:
            stamp: dict[str, Any] = json.loads((self.folder / STAMP).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            # No environment, or one whose first installation never ended.
            return {}
        return stamp


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the task that the command line names."""
    options, rest = parser().parse_known_args(arguments)
    if rest and options.task is not test:
        parser().error(f"unrecognized arguments: {shlex.join(rest)}")
    options.rest = rest
    options.task(options)


def parser() -> argparse.ArgumentParser:
    """Build the parser of the command line."""
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        "--python",
        default=os.environ.get("APPDB_DEV_PYTHON", ""),
        help="interpreter of the virtual environment, such as python3.13 (or APPDB_DEV_PYTHON)",
    )
    common.add_argument(
        "--django",
        default=os.environ.get("APPDB_DEV_DJANGO", ""),
        help="version of Django, such as '6.1.*' (or APPDB_DEV_DJANGO); default: the newest",
    )
    main_parser = argparse.ArgumentParser(prog="dev.py", description="Development tasks.")
    tasks = main_parser.add_subparsers(required=True, metavar="task")
    for task in (demo, test, docs, bench, load):
        summary = str(task.__doc__).splitlines()[0]
        command = tasks.add_parser(
            task.__name__,
            parents=[common],
            help=summary,
            description=summary,
            # An abbreviation would swallow an option that is meant for pytest.
            allow_abbrev=False,
        )
        command.set_defaults(task=task)
        if task is test:
            command.add_argument(
                "--only-tests",
                action="store_true",
                help="leave out lint, types and docs, and keep the coverage of earlier runs",
            )
    return main_parser


def demo(options: argparse.Namespace) -> None:
    """Create and show the databases of the sample project, then run its demo."""
    environment = choose(options)
    # The sample project's .env may name PostgreSQL databases.
    environment.ensure("postgresql")
    run([environment.python, "manage.py", "db_init", "--all-apps"])
    run([environment.python, "manage.py", "db_list"])
    run([environment.python, "-m", "project.demo"])


def test(options: argparse.Namespace) -> None:
    """Check style, types and docs, and run the tests; other arguments go to pytest."""
    environment = choose(options)
    # The driver is compiled on installation, so only those who name a server need it.
    mysql = ["mysql"] if os.environ.get("APPDB_TEST_MYSQL_URL") else []
    environment.ensure("dev", *mysql)
    if not options.only_tests:
        check(environment)
        run([environment.python, "-m", "coverage", "erase"])
    # Tests wait for servers half of the time, and a worker that is done takes over from another.
    parallel = ["-n", WORKERS, "--dist", "worksteal"]
    measured = ["-m", "coverage", "run", "-m", "pytest", *parallel]
    run([environment.python, *measured, *options.rest])
    collect_coverage(environment)
    if not options.rest:
        run([environment.python, "-m", "coverage", "report"])


def docs(options: argparse.Namespace) -> None:
    """Build the documentation into `site`; a warning is an error."""
    environment = choose(options)
    environment.ensure("docs")
    build_docs(environment)


def bench(options: argparse.Namespace) -> None:
    """Run the benchmarks."""
    environment = choose(options)
    environment.ensure("benchmarks")
    run([environment.python, "-m", "benchmarks"])


def load(options: argparse.Namespace) -> None:
    """Put load on gunicorn and uvicorn, and show what they bear."""
    environment = choose(options)
    environment.ensure("benchmarks")
    run([environment.python, "-m", "benchmarks.servers"])


def check(environment: Environment) -> None:
    """Check style and types, and build the documentation."""
    run([environment.python, "-m", "ruff", "check"])
    run([environment.python, "-m", "ruff", "format", "--check"])
    tasks: list[Callable[[], None]] = [
        lambda: run([environment.python, "-m", "mypy"]),
        lambda: run([environment.python, "-m", "pyright", "--pythonpath", environment.python]),
    ]
    if (ROOT / "docs" / "conf.py").exists():
        tasks.append(lambda: build_docs(environment))
    # Each works on one processor alone, or waits.
    with ThreadPoolExecutor() as threads:
        for task in [threads.submit(task) for task in tasks]:
            task.result()


def build_docs(environment: Environment) -> None:
    """Build the documentation, strictly."""
    strict = ["--fail-on-warning", "--keep-going", "--fresh-env", "--quiet"]
    run([environment.python, "-m", "sphinx", *strict, "docs", "site"])


def collect_coverage(environment: Environment) -> None:
    """Add the data of every process of this run to those of earlier runs."""
    # A few chosen tests may not have touched the package at all.
    if any(ROOT.glob(".coverage.*")):
        run([environment.python, "-m", "coverage", "combine", "--append", "--quiet"])


def choose(options: argparse.Namespace) -> Environment:
    """Return the environment for the chosen interpreter and Django: `.venv` if none is chosen."""
    # The base interpreter, so that an activated environment is never its own parent.
    interpreter = options.python or getattr(sys, "_base_executable", sys.executable)
    name = ".venv"
    if options.python:
        name += f"-{version_of(interpreter)}"
    if options.django:
        name += "-django" + re.sub(r"[^0-9.]", "", options.django).strip(".")
    return Environment(ROOT / name, interpreter, options.django)


def version_of(interpreter: str) -> str:
    """Ask an interpreter for its version, such as 3.13."""
    try:
        result = subprocess.run(
            [interpreter, "-c", PYTHON_VERSION], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        fail(f"{interpreter!r} is no working Python; name one with --python", 2)
    return result.stdout.strip()


def run(command: Sequence[str]) -> None:
    """Show and run a command in the repository; end with its exit code if it fails."""
    shown = shlex.join(command).replace(f"{ROOT}{os.sep}", "")
    print(f"\n$ {shown}", flush=True)
    started = time.monotonic()
    code = subprocess.run(command, cwd=ROOT, check=False).returncode
    if code:
        fail(f"exit code {code} from: {shown}", code)
    print(f"  done in {time.monotonic() - started:.1f} s", flush=True)


def fail(message: str, code: int) -> NoReturn:
    """Say what is wrong, and end."""
    print(f"dev.py: {message}", file=sys.stderr)
    raise SystemExit(code if code > 0 else 1)


if __name__ == "__main__":
    main()
