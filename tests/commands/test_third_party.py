"""Well-known apps of the community, each package in a database of its own by a variable alone."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable
from typing import Any

import pytest

from tests.docs.markdown import DOCS, read
from tests.support.project import REPOSITORY, Project
from tests.support.servers import Server
from tests.support.third_party import PACKAGES, install

PAGE = DOCS / "explanation" / "third-party.md"
SUCCEEDS = ""

# What `db_init --all-apps` says of each package: nothing, or what stops it.
OUTCOMES = {
    "Django": SUCCEEDS,
    "django-allauth": 'relation "auth_user" does not exist',
    "django-auditlog": SUCCEEDS,
    "django-axes": SUCCEEDS,
    "django-cms": "cms.PageUser.user_ptr to auth.User in 'default'",
    "django-filer": SUCCEEDS,
    "django-guardian": SUCCEEDS,
    "django-helpdesk": SUCCEEDS,
    "django-oauth-toolkit": SUCCEEDS,
    "django-oscar": 'relation "catalogue_category" does not exist',
    "django-otp": SUCCEEDS,
    "django-post-office": SUCCEEDS,
    "django-q2": SUCCEEDS,
    "django-reversion": SUCCEEDS,
    "django-silk": SUCCEEDS,
    "django-taggit": SUCCEEDS,
    "django-two-factor-auth": SUCCEEDS,
    "django-waffle": SUCCEEDS,
    "djangorestframework": SUCCEEDS,
    "djangorestframework-simplejwt": SUCCEEDS,
    "easy-thumbnails": SUCCEEDS,
    "social-auth-app-django": SUCCEEDS,
    "wagtail": (
        "auth.Group in the database 'default' cannot be joined with wagtailcore.GroupPagePermission"
    ),
}

# In one process, since importing all these apps takes seconds.
AGREEMENT = """
    import io
    import json

    from django.core.management import call_command

    found = {}
    for alias in %r:
        out = io.StringIO()
        try:
            call_command("migrate", database=alias, check_unapplied=True, stdout=out)
            call_command("showmigrations", database=alias, format="plan", stdout=out)
        except SystemExit:
            found[alias] = "unapplied"
        found.setdefault(alias, "unapplied" if "[ ]" in out.getvalue() else "applied")
    print(json.dumps(found))
"""


def test_the_documentation_has_the_same_table() -> None:
    rows = re.findall(r"^\| ([\w-]+) \| ([\d.]*) \| (.+) \|$", read(PAGE), re.M)
    text = (REPOSITORY / "pyproject.toml").read_text(encoding="utf-8")
    extra = tomllib.loads(text)["project"]["optional-dependencies"]["third-party"]
    floors = dict(re.sub(r"\[\w+\]", "", item).split(">=") for item in extra)

    assert {name: said for name, _, said in rows} == {
        name: f"`{stopped_by}`" if stopped_by else "succeeds"
        for name, stopped_by in OUTCOMES.items()
    }
    assert {name: version for name, version, _ in rows if version} == floors


def run(project: Project, *arguments: str) -> Any:
    result = project.manage(*arguments, "--format=json", check=False, timeout=400)
    assert result.stdout, result.stderr
    return json.loads(result.stdout)


@pytest.fixture
def aliases(
    project: Project, postgres: Server, database_name: Callable[[str], str]
) -> dict[str, str]:
    """A project with all packages, each with its variable; gives the aliases."""
    install(project)
    project.env = {"DATABASE_URL": postgres.url(database_name("main"))}
    for package in PACKAGES.values():
        variable = f"{package.leader.upper()}_DATABASE_URL"
        project.env[variable] = postgres.url(database_name(package.leader))
    return {"Django": "default"} | {name: item.leader for name, item in PACKAGES.items()}


@pytest.mark.once
@pytest.mark.slow
@pytest.mark.timeout(500)
def test_each_package_in_a_database_of_its_own(project: Project, aliases: dict[str, str]) -> None:
    listed = {entry["alias"]: entry["apps"] for entry in run(project, "db_list")["databases"]}
    databases = run(project, "db_init", "--all-apps", "--jobs=2")["databases"]
    findings = run(project, "db_check")["findings"]
    errors = {item["alias"]: item["error"] or SUCCEEDS for item in databases}
    ready = [aliases[name] for name, stopped_by in OUTCOMES.items() if stopped_by == SUCCEEDS]
    agreed = json.loads(project.python(AGREEMENT % ready, timeout=120).stdout)

    assert OUTCOMES.keys() == aliases.keys()
    for name, package in PACKAGES.items():
        assert set(listed[package.leader]) == package.apps.keys(), name
    for name, stopped_by in OUTCOMES.items():
        error = errors[aliases[name]]
        assert (stopped_by in error) if stopped_by else (error == SUCCEEDS), (name, error)
    kinds = {item["alias"]: item["kind"] for item in findings if item["alias"] in ready}
    # Its migrations write rows with keys of their own choice.
    assert kinds == {"helpdesk": "sequence"}
    assert agreed == dict.fromkeys(ready, "applied")
