"""An interpreter with Django in it, which is forked for each program: `warm.py` starts it.

What takes most of the time of a short program is importing. The modules that are imported here read
no settings; the package under test is not among them.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import socket
import sys
from collections.abc import Sequence
from importlib import import_module, invalidate_caches
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

_COMMANDS = ("check", "dumpdata", "flush", "loaddata", "makemigrations", "migrate")
_APPS = ("admin", "auth", "contenttypes", "messages", "sessions", "staticfiles")
IMPORTED = (
    "asyncio",
    "dj_database_url",
    "django.contrib.auth.hashers",
    "django.contrib.auth.management",
    "django.contrib.contenttypes.checks",
    "django.contrib.contenttypes.management",
    "django.contrib.messages.storage.session",
    "django.contrib.sessions.middleware",
    "django.contrib.sites.shortcuts",
    "django.contrib.staticfiles.checks",
    "django.core.mail",
    "django.db.backends.sqlite3.base",
    "django.template.defaulttags",
    "django.template.loader_tags",
    "django.utils.log",
    "django.views.defaults",
    "django.views.generic",
    "environ",
    "rich.console",
    "rich.table",
    *(f"django.contrib.{name}.apps" for name in _APPS),
    *(f"django.core.management.commands.{name}" for name in _COMMANDS),
)
_MESSAGE_SIZE = 1 << 20
_DESCRIPTORS = 3


def main() -> None:
    """Serve the socket whose number the command line has, until the other side closes it."""
    # The folder of this file is nothing that a program should see.
    del sys.path[0]
    is_measured = sys.argv[2:] == ["measured"]
    for name in (*IMPORTED, *(["coverage"] if is_measured else [])):
        import_module(name)
    # The collector would touch, and so copy, the memory that the forks share.
    gc.collect()
    gc.freeze()
    with socket.socket(fileno=int(sys.argv[1])) as requests:
        while received := _receive(requests):
            request, descriptors = received
            pid = os.fork()
            if pid == 0:
                requests.close()
                _become(request, descriptors, is_measured=is_measured)
                # The interpreter ends as it would behind any program.
                return
            for descriptor in descriptors:
                os.close(descriptor)
            requests.send(str(pid).encode())
            _, status = os.waitpid(pid, 0)
            requests.send(str(os.waitstatus_to_exitcode(status)).encode())


def _receive(requests: socket.socket) -> tuple[dict[str, Any], list[int]] | None:
    data, descriptors, _, _ = socket.recv_fds(requests, _MESSAGE_SIZE, _DESCRIPTORS)
    return (json.loads(data), descriptors) if data else None


def _become(request: dict[str, Any], descriptors: Sequence[int], *, is_measured: bool) -> None:
    """Be the program that was asked for."""
    for standard, descriptor in enumerate(descriptors):
        os.dup2(descriptor, standard)
        os.close(descriptor)
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    program, *arguments = request["arguments"]
    is_text = program == "-c"
    folder = "" if is_text else request["folder"]
    path = request["environment"].get("PYTHONPATH", "").split(os.pathsep)
    sys.path[:0] = [folder, *filter(None, path)]
    invalidate_caches()
    if is_measured:
        import coverage

        coverage.process_startup()
    if is_text:
        code: CodeType = compile(arguments.pop(0), "<string>", "exec")
        _run(code, "-c", arguments)
    else:
        file = Path(request["folder"], program)
        code = compile(file.read_bytes(), str(file), "exec")
        _run(code, program, arguments, __file__=str(file))


def _run(code: CodeType, name: str, arguments: Sequence[str], **attributes: str) -> None:
    sys.argv = [name, *arguments]
    module = ModuleType("__main__")
    vars(module).update(attributes)
    sys.modules["__main__"] = module
    exec(code, vars(module))


if __name__ == "__main__":
    # As at the start of any interpreter, whatever the process above has changed.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    main()
