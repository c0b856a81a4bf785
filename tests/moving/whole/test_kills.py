"""The command is killed at any moment, while processes write.

``APPDB_TEST_KILLS`` says how many times; the documentation promises 200.
"""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from tests.support.live_moves import moving_project, writing
from tests.support.project import Project
from tests.support.servers import Server

KILLS = int(os.environ.get("APPDB_TEST_KILLS", "10"))

# Each command is a process of its own that has imported everything already, so that kills do not
# fall on the start of the interpreter. What is left by a kill is gone on with, and killed again.
RUNS = """
    import os
    import random
    import signal
    import sys
    import time
    import traceback

    from django.core.management import CommandError, call_command
    from django.db import connections

    import appdb_router.management.commands.db_move
    from appdb_router.services.moving.moving import move_status
    from appdb_router.services.moving.route import route_of

    KILLS, SEED, OPTIONS = {kills}, {seed}, {options}
    chance = random.Random(SEED)
    killed = []

    def begin(*options):
        connections.close_all()
        child = os.fork()
        if child:
            return child
        sys.stdout = open(os.devnull, "w")
        try:
            call_command("db_move", "driver", "--noinput", *options)
        except CommandError as error:
            sys.stderr.write(f"{{options}}: {{error}}\\n")
            os._exit(error.returncode)
        except BaseException:
            traceback.print_exc()
            os._exit(99)
        os._exit(0)

    def end(child):
        _, status = os.waitpid(child, 0)
        return os.waitstatus_to_exitcode(status)

    def status():
        found = move_status(route_of("driver"))
        connections.close_all()
        return found

    def until_done(first, wanted, longest):
        options = first
        for _ in range(chance.randint(1, 4)):
            if len(killed) == KILLS:
                break
            child = begin(*options)
            time.sleep(chance.uniform(0, longest))
            try:
                os.kill(child, signal.SIGKILL)
            except ProcessLookupError:
                pass
            end(child)
            found = status()
            killed.append((options, found.phase))
            if found.phase == wanted:
                return
            options = next_options(first, found)
        code = end(begin(*options))
        assert code == 0, (code, options, killed)
        assert status().phase == wanted, (status(), killed)

    def next_options(first, found):
        if first == ["--rollback"]:
            # Killed before it had begun?
            return first if found.phase == "moved" else ["--resume"]
        if found.phase in ("not begun", "returned"):
            return first
        return ["--resume"]

    begun = time.monotonic()
    assert end(begin(*OPTIONS)) == 0
    there = time.monotonic() - begun
    begun = time.monotonic()
    assert end(begin("--rollback")) == 0
    back = time.monotonic() - begun
    while len(killed) < KILLS:
        until_done(["--restart", *OPTIONS], "moved", there * 1.3)
        assert status().home == "driver"
        until_done(["--rollback"], "returned", back * 1.3)
        assert status().home == "default"
    phases = sorted({{phase for _, phase in killed}})
    print(len(killed), phases, round(there, 2), round(back, 2))
"""

LOCKS = """
    SELECT locktype, mode, query FROM pg_locks JOIN pg_stat_activity USING (pid)
    WHERE datname = '{name}' AND pid <> pg_backend_pid() AND locktype <> 'virtualxid'
"""


@pytest.mark.slow
@pytest.mark.timeout(120 + 20 * KILLS)
@pytest.mark.parametrize("options", [[], ["--verify", "stream", "--chunk-rows", "100"]])
def test_killed_at_any_moment(
    project: Project, postgres: Server, database_name: Callable[[str], str], options: list[str]
) -> None:
    """No acknowledged write is lost or doubled, and what is left can always be gone on with."""
    names = {label: database_name(label) for label in ("default", "driver")}
    moving_project(project, {label: postgres.url(name) for label, name in names.items()})
    seed = int.from_bytes(os.urandom(4))
    with writing(project):
        code = RUNS.format(kills=KILLS, seed=seed, options=options)
        result = project.python(code, timeout=100 + 20 * KILLS, check=False)
        assert result.returncode == 0, (seed, result.stdout, result.stderr)
    for name in names.values():
        assert postgres.fetch(LOCKS.format(name=name)) == [], seed
