"""The places where relations reach into Django: all there, and untouched where nothing crosses."""

from __future__ import annotations

from tests.relations.conftest import Tied
from tests.support.project import Project

ALL, FOR_CONTENT_TYPES = 14, 3
LISTED = """
from appdb_router.relations.hooks import hooks
for hook in hooks():
    print(hook.is_installed(), end=" ")
"""


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
