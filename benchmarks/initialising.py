"""Times bringing databases into being: `python -m benchmarks.initialising FOLDER URL`.

Each rival is what a deployment runs, from the start of its processes to their end; the time is that
of the clock on the wall.
"""

import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter

from tests.support.servers import Server

from . import deployed

SHELL = "shell loop of migrate"
LOOP = "one process, call_command"
OURS = "db_init --all-apps"
STOCK = "migrate"
RIVALS = (SHELL, LOOP, OURS)
SIZES = (8, 25)
FIRST, AGAIN = "first run", "nothing to do"
ROUND_TRIP = 0.003

LOOP_PROGRAM = """\
import sys, django
django.setup()
from django.core.management import call_command
for alias in sys.argv[1:]:
    call_command("migrate", database=alias, verbosity=0)
"""


def cell(rival: str, size: int, run: str, *, is_slow: bool = False) -> str:
    """Return the name of a case with ``size`` databases beside the default."""
    return f"{rival}, {size} databases{', 3 ms' if is_slow else ''}: {run}"


def main() -> None:
    """Print the seconds of each rival as JSON."""
    folder, server = Path(sys.argv[1]), Server.from_url(sys.argv[2])
    results: dict[str, list[float]] = {}
    with latency(server) as slow:
        for size in SIZES:
            deployed.write(folder / f"apps{size}", size)
            results |= compare(folder / f"apps{size}", size, server, server, RIVALS)
        results |= compare(folder / "apps8", 8, server, slow, RIVALS, is_slow=True)
    results |= compare_in_one(folder / "apps25", server)
    print(json.dumps(results))


def compare(
    folder: Path,
    size: int,
    server: Server,
    through: Server,
    rivals: tuple[str, ...],
    *,
    is_slow: bool = False,
) -> dict[str, list[float]]:
    """Time the rivals with a database for each app, connecting to ``through``."""
    results = {}
    for rival in random.sample(rivals, len(rivals)):
        aliases = ["default", *deployed.labels(size)]
        names = {alias: f"appdb_bench_{os.getpid()}_{alias}" for alias in aliases}
        env = environment({alias: through.url(name) for alias, name in names.items()})
        run = RUNS[rival]
        try:
            for part in (FIRST, AGAIN):
                missing = names if part == FIRST else {}
                seconds = timed(run, folder, env, aliases, through, missing)
                results[cell(rival, size, part, is_slow=is_slow)] = [seconds]
        finally:
            for name in names.values():
                server.drop(name)
    return results


def compare_in_one(folder: Path, server: Server) -> dict[str, list[float]]:
    """Time ``migrate`` and ``db_init`` with all apps in one database."""
    results: dict[str, list[float]] = {STOCK: [], OURS: []}
    for _ in range(5):
        for rival in random.sample((STOCK, OURS), 2):
            name = f"appdb_bench_{os.getpid()}"
            env = environment({"default": server.url(name)})
            try:
                if rival == STOCK:
                    seconds = timed(shell_loop, folder, env, ["default"], server, {"": name})
                else:
                    seconds = timed(db_init, folder, env, [], server, {})
            finally:
                server.drop(name)
            results[rival].append(seconds)
    return {cell(rival, 1, FIRST): seconds for rival, seconds in results.items()}


def environment(urls: dict[str, str]) -> dict[str, str]:
    """Return the environment of the project's processes."""
    kept = {name: value for name, value in os.environ.items() if "DATABASE_URL" not in name}
    variables = {
        "DATABASE_URL" if alias == "default" else f"{alias.upper()}_DATABASE_URL": url
        for alias, url in urls.items()
    }
    # What is installed is compiled: every process would pay for the lack of it.
    kept.pop("PYTHONDONTWRITEBYTECODE", None)
    path = os.pathsep.join([str(Path.cwd()), kept.pop("PYTHONPATH", "")])
    return {**kept, **variables, "DJANGO_SETTINGS_MODULE": "settings", "PYTHONPATH": path}


Run = Callable[[Path, dict[str, str], list[str], Server, dict[str, str]], None]


def timed(
    run: Run,
    folder: Path,
    env: dict[str, str],
    aliases: list[str],
    server: Server,
    missing: dict[str, str],
) -> float:
    """Return the seconds that a run takes."""
    started = perf_counter()
    run(folder, env, aliases, server, missing)
    return perf_counter() - started


def shell_loop(
    folder: Path,
    env: dict[str, str],
    aliases: list[str],
    server: Server,
    missing: dict[str, str],
) -> None:
    """Create and migrate one database after the other, as a shell script does."""
    for alias in aliases:
        if name := missing.get(alias) or missing.get(""):
            createdb(name, server)
        python(folder, env, "manage.py", "migrate", "--database", alias, "--verbosity=0")


def one_process(
    folder: Path,
    env: dict[str, str],
    aliases: list[str],
    server: Server,
    missing: dict[str, str],
) -> None:
    """Create every database, and migrate all in one process."""
    for name in missing.values():
        createdb(name, server)
    python(folder, env, "-c", LOOP_PROGRAM, *aliases)


def db_init(
    folder: Path,
    env: dict[str, str],
    aliases: list[str],  # noqa: ARG001  The command knows them.
    server: Server,  # noqa: ARG001
    missing: dict[str, str],  # noqa: ARG001
) -> None:
    """Create, migrate and verify all."""
    python(folder, env, "manage.py", "db_init", "--all-apps", "--verbosity=0")


RUNS: dict[str, Run] = {SHELL: shell_loop, LOOP: one_process, OURS: db_init}


def python(folder: Path, env: dict[str, str], *arguments: str) -> None:
    """Run Python in the project."""
    # Programs of this module, and the project that it wrote.
    subprocess.run([sys.executable, *arguments], cwd=folder, env=env, check=True)  # noqa: S603


def createdb(name: str, server: Server) -> None:
    """Run PostgreSQL's own program, where it is installed."""
    program = shutil.which("createdb")
    if program is None:
        server.execute(f"CREATE DATABASE {server.quote(name)}")
        return
    command = [program, "-h", server.host, "-p", str(server.port), "-U", server.user, name]
    subprocess.run(command, check=True)  # noqa: S603


@contextmanager
def latency(server: Server) -> Iterator[Server]:
    """Yield ``server`` as it is seen over a network."""
    command = [sys.executable, "-m", "benchmarks.latency", server.host, str(server.port)]
    process = subprocess.Popen(  # noqa: S603  A module of this package.
        [*command, str(ROUND_TRIP)], stdout=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout is not None  # noqa: S101  It was asked for.
        port = int(process.stdout.readline())
        try:
            yield Server(server.vendor, "127.0.0.1", port, server.user, server.password)
        finally:
            process.terminate()


if __name__ == "__main__":
    main()
