"""Django's debug page shows no password of a database, wherever it comes from."""

import http.client
import re
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.support.project import Project
from tests.support.servers import Server

SECRET = "s3c'r3t-pass"
QUOTED = "s3c%27r3t-pass"

URLS = """
from django.urls import path

def boom(request):
    note = "see postgresql://app:{quoted}@db1/x and more"
    parts = ["postgresql://app:{quoted}@db1/x"]

    class Unprintable:
        def __repr__(self):
            raise ValueError

    odd = Unprintable()
    raise ValueError("boom")

def query(request):
    from django.contrib.auth.models import User
    return User.objects.count()

urlpatterns = [path("boom", boom), path("query", query)]
"""


@pytest.fixture
def debugged(project: Project) -> Project:
    """A project that shows its debug page, with a password in every place."""
    project.write("urls.py", URLS.format(quoted=QUOTED))
    project.settings_extra = "DEBUG = True\n"
    project.app("driver")
    project.env |= {
        "DRIVER_DATABASE_URL": f"postgresql://app:{QUOTED}@db1.invalid/x?sslpassword={QUOTED}",
        "DRIVER_DATABASE_DIRECT_URL": f"postgresql://app:{QUOTED}-2@db1.invalid/y",
        "SOMEBODYS_URL": f"amqp://app:{QUOTED}@queue/",
    }
    return project


@contextmanager
def served(project: Project) -> Iterator[Callable[[str], str]]:
    """Run the development server and give a function that fetches a page."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    process = project.popen("runserver", "--noreload", f"127.0.0.1:{port}")
    try:
        _wait_for(port, process)

        def fetch(path: str) -> str:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
            connection.request("GET", path, headers={"Accept": "text/html"})
            response = connection.getresponse()
            assert response.status == 500
            return response.read().decode()

        yield fetch
    finally:
        # As Ctrl-C does, so that the process can write down what of the code it has run.
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)


def _wait_for(port: int, process: subprocess.Popen[str]) -> None:
    for _ in range(300):
        assert process.poll() is None, process.communicate()
        with socket.socket() as client:
            if client.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise AssertionError("the server does not start")


def secrets_in(page: str) -> list[str]:
    return re.findall(r".{0,60}3t-pass.{0,20}", page)


def test_the_whole_environment_is_on_the_page_without_passwords(debugged: Project) -> None:
    with served(debugged) as fetch:
        page = fetch("/boom")

    # The view's own source is on the page too; that is its author's to keep clean.
    shown = [line for line in secrets_in(page) if "note =" not in line and "parts =" not in line]
    assert shown == []
    assert "amqp://app:********************@queue/" in page
    assert "see postgresql://app:********************@db1/x and more" in page
    assert "db1.invalid" in page


def test_without_the_filter_they_would_be(debugged: Project) -> None:
    debugged.settings_extra += "del DEFAULT_EXCEPTION_REPORTER_FILTER"

    with served(debugged) as fetch:
        page = fetch("/boom")

    assert any("DRIVER" in line or "postgresql" in line for line in secrets_in(page))


@pytest.mark.parametrize("is_filtered", [True, False])
def test_the_frames_of_a_failed_connection(
    debugged: Project, postgres_2: Server, role: Callable[..., Any], is_filtered: bool
) -> None:
    guest = role(postgres_2)
    debugged.env["AUTH_DATABASE_URL"] = postgres_2.url("postgres", user=guest.name, password=SECRET)
    if not is_filtered:
        debugged.settings_extra += "del DEFAULT_EXCEPTION_REPORTER_FILTER"

    with served(debugged) as fetch:
        page = fetch("/query")

    assert "password authentication failed" in page
    assert bool(secrets_in(page)) is not is_filtered
