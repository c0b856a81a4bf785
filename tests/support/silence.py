"""A PostgreSQL server behind a network that can go silent: nothing arrives, and nothing says so.

It takes a network namespace, so it needs root, as in a container, and the program `ip`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import psycopg

from tests.support.embedded import PG_PORT, Cluster
from tests.support.servers import Server, temporary_folder

START = """
import sys
from pathlib import Path
from tests.support.embedded import Cluster

Cluster(Path(sys.argv[1]), PORT, host=sys.argv[2]).start()
""".replace("PORT", str(PG_PORT))


class Link:
    """The only way to `server`, from a namespace of the name `name`."""

    def __init__(self, name: str, server: Server) -> None:
        self._name, self._server = name, server

    def silence(self) -> None:
        """Lose whatever is sent, in both directions."""
        self._set("down")

    def restore(self) -> None:
        """Let through what is sent from now on, once both sides have found each other again."""
        self._set("up")
        for remaining in reversed(range(100)):
            try:
                self._server.fetch("SELECT 1")
            except psycopg.OperationalError:
                if not remaining:
                    raise
                time.sleep(0.1)
            else:
                return

    def _set(self, state: str) -> None:
        run("ip", "-n", self._name, "link", "set", "far", state)


def run(*command: str) -> None:
    """Run a program that must succeed."""
    subprocess.run(command, check=True, capture_output=True, timeout=60)


def can_be_silent() -> bool:
    """Tell whether namespaces can be made here."""
    return os.geteuid() == 0 and shutil.which("ip") is not None


@contextmanager
def far_postgres() -> Iterator[tuple[Server, Link]]:
    """Run a server in a namespace of its own, and the link to it."""
    name = f"appdb{os.getpid()}"
    # A private network for each process.
    network = f"10.213.{os.getpid() % 250}"
    with ExitStack() as stack:
        run("ip", "netns", "add", name)
        stack.callback(run, "ip", "netns", "delete", name)
        run("ip", "link", "add", name, "type", "veth", "peer", "name", "far", "netns", name)
        run("ip", "address", "add", f"{network}.1/24", "dev", name)
        run("ip", "link", "set", name, "up")
        run("ip", "-n", name, "address", "add", f"{network}.2/24", "dev", "far")
        run("ip", "-n", name, "link", "set", "far", "up")
        data = stack.enter_context(temporary_folder()) / "pg"
        run("ip", "netns", "exec", name, sys.executable, "-c", START, str(data), f"{network}.2")
        stack.callback(Cluster(data).kill)
        server = Server("postgresql", f"{network}.2", PG_PORT, "postgres")
        yield server, Link(name, server)
