"""The repository of the sample project: over HTTP, and as its documentation shows it."""

import json
from textwrap import dedent

import pytest

from tests.docs.markdown import DOCS, read
from tests.docs.walkthrough import walk
from tests.sample.test_sample import Sample, sample, servers

__all__ = ["sample", "servers"]

GUIDE = read(DOCS / "reference" / "repositories.md")

ACCOUNTS = """
    import asyncio

    from apps.auth.models import User
    from apps.auth.repositories import UserRepository
    from django.conf import settings
    from django.contrib.auth.models import Group
    from django.test import AsyncClient, Client

    settings.ALLOWED_HOSTS.append("testserver")
    users = UserRepository()
    ann = users.add(User(username="ann", first_name="Ann", last_name="Lee"))
    users.add(User(username="bob", is_active=False))
    ann.groups.add(Group.objects.create(name="staff"))
    client = Client()
"""
SYNCHRONOUS = """
    answers = [client.get("/accounts/own/")]
    client.force_login(ann)
    answers += [
        client.get("/accounts/own/"),
        client.post("/accounts/own/"),
        client.delete("/accounts/own/"),
        client.get("/accounts/own/"),
    ]
    print([answer.status_code for answer in answers])
    print(answers[1].content.decode())
    print(answers[3].content.decode())
    print(ann.groups.count(), users.get(ann.pk).is_active)
"""
ASYNCHRONOUS = """
    async def ask():
        client = AsyncClient()
        before = await client.get("/accounts/named/ann/")
        await client.aforce_login(ann)
        return [before, *[await client.get(f"/accounts/named/{name}/") for name in NAMES]]

    NAMES = ("ann", "bob", "nobody")
    answers = asyncio.run(ask())
    print([answer.status_code for answer in answers])
    print(answers[1].content.decode())
    client.force_login(ann)
    print([client.get(f"/accounts/named/{name}/").status_code for name in NAMES])
"""
ROLLBACK = """
    from unittest import mock

    from apps.auth.services import close

    with mock.patch.object(User, "save", side_effect=KeyError):
        try:
            close(ann)
        except KeyError:
            print(ann.groups.count(), users.get(username="ann").is_active)
"""


@pytest.fixture(params=["sqlite", "servers"])
def placed(sample: Sample, request: pytest.FixtureRequest) -> Sample:
    """The sample project, its databases ready."""
    if request.param == "servers":
        request.getfixturevalue("servers")
    sample.manage("db_init", "--all-apps")
    return sample


def run(sample: Sample, code: str) -> list[str]:
    return sample.python(dedent(ACCOUNTS) + dedent(code)).splitlines()


def test_a_synchronous_view(placed: Sample) -> None:
    codes, shown, closed, rows = run(placed, SYNCHRONOUS)

    assert codes == "[401, 200, 405, 200, 401]"
    assert json.loads(shown) == {"username": "ann", "name": "Ann Lee", "active": True}
    assert json.loads(closed) == {"username": "ann", "name": "Ann Lee", "active": False}
    assert rows == "0 False"


def test_an_asynchronous_view(placed: Sample) -> None:
    codes, shown, by_synchronous_client = run(placed, ASYNCHRONOUS)

    assert codes == "[401, 200, 404, 404]"
    assert json.loads(shown) == {"username": "ann", "name": "Ann Lee"}
    assert by_synchronous_client == "[200, 404, 404]"


def test_closing_an_account_does_both_or_neither(placed: Sample) -> None:
    assert run(placed, ROLLBACK) == ["1 True"]


def test_the_guide_runs(placed: Sample) -> None:
    met = walk(GUIDE, placed.root, placed.environment())

    assert met["run"] > 3
    assert met["file"] == 1
