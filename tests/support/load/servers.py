"""gunicorn and uvicorn as subprocesses, as a deployment starts them."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from tests.support.project import Project

Found = TypeVar("Found")

# Seconds that anything here may take: far more than it does on a busy machine.
PATIENCE = 30

GUNICORN = ("gunicorn", "wsgi:application", "--bind=127.0.0.1:0", "--no-control-socket")
UVICORN = ("uvicorn", "asgi:application", "--port=0", "--no-access-log")
PORT = re.compile(r"(?:Listening at:|running on) http://127\.0\.0\.1:(\d+)")
WORKER = re.compile(r"(?:Booting worker with pid: |Started server process \[)(\d+)")


def gunicorn(*, workers: int, threads: int = 1) -> Sequence[str]:
    """Return the command of a WSGI server: of synchronous workers, or of workers with threads."""
    return (*GUNICORN, f"--workers={workers}", f"--threads={threads}")


def uvicorn(*, workers: int) -> Sequence[str]:
    """Return the command of an ASGI server."""
    return (*UVICORN, f"--workers={workers}")


@dataclass(frozen=True)
class WebServer:
    """A running server: the process that supervises the workers, and what all of them write."""

    process: subprocess.Popen[bytes]
    log_file: Path
    url: str

    @property
    def log(self) -> str:
        """What the server has written so far."""
        return self.log_file.read_text(encoding="utf-8")

    @property
    def workers(self) -> list[int]:
        """The process ids of all workers that were ever started, the oldest first."""
        return [int(pid) for pid in WORKER.findall(self.log)]

    def stop(self) -> int:
        """Ask for an orderly end, and return the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE)


@contextmanager
def serve(project: Project, command: Sequence[str]) -> Iterator[WebServer]:
    """Run a server on a free port until the block ends, unless it was stopped before."""
    project.write_settings()
    log_file = project.root / "server.log"
    with log_file.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", *command],
            cwd=project.root,
            env=project.environment(),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        # The server chooses the port, so no other process can take it first.
        port = wait_for(lambda: _port(process, log_file))
        wait_for(lambda: _accepts(port))
        yield WebServer(process, log_file, f"http://127.0.0.1:{port}")
    finally:
        process.terminate()
        try:
            process.wait(PATIENCE)
        finally:
            process.kill()


def _port(process: subprocess.Popen[bytes], log_file: Path) -> int | None:
    log = log_file.read_text(encoding="utf-8")
    if process.poll() is not None:
        raise RuntimeError(f"The server ended with {process.returncode}:\n{log}")
    found = PORT.search(log)
    return int(found[1]) if found else None


def _accepts(port: int) -> bool:
    with suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port)):
        return True
    return False


def wait_for(look: Callable[[], Found | None]) -> Found:
    """Return the first true value that ``look`` gives."""
    deadline = time.monotonic() + PATIENCE
    while not (found := look()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{found!r} after {PATIENCE} s")
        time.sleep(0.02)
    return found
