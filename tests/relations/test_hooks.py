"""The places where relations reach into Django: all there, and untouched where nothing crosses."""

from __future__ import annotations

import pytest

from appdb_router.exceptions import ConfigurationError
from appdb_router.relations.hooks import Hook
from tests.relations.conftest import Tied
from tests.support.project import Project

ALL, FOR_CONTENT_TYPES = 13, 3
LISTED = """
from appdb_router.relations.hooks import hooks
import inspect
for hook in hooks():
    function = inspect.getattr_static(hook.find_owner(), hook.name)
    print(hasattr(function, "appdb_router_hook"), end=" ")
"""


@pytest.mark.parametrize(
    ("owner", "name", "parameters"),
    [
        ("django.db.models.no_such_module", "f", ()),
        ("django.db.models.query.NoSuchClass", "f", ()),
        ("django.db.models.query.QuerySet", "no_such_method", ("self",)),
        ("django.db.models.query.QuerySet", "filter", ("self", "no_such_parameter")),
    ],
)
def test_one_that_has_moved(owner: str, name: str, parameters: tuple[str, ...]) -> None:
    hook = Hook(owner, name, lambda original: original, parameters)

    with pytest.raises(ConfigurationError) as raised:
        hook.install()

    assert str(raised.value) == (
        f"This Django has no '{owner}.{name}({', '.join(parameters)})', which relations across"
        " databases depend on. Use a Django that this version of appdb_router supports, or keep all"
        " apps in one database."
    )


def test_one_database_leaves_django_alone(project: Project) -> None:
    assert set(project.python(LISTED).stdout.split()) == {"False"}


def test_several_databases_install_them(on_postgres: Tied) -> None:
    assert on_postgres.project.python(LISTED).stdout.split() == ["True"] * ALL


def test_a_registered_database_installs_them(project: Project) -> None:
    project.app("blog", models="class Post(models.Model):\n    title = models.TextField()\n")

    result = project.python(
        f"""
from django.contrib.auth.models import User
User().groups.__class__ if User().pk else None
vars(User)["groups"].related_manager_cls
from appdb_router.registering import register_database
register_database("blog", "sqlite:///blog.sqlite3")
print("related_manager_cls" in vars(vars(User)["groups"]), end=" ")
{LISTED}
register_database("sessions", "sqlite:///sessions.sqlite3")
"""
    )

    assert result.stdout.split() == ["False", *["True"] * ALL]


def test_without_content_types(project: Project) -> None:
    project.installed_apps = ["appdb_router"]
    project.app("blog", models="class Post(models.Model):\n    title = models.TextField()\n")
    project.env["BLOG_DATABASE_URL"] = "sqlite:///blog.sqlite3"

    result = project.python(LISTED)

    assert result.stdout.split() == ["True"] * (ALL - FOR_CONTENT_TYPES)
