"""Running Python programs in forks of one interpreter that has imported Django already.

Each is a process of its own, with the environment, folder and standard streams that it is given,
and begins where a new interpreter would be after its imports.
"""

from __future__ import annotations

import atexit
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from functools import cache
from pathlib import Path
from threading import Lock
from typing import IO

PROGRAM = Path(__file__).with_name("warm_server.py")
# What measures subprocesses starts itself where it finds this.
MEASURED = "COVERAGE_PROCESS_CONFIG"


class Warm:
    """The interpreter, started with ``environment``. It ends when it is closed, or is alone."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._started_with = _of_python(environment)
        self._busy = Lock()
        self._socket, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        measured = ["measured"] if MEASURED in environment else []
        with other:
            self._process = subprocess.Popen(
                [sys.executable, "-W", "error", str(PROGRAM), str(other.fileno()), *measured],
                env={name: value for name, value in environment.items() if name != MEASURED},
                stdin=subprocess.DEVNULL,
                # No terminal, as in tests: Python buffers what it writes to one in another way.
                stdout=subprocess.DEVNULL,
                pass_fds=[other.fileno()],
            )

    def close(self) -> None:
        """End the interpreter."""
        self._socket.close()
        self._process.wait()

    def run(
        self,
        arguments: Sequence[str],
        *,
        folder: Path,
        environment: Mapping[str, str],
        text: str,
        timeout: float,
    ) -> tuple[int, str, str] | None:
        """Run a program to its end, and return its exit code and what it wrote.

        ``arguments`` are those of the interpreter, and ``text`` is the program's input. ``None``
        says that nothing was run: another thread is running something, or the program is a module,
        or the interpreter would have to be started with other variables. Raises
        ``subprocess.TimeoutExpired``.
        """
        if arguments[0] == "-m" or _of_python(environment) != self._started_with:
            return None
        if not self._busy.acquire(blocking=False):
            return None
        with ExitStack() as stack:
            stack.callback(self._busy.release)
            files = [stack.enter_context(_text_file()) for _ in range(3)]
            files[0].write(text)
            files[0].seek(0)
            request = {
                "arguments": list(arguments),
                "folder": str(folder),
                "environment": dict(environment),
            }
            message = json.dumps(request).encode()
            socket.send_fds(self._socket, [message], [file.fileno() for file in files])
            code = self._wait(arguments, timeout)
            for file in files:
                file.seek(0)
            return code, files[1].read(), files[2].read()

    def _wait(self, arguments: Sequence[str], timeout: float) -> int:
        pid = self._receive()
        try:
            return self._receive(timeout)
        except BaseException as error:
            # Also where a test has taken too long: the next one finds nobody waiting.
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            self._receive()
            if isinstance(error, TimeoutError):
                command = [sys.executable, *arguments]
                raise subprocess.TimeoutExpired(command, timeout) from None
            raise

    def _receive(self, timeout: float | None = None) -> int:
        self._socket.settimeout(timeout)
        return int(self._socket.recv(64))


def _text_file() -> IO[str]:
    return tempfile.TemporaryFile("w+", encoding="utf-8")


def _of_python(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that an interpreter reads at its start."""
    return {
        name: value
        for name, value in environment.items()
        if name.startswith("PYTHON") and name != "PYTHONPATH"
    }


@cache
def warm_python(environment: frozenset[tuple[str, str]]) -> Warm:
    """Return the interpreter of this process for programs with these variables."""
    warm = Warm(dict(environment))
    atexit.register(warm.close)
    return warm
