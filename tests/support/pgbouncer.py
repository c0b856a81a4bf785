"""A real PgBouncer in front of a PostgreSQL server."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from tests.support.servers import Server, free_port

CONFIG = """\
[databases]
* = host={host} port={port} user={user} password={password}
{databases}

[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {listen_port}
unix_socket_dir =
auth_type = any
pool_mode = {mode}
default_pool_size = {size}
server_round_robin = {round_robin}
query_wait_timeout = 20
server_login_retry = 1
"""


def find_pgbouncer() -> str | None:
    """Return the path of the program; distributions put it where only root looks."""
    return shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")


@contextmanager
def running_pgbouncer(
    server: Server,
    folder: Path,
    *,
    mode: str = "transaction",
    databases: dict[str, str] | None = None,
    round_robin: bool = False,
) -> Iterator[Server]:
    """Run PgBouncer in front of ``server``, and give it as a server of its own.

    Every client is let in, as the administrator. ``databases`` maps names that clients use to the
    server's; all other names are those of the server.
    """
    program = find_pgbouncer()
    assert program
    port = free_port()
    address = f"host={server.host} port={server.port} user={server.user}"
    named = (f"{name} = {address} dbname={real}" for name, real in (databases or {}).items())
    config = folder / f"pgbouncer-{port}.ini"
    config.write_text(
        CONFIG.format(
            host=server.host,
            port=server.port,
            user=server.user,
            password=server.password or "none",
            databases="\n".join(named),
            listen_port=port,
            mode=mode,
            size=20,
            round_robin=int(round_robin),
        )
    )
    # It refuses to run as root.
    user = ["--user", "nobody"] if os.geteuid() == 0 else []
    process = subprocess.Popen(
        [program, "--quiet", *user, str(config)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait_until_it_listens(process, port)
        yield replace(server, host="127.0.0.1", port=port)
    finally:
        process.kill()
        process.wait()


def _wait_until_it_listens(process: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
        else:
            return
