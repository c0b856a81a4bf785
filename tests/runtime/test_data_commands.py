"""``dumpdata``, ``loaddata`` and ``flush`` act where models live, or say why not."""

from __future__ import annotations

import json

import pytest

from tests.support.project import Project

MODELS = "class Post(models.Model):\n    title = models.CharField(max_length=9)\n"
POSTS = """
    from blog.models import Post
    print(Post.objects.count(), list(Post.objects.values_list("title", flat=True)))
"""


@pytest.fixture
def blog(project: Project) -> Project:
    """A project with a post in the blog's own database, and an empty default."""
    project.app("blog", models=MODELS)
    project.makemigrations("blog")
    project.env["BLOG_DATABASE_URL"] = "sqlite:///blog.sqlite3"
    project.manage("db_init", "--all-apps", "--verbosity=0")
    project.python("from blog.models import Post\nPost.objects.create(title='first')")
    return project


@pytest.mark.parametrize(
    "arguments",
    [("blog",), ("blog.Post",), ("blog", "appdb_router"), ("--exclude=auth", "blog", "auth")],
)
def test_dumping_what_lives_together(blog: Project, arguments: tuple[str, ...]) -> None:
    result = blog.manage("dumpdata", *arguments)

    assert json.loads(result.stdout) == [
        {"model": "blog.post", "pk": 1, "fields": {"title": "first"}}
    ]


def test_dumping_from_several_databases(blog: Project) -> None:
    result = blog.manage("dumpdata", check=False)

    assert result.stdout == ""
    assert result.stderr == (
        "CommandError: The models asked for live in several databases: 'blog' (blog); 'default'"
        " (auth, contenttypes, sessions). Name one with --database, or ask for the apps of one.\n"
    ) or result.stderr == (
        "CommandError: The models asked for live in several databases: 'default' (auth,"
        " contenttypes, sessions); 'blog' (blog). Name one with --database, or ask for the apps of"
        " one.\n"
    )


def test_dumping_from_a_database_that_is_named(blog: Project) -> None:
    assert json.loads(blog.manage("dumpdata", "--database=default", "auth.User").stdout) == []


def test_one_database(project: Project) -> None:
    project.manage("migrate", "--verbosity=0")

    assert len(json.loads(project.manage("dumpdata").stdout)) > 0
    assert json.loads(project.manage("dumpdata", "messages").stdout) == []
    assert project.manage("flush", "--noinput").stdout == ""


FIXTURE = [
    {"model": "blog.post", "pk": 2, "fields": {"title": "second"}},
    {"model": "auth.user", "pk": 7, "fields": {"username": "ann", "password": ""}},
]


def test_loading_into_several_databases(blog: Project) -> None:
    blog.write("data.json", json.dumps(FIXTURE))

    result = blog.manage("loaddata", "data.json")

    assert result.stdout == "Installed 2 object(s) from 1 fixture(s)\n"
    found = blog.python(
        """
        from django.contrib.auth.models import User
        from blog.models import Post

        print(User.objects.get().username, *Post.objects.values_list("title", flat=True))
        """
    )
    assert found.stdout == "ann first second\n"


def test_loading_less_than_all(blog: Project) -> None:
    blog.write("data.json", json.dumps(FIXTURE))

    one = blog.manage("loaddata", "data.json", "--database=blog")
    quiet = blog.manage("loaddata", "data.json", "--verbosity=0")
    some = blog.manage("loaddata", "data.json", "--exclude=auth")

    assert one.stdout == "Installed 1 object(s) (of 2) from 1 fixture(s)\n"
    assert quiet.stdout == ""
    assert some.stdout == "Installed 1 object(s) (of 2) from 1 fixture(s)\n"


def test_loading_from_a_pipe(blog: Project) -> None:
    text = json.dumps(FIXTURE)
    refused = blog.manage("loaddata", "-", "--format=json", input=text, check=False)
    loaded = blog.manage("loaddata", "-", "--format=json", "--database=blog", input=text)

    assert refused.stderr == (
        "CommandError: What is read from a pipe can be read once, and there are several databases:"
        " 'default', 'blog'. Name one with --database, or load a file.\n"
    )
    assert loaded.stdout.startswith("Installed 1 object(s)")


def test_flushing(blog: Project) -> None:
    refused = blog.manage("flush", "--noinput", check=False)
    assert refused.stderr == (
        "CommandError: There are several databases, and none was named. Choose with --database from"
        " 'default', 'blog'.\n"
    )
    assert blog.python(POSTS).stdout == "1 ['first']\n"

    blog.manage("flush", "--noinput", "--database=blog")

    assert blog.python(POSTS).stdout == "0 []\n"


@pytest.mark.parametrize(
    ("command", "text"),
    [
        ("dumpdata", "Default is the one where the models live; in several, an error."),
        ("loaddata", "Default is every database, each for the models that live there."),
        ("flush", "May be left out if there is one only."),
    ],
)
def test_the_help_says_so(project: Project, command: str, text: str) -> None:
    shown = " ".join(project.manage(command, "--help").stdout.split())

    assert f"Specifies the database to use. {text}" in shown


CACHE = """
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.db.DatabaseCache", "LOCATION": "cache_table",
    },
}
"""


def test_the_table_of_a_cache_is_where_the_cache_looks(blog: Project) -> None:
    blog.settings_extra = CACHE

    blog.manage("createcachetable")
    # It is nowhere else, also if that is asked for.
    blog.manage("createcachetable", "--database=blog")

    found = blog.python(
        """
        from django.core.cache import cache
        from django.db import connections

        cache.set("key", "value")
        for alias in ("default", "blog"):
            print("cache_table" in connections[alias].introspection.table_names(), end=" ")
        print(cache.get("key"))
        """
    )
    assert found.stdout == "True False value\n"
