"""Two URLs for one physical database, on PostgreSQL: migrations, Django's test runner, pytest."""

from collections.abc import Callable
from itertools import permutations

import pytest

from tests.support.project import Project
from tests.support.servers import Server

BLOG = """
from django.contrib.auth.models import User


class Post(models.Model):
    title = models.CharField(max_length=20)
    author = models.ForeignKey(User, models.DO_NOTHING, null=True, db_constraint=False)
"""
SHOP = "class Item(models.Model):\n    name = models.CharField(max_length=20)\n"

FIXTURE = """
[{"model": "auth.group", "pk": 1, "fields": {"name": "staff"}},
 {"model": "blog.post", "pk": 1, "fields": {"title": "A"}},
 {"model": "shop.item", "pk": 1, "fields": {"name": "hat"}}]
"""

TESTS = """
from django.contrib.auth.models import Group, Permission, User
from django.contrib.sessions.models import Session
from django.test import TestCase, TransactionTestCase
from appdb_router import alias_for
from blog.models import Post
from shop.models import Item


class Checks:
    databases = "__all__"
    fixtures = ["three.json"]

    def test_rows_of_the_fixture(self):
        self.assertEqual(Group.objects.get().name, "staff")
        self.assertEqual(Post.objects.get().title, "A")
        self.assertEqual(Item.objects.using(alias_for("shop")).get().name, "hat")

    def test_writing(self):
        user = User.objects.create_user("ann")
        post = Post.objects.create(title="B", author=user)
        self.assertEqual(Post.objects.get(pk=post.pk).author, user)
        self.assertEqual(Post.objects.count(), 2)

    def test_permissions_of_every_app(self):
        labels = set(Permission.objects.values_list("content_type__app_label", flat=True))
        self.assertLessEqual({"auth", "blog", "shop"}, labels)


class InTransaction(Checks, TestCase):
    pass


class Flushed(Checks, TransactionTestCase):
    pass


class OnlyDefault(TestCase):
    def test_the_default_database(self):
        self.assertEqual(Session.objects.count(), 0)
"""

PYTEST = """
import pytest
from blog.models import Post
from shop.models import Item


@pytest.mark.django_db(databases="__all__")
def test_transaction(django_user_model):
    user = django_user_model.objects.create_user("ann")
    Post.objects.create(title="B", author=user)
    Item.objects.create(name="hat")
    assert Post.objects.get().author == user


@pytest.mark.django_db(databases="__all__", transaction=True)
def test_flush():
    Post.objects.create(title="C")
    assert Post.objects.count() == 1


@pytest.mark.django_db
def test_default(db):
    assert Item.objects.count() == 0
"""


@pytest.fixture
def shared(
    project: Project,
    postgres: Server,
    postgres_2: Server,
    database_name: Callable[[str], str],
) -> Project:
    """A project of three aliases on one database, and its core group on another server."""
    main, core = database_name("main"), database_name("core")
    postgres.execute(f"CREATE DATABASE {main}")
    postgres_2.execute(f"CREATE DATABASE {core}")
    project.app("blog", models=BLOG, files={"fixtures/three.json": FIXTURE, "tests.py": TESTS})
    project.app("shop", models=SHOP, files={"test_shop.py": PYTEST})
    project.installed_apps.insert(1, "django.contrib.admin")
    project.env = {
        "DATABASE_URL": postgres.url(main),
        "BLOG_DATABASE_URL": postgres.url(main, host="localhost"),
        "SHOP_DATABASE_URL": postgres.url(main),
        "AUTH_DATABASE_URL": postgres_2.url(core),
    }
    project.makemigrations("blog", "shop")
    return project


@pytest.mark.parametrize("order", list(permutations(("default", "blog", "shop"))), ids="-".join)
def test_any_order_of_migrate_creates_every_table(
    shared: Project, postgres: Server, order: tuple[str, ...]
) -> None:
    for alias in order:
        shared.manage("migrate", "--database", alias, "--verbosity=0")

    main = shared.env["DATABASE_URL"].rpartition("/")[2]
    assert postgres.tables(main) == {
        "appdb_router_pending_deletion",
        "blog_post",
        "django_migrations",
        "django_session",
        "shop_item",
    }


@pytest.mark.parametrize("order", [("default", "auth"), ("auth", "default")], ids="-".join)
def test_the_core_group_on_the_default_database_too(
    project: Project,
    postgres: Server,
    database_name: Callable[[str], str],
    order: tuple[str, ...],
) -> None:
    main = database_name("main")
    postgres.execute(f"CREATE DATABASE {main}")
    project.env = dict.fromkeys(("DATABASE_URL", "AUTH_DATABASE_URL"), postgres.url(main))

    for alias in order:
        project.manage("migrate", "--database", alias, "--verbosity=0")

    assert {"auth_user", "django_content_type", "django_session"} <= postgres.tables(main)
    permissions = postgres.fetch("SELECT count(*) FROM auth_permission", database=main)
    assert permissions > [(0,)]


def test_migrate_knows_the_aliases(shared: Project) -> None:
    result = shared.manage("migrate", "--database", "sessions", check=False)

    assert result.returncode == 2
    assert "invalid choice: 'sessions' (choose from" in result.stderr


@pytest.mark.slow
def test_schemas_of_one_database(
    shared: Project, postgres: Server, database_name: Callable[[str], str]
) -> None:
    """With a schema each, stock ``migrate`` and the runner find every app in its own."""
    main = database_name("schemas")
    postgres.execute(f"CREATE DATABASE {main}")
    shared.env["DATABASE_URL"] = postgres.url(main)
    for label in ("blog", "shop"):
        variable = f"{label.upper()}_DATABASE_URL"
        shared.env[variable] = postgres.url(main, currentSchema=label)
        shared.manage("migrate", "--database", label, "--verbosity=0")

    result = shared.manage("test", "--noinput", timeout=110)

    assert "OK" in result.stderr
    tables = "SELECT schemaname, tablename FROM pg_tables WHERE tablename ~ '^(blog|shop)_'"
    assert sorted(postgres.fetch(tables, database=main)) == [
        ("blog", "blog_post"),
        ("shop", "shop_item"),
    ]


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments",
    [(), ("--parallel=2",), ("--keepdb",), ("blog.tests.InTransaction",), ("--reverse",)],
    ids=lambda arguments: " ".join(arguments) or "all",
)
def test_the_runner_of_django(
    shared: Project, postgres: Server, arguments: tuple[str, ...]
) -> None:
    result = shared.manage("test", "--noinput", *arguments, timeout=110)

    assert "OK" in result.stderr
    if "--keepdb" not in arguments:
        assert not _test_databases(postgres) & _own_test_databases(shared)


def test_the_runner_of_django_on_a_part(shared: Project) -> None:
    result = shared.manage("test", "--noinput", "blog.tests.OnlyDefault")

    assert "Ran 1 test" in result.stderr
    assert "alias 'auth'" not in result.stderr


@pytest.mark.slow
def test_pytest_django(shared: Project, postgres: Server) -> None:
    result = shared.python(
        """
        import sys
        import pytest
        sys.exit(pytest.main(["-q", "-p", "django", "-p", "no:randomly", "shop/test_shop.py"]))
        """,
        setup=False,
        timeout=110,
    )

    assert "3 passed" in result.stdout
    assert not _test_databases(postgres) & _own_test_databases(shared)


def _test_databases(server: Server) -> set[str]:
    return {name for name in server.databases() if name.startswith("test_")}


def _own_test_databases(project: Project) -> set[str]:
    return {"test_" + url.rpartition("/")[2] for url in project.env.values()}
