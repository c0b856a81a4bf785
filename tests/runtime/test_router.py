"""The decisions of the router, asked of a project with every kind of model."""

from pathlib import Path
from typing import Any

import pytest

from tests.support.facts import ask
from tests.support.project import Project

SHOP = """
class Customer(models.Model):
    name = models.CharField(max_length=20)


class Item(models.Model):
    owner = models.ForeignKey(Customer, models.CASCADE)
"""

BLOG = """
from django.contrib.auth.models import User
from shop.models import Customer


class Author(User):
    class Meta:
        proxy = True


class Post(models.Model):
    title = models.CharField(max_length=20)
    reader = models.ForeignKey(Customer, models.DO_NOTHING, null=True, db_constraint=False)
    editor = models.ForeignKey(User, models.DO_NOTHING, null=True, db_constraint=False)


class LongPost(Post):
    pages = models.IntegerField(default=1)


class Shelf(models.Model):
    posts = models.ManyToManyField(Post)
    fans = models.ManyToManyField(Customer, db_constraint=False)


class Abstract(models.Model):
    class Meta:
        abstract = True
"""

QUESTIONS = """
from django.apps import apps
from django.contrib.auth.models import Group, User
from django.contrib.contenttypes.models import ContentType
from django.core.cache.backends.db import BaseDatabaseCache
from django.core.management import call_command
from django.db import connections, router
from django.db.migrations.loader import MigrationLoader
from django.utils.functional import SimpleLazyObject
from appdb_router import alias_for
from blog.models import Author, LongPost, Post, Shelf
from notes.models import Note
from shop.models import Customer, Item

for alias in ("auth", "default", "blog"):
    call_command("migrate", database=alias, verbosity=0)
customer = Customer.objects.create(name="Ann")
user = User.objects.create_user("bob")
post = Post.objects.create(title="A", reader=customer, editor=user)
historical = MigrationLoader(connections["default"]).project_state().apps
cache_model = BaseDatabaseCache("cache_table", {}).cache_model_class

fact("own")(lambda: router.db_for_read(Post))
fact("own_write")(lambda: router.db_for_write(Post))
fact("default")(lambda: router.db_for_read(Item))
fact("default_with_instance")(lambda: router.db_for_read(Customer, instance=post))
fact("default_write_with_instance")(lambda: router.db_for_write(Customer, instance=post))
fact("through_table")(lambda: router.db_for_read(Shelf.posts.through))
fact("child")(lambda: router.db_for_read(LongPost))
fact("proxy")(lambda: router.db_for_read(Author))
fact("group_member")(lambda: router.db_for_read(ContentType))
fact("historical")(lambda: router.db_for_read(historical.get_model("blog", "post")))
fact("historical_proxy")(lambda: router.db_for_read(historical.get_model("blog", "author")))
fact("cache_table")(lambda: router.db_for_read(cache_model))
fact("shared")(lambda: router.db_for_read(Note))

fact("orm_related_object")(lambda: Post.objects.get().reader._state.db)
fact("orm_related_name")(lambda: Post.objects.get().reader.name)
fact("orm_proxy")(lambda: [Author.objects.db, Author.objects.get().username])
fact("orm_reverse")(lambda: [item.title for item in customer.post_set.all()])

fact("relation_within")(lambda: router.allow_relation(customer, Item()))
fact("relation_unsaved_within")(lambda: router.allow_relation(Customer(), Item()))
fact("relation_unconstrained")(lambda: router.allow_relation(customer, post))
fact("relation_unconstrained_reversed")(lambda: router.allow_relation(post, customer))
fact("relation_unsaved")(lambda: router.allow_relation(Post(), Customer()))
fact("relation_many_to_many")(lambda: router.allow_relation(Shelf(), customer))
fact("relation_child")(lambda: router.allow_relation(LongPost(), customer))
fact("relation_proxy")(lambda: router.allow_relation(Author.objects.get(), post))
fact("relation_lazy")(lambda: router.allow_relation(SimpleLazyObject(lambda: user), post))
fact("relation_none")(lambda: router.allow_relation(Group(), post))
fact("relation_constrained_models")(lambda: router.allow_relation(Item(), post))
fact("relation_shared")(lambda: router.allow_relation(Note(), customer))
fact("relation_shared_by_state")(
    lambda: router.allow_relation(Note.objects.using("notes").create(), customer)
)
fact("relation_by_state")(
    lambda: router.allow_relation(Customer.from_db("blog", ["id"], [1]), Shelf())
)

for name, arguments, hints in (
    ("own", ("blog", "blog"), {}),
    ("elsewhere", ("default", "blog"), {}),
    ("default", ("default", "shop"), {}),
    ("default_elsewhere", ("blog", "shop"), {}),
    ("with_model", ("blog", "blog"), {"model_name": "post", "model": Post}),
    ("camel_case", ("blog", "blog"), {"model_name": "Post"}),
    ("no_model_name", ("blog", "blog"), {"model_name": None}),
    ("foreign_hints", ("blog", "blog"), {"model_name": None, "target": "anything"}),
    ("proxy", ("auth", "blog"), {"model_name": "author", "model": Author}),
    ("proxy_elsewhere", ("blog", "blog"), {"model_name": "author", "model": Author}),
    ("historical", ("blog", "blog"), {"model": historical.get_model("blog", "post")}),
    ("cache_default", ("default", "django_cache"), {"model": cache_model}),
    ("cache_elsewhere", ("blog", "django_cache"), {"model": cache_model}),
    ("removed_default", ("default", "gone"), {}),
    ("removed_elsewhere", ("blog", "gone"), {}),
    ("shared_by_own_alias", ("notes", "notes"), {}),
    ("shared_by_canonical_alias", ("default", "notes"), {}),
    ("default_by_shared_alias", ("notes", "shop"), {}),
    ("shared_elsewhere", ("blog", "notes"), {}),
    ("by_hand_alias", ("archive", "shop"), {}),
    ("own_label_default", ("default", "appdb_router"), {}),
    ("own_label_elsewhere", ("blog", "appdb_router"), {}),
):
    fact("migrate_" + name)(lambda: router.allow_migrate(*arguments, **hints))

fact("alias_label")(lambda: alias_for("blog"))
fact("alias_default")(lambda: alias_for("shop"))
fact("alias_shared")(lambda: alias_for("notes"))
fact("alias_model")(lambda: alias_for(Post))
fact("alias_proxy")(lambda: alias_for(Author))
fact("alias_instance")(lambda: alias_for(Customer.from_db("blog", ["id"], [1])))
fact("alias_lazy")(lambda: alias_for(SimpleLazyObject(lambda: user)))
fact("alias_unknown")(lambda: alias_for("blogg"))
fact("alias_far_off")(lambda: alias_for("zzz"))
fact("alias_uninstalled_model")(lambda: alias_for(cache_model))


def _is_lookup_error():
    try:
        alias_for("blogg")
    except LookupError:
        return True


fact("is_lookup_error")(_is_lookup_error)


def _cache_tables():
    for alias in ("default", "blog"):
        call_command("createcachetable", "cache_table", database=alias, verbosity=0)
    return [
        alias
        for alias in ("default", "blog", "auth")
        if "cache_table" in connections[alias].introspection.table_names()
    ]


fact("createcachetable")(_cache_tables)


def _tables(alias):
    return sorted(
        name for name in connections[alias].introspection.table_names()
        if name.startswith(("blog_", "shop_", "auth_user", "notes_"))
    )


for alias in ("default", "blog", "auth"):
    fact("tables_" + alias)(lambda: _tables(alias))


def _fresh_cache():
    from django.core.signals import setting_changed
    from appdb_router.topology import get_topology

    before = get_topology()
    setting_changed.send(sender=None, setting="DEBUG", value=True, enter=True)
    kept = get_topology() is before
    setting_changed.send(sender=None, setting="DATABASES", value={}, enter=True)
    return [kept, get_topology() is before]


fact("topology_cache")(_fresh_cache)
"""

EXPECTED: dict[str, Any] = {
    "own": "blog",
    "own_write": "blog",
    "default": "default",
    "default_with_instance": "default",
    "default_write_with_instance": "default",
    "through_table": "blog",
    "child": "blog",
    "proxy": "auth",
    "group_member": "auth",
    "historical": "blog",
    "historical_proxy": "auth",
    "cache_table": "default",
    "shared": "default",
    "orm_related_object": "default",
    "orm_related_name": "Ann",
    "orm_proxy": ["auth", "bob"],
    "orm_reverse": ["A"],
    "relation_within": True,
    "relation_unsaved_within": True,
    "relation_unconstrained": True,
    "relation_unconstrained_reversed": True,
    "relation_unsaved": True,
    "relation_many_to_many": True,
    "relation_child": True,
    "relation_proxy": True,
    "relation_lazy": True,
    "relation_none": False,
    "relation_constrained_models": False,
    "relation_shared": True,
    "relation_shared_by_state": True,
    "relation_by_state": True,
    "migrate_own": True,
    "migrate_elsewhere": False,
    "migrate_default": True,
    "migrate_default_elsewhere": False,
    "migrate_with_model": True,
    "migrate_camel_case": True,
    "migrate_no_model_name": True,
    "migrate_foreign_hints": True,
    "migrate_proxy": True,
    "migrate_proxy_elsewhere": False,
    "migrate_historical": True,
    "migrate_cache_default": True,
    "migrate_cache_elsewhere": False,
    "migrate_removed_default": True,
    "migrate_removed_elsewhere": False,
    "migrate_shared_by_own_alias": True,
    "migrate_shared_by_canonical_alias": True,
    "migrate_default_by_shared_alias": True,
    "migrate_shared_elsewhere": False,
    "migrate_by_hand_alias": False,
    "migrate_own_label_default": True,
    "migrate_own_label_elsewhere": True,
    "alias_label": "blog",
    "alias_default": "default",
    "alias_shared": "default",
    "alias_model": "blog",
    "alias_proxy": "auth",
    "alias_instance": "default",
    "alias_lazy": "auth",
    "alias_unknown": "UnknownLabelError: No installed app has the label 'blogg'."
    " Did you mean 'blog'?",
    "alias_far_off": "UnknownLabelError: No installed app has the label 'zzz'. The labels are"
    " 'appdb_router', 'auth', 'blog', 'contenttypes', 'messages', 'notes', 'sessions', 'shop',"
    " 'staticfiles'.",
    "alias_uninstalled_model": "UnknownLabelError: No installed app has the label"
    " 'django_cache'. The labels are 'appdb_router', 'auth', 'blog', 'contenttypes', 'messages',"
    " 'notes', 'sessions', 'shop', 'staticfiles'.",
    "is_lookup_error": True,
    "createcachetable": ["default"],
    "tables_default": ["notes_note", "shop_customer", "shop_item"],
    "tables_blog": [
        "blog_longpost",
        "blog_post",
        "blog_shelf",
        "blog_shelf_fans",
        "blog_shelf_posts",
    ],
    "tables_auth": ["auth_user", "auth_user_groups", "auth_user_user_permissions"],
    "topology_cache": [True, False],
}


@pytest.fixture(scope="module")
def facts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    root: Path = tmp_path_factory.mktemp("router")
    project = Project(root)
    project.app("shop", models=SHOP)
    project.app("blog", models=BLOG)
    project.app("notes", models="class Note(models.Model):\n    pass\n")
    project.env = {
        "AUTH_DATABASE_URL": "sqlite:///auth.sqlite3",
        "BLOG_DATABASE_URL": "sqlite:///blog.sqlite3",
        "NOTES_DATABASE_URL": "sqlite:///./db.sqlite3",
    }
    project.settings_extra = """
        DATABASES["archive"] = {"ENGINE": "django.db.backends.sqlite3", "NAME": "archive.sqlite3"}
    """
    project.makemigrations("shop", "blog", "notes")
    return ask(project, QUESTIONS)


@pytest.mark.parametrize("name", EXPECTED)
def test_decision(facts: dict[str, Any], name: str) -> None:
    assert facts[name] == EXPECTED[name]


def test_every_question_has_an_expected_answer(facts: dict[str, Any]) -> None:
    assert facts.keys() == EXPECTED.keys()


def test_the_router_takes_a_topology_of_its_own(facts: dict[str, Any], project: Project) -> None:
    found = ask(
        project,
        """
        from django.contrib.auth.models import User
        from django.contrib.sessions.models import Session
        from appdb_router.routers import AppDatabaseRouter
        from appdb_router.topology import Topology

        metadata = {
            "default": {
                "labels": [], "canonical": "default", "source": {"kind": "argument", "name": "x"},
                "project": {
            "core": None, "groups": [], "base_dir": "/", "local": [], "findings": [],
        },
            },
            "web": {
                "labels": ["sessions"], "canonical": "web",
                "source": {"kind": "environment", "name": "SESSIONS_DATABASE_URL"},
            },
        }
        router = AppDatabaseRouter(Topology.from_metadata(metadata))
        fact("alias")(lambda: router.db_for_read(Session))
        fact("unknown")(lambda: str(router.db_for_read(User)))
        """,
    )

    assert found == {"alias": "web", "unknown": "None"}
