"""Repositories, synchronous and asynchronous, on SQLite and on PostgreSQL."""

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests.support.facts import ask
from tests.support.project import Project
from tests.support.servers import Server

BLOG = """
from django.contrib.auth.models import User


class Author(User):
    class Meta:
        proxy = True


class Published(models.Manager):
    def get_queryset(self):
        return super().get_queryset().filter(hidden=False)


class Post(models.Model):
    title = models.CharField(max_length=20, unique=True)
    pages = models.IntegerField(default=1)
    hidden = models.BooleanField(default=False)
    saved = ()

    objects = Published()
    everything = models.Manager()

    class Meta:
        ordering = ["title"]

    def save(self, **kwargs):
        self.saved = sorted(kwargs.get("update_fields") or ())
        super().save(**kwargs)


class Soft(models.Model):
    gone = models.BooleanField(default=False)

    def delete(self, using=None, keep_parents=False):
        self.gone = True
        self.save(using=using)
"""

REPOSITORIES = """
from typing import TypeVar

from appdb_router.repositories import BaseRepository
from django.db.models import Model
from blog.models import Author, Post, Soft

ModelT = TypeVar("ModelT", bound=Model)


class Posts(BaseRepository[Post]):
    model = Post


class NamedPosts(BaseRepository[Post]):
    model = Post
    app_name = "blog"


class Authors(BaseRepository[Author]):
    model = Author
    app_name = "auth"


class Softs(BaseRepository[Soft]):
    model = Soft


class LoudPosts(Posts):
    def add(self, instance):
        instance.title = instance.title.upper()
        return super().add(instance)


class LongPosts(Posts):
    def queryset(self):
        return super().queryset().filter(pages__gt=100)


class ShopTables(BaseRepository):
    app_name = "shop"


class Tables(BaseRepository):
    pass


class Lost(BaseRepository):
    app_name = "blogg"


class Base(BaseRepository[ModelT]):
    def first(self):
        return self.queryset().first()


class Derived(Base[Post]):
    model = Post
"""

LOOSE = """
from appdb_router.repositories import BaseRepository


class Loose(BaseRepository):
    pass
"""

QUESTIONS = """
import asyncio
from concurrent.futures import ThreadPoolExecutor

from asgiref.sync import sync_to_async
from django.core.management import call_command
from django.db import connections
from django.db.models import F
from django.utils.functional import SimpleLazyObject

from appdb_router.repositories import BaseRepository
from blog.models import Author, Post, Soft
from blog.repositories import (
    Authors, Derived, LongPosts, Lost, LoudPosts, NamedPosts, Posts, ShopTables, Softs, Tables,
)
from loose import Loose
from shop.models import Customer

for alias in ("auth", "default", "blog"):
    call_command("migrate", database=alias, verbosity=0)

posts = Posts()
first = posts.add(Post(title="A", pages=10))
second, third = posts.add_all(Post(title=title, pages=20) for title in "BC")
secret = posts.add(Post(title="S", hidden=True))


def titles(rows):
    return [row.title for row in rows]


def fresh(title, **values):
    return Post.everything.using("blog").create(title=title, **values)


fact("alias")(lambda: [posts.alias, NamedPosts().alias, Derived().alias])
fact("alias_of_a_proxy")(lambda: Authors().alias)
fact("alias_by_name_alone")(lambda: ShopTables().alias)
fact("alias_by_file")(lambda: Tables().alias)
fact("alias_unknown")(lambda: Lost().alias)
fact("no_file")(lambda: type("Typed", (BaseRepository,), {})().alias)
fact("no_app")(lambda: Loose().alias)
fact("no_model")(lambda: Tables().queryset())
fact("no_model_transaction")(lambda: Tables().transaction().using)


@fact("other_app")
def other_app():
    class Wrong(BaseRepository):
        model = Post
        app_name = "shop"


@fact("proxy_of_other_app")
def proxy_of_other_app():
    class Wrong(BaseRepository):
        model = Author
        app_name = "blog"


@fact("inherited_app")
def inherited_app():
    class Wrong(ShopTables):
        model = Post


fact("queryset")(lambda: [posts.queryset()._db, titles(posts.queryset().exclude(title="A"))])
fact("queryset_is_the_default_managers")(lambda: posts.exists(title="S"))
fact("get")(lambda: [posts.get(first.pk).title, posts.get(first.pk)._state.db])
fact("get_by_lookups")(lambda: posts.get(title="B", pages__gte=20).title)
fact("get_nothing")(lambda: posts.get(0))
fact("get_none")(lambda: Derived().get(None))
fact("get_several")(lambda: posts.get(pages=20))
fact("get_twice")(lambda: posts.get(1, pk=2))
fact("get_a_proxy")(lambda: Authors().get(Authors().add(Author(username="ann")).pk).username)
fact("find")(lambda: posts.find(title="B").title)
fact("find_nothing")(lambda: posts.find(title="Z"))
fact("find_several")(lambda: posts.find(pages=20))
fact("list")(lambda: [type(posts.list()).__name__, titles(posts.list())])
fact("list_filtered")(lambda: titles(posts.list(pages=20)))
fact("exists")(lambda: [posts.exists(), posts.exists(title="B"), posts.exists(title="Z")])
fact("count")(lambda: [posts.count(), posts.count(pages=20)])
fact("own_queryset")(lambda: [LongPosts().list(), LongPosts().find(pk=first.pk)])
fact("own_queryset_update")(lambda: LongPosts().update(first.pk, pages=1))
fact("own_queryset_delete")(lambda: LongPosts().delete(first.pk))
fact("own_method")(lambda: Derived().first().title)

fact("add")(lambda: [first.pk is not None, first._state.db])
fact("add_again")(lambda: posts.add(Post(pk=first.pk, title="other")))
fact("add_again_kept")(lambda: posts.get(first.pk).title)
fact("add_lazily")(lambda: posts.add(SimpleLazyObject(lambda: Post(title="lazy"))).delete()[0])
fact("add_all")(lambda: [second.pk != third.pk, second._state.db, titles([second, third])])
fact("add_all_of_none")(lambda: posts.add_all([]))
fact("add_all_or_none")(lambda: posts.add_all([Post(title="D"), Post(title="A")]))
fact("add_all_or_none_kept")(lambda: posts.exists(title="D"))
fact("add_foreign")(lambda: posts.add(Customer(name="x")))
fact("add_all_foreign")(lambda: posts.add_all([Post(title="D"), Customer(name="x")]))
fact("add_all_foreign_kept")(lambda: posts.exists(title="D"))


@fact("update")
def update():
    post = fresh("update")
    Post.everything.filter(pk=post.pk).update(hidden=True)
    changed = posts.update(post, pages=7)
    stored = Post.everything.get(pk=post.pk)
    return [changed is post, post.saved, stored.pages, stored.hidden, stored.delete()[0]]


@fact("update_by_key")
def update_by_key():
    post = fresh("update_by_key")
    changed = posts.update(post.pk, pages=7, title="U")
    return [changed.saved, titles(posts.list(pages=7)), changed.delete()[0]]


@fact("update_an_expression")
def update_an_expression():
    post = fresh("update_an_expression", pages=3)
    posts.update(post.pk, pages=F("pages") + 1)
    return [posts.get(post.pk).pages, post.delete()[0]]


@fact("update_of_a_deleted_row")
def update_of_a_deleted_row():
    post = fresh("gone")
    Post.everything.filter(pk=post.pk).delete()
    posts.update(post, pages=7)


fact("update_nothing")(lambda: posts.update(0, pages=7))
fact("update_an_unknown_field")(lambda: posts.update(first.pk, color="red"))
fact("update_foreign")(lambda: posts.update(Customer(pk=first.pk), title="x"))


@fact("delete")
def delete():
    post, other = fresh("delete"), fresh("delete too")
    result = [posts.delete(post), posts.delete(other.pk)]
    return [*result, posts.exists(title__startswith="delete")]


@fact("delete_softly")
def delete_softly():
    row = Softs().add(Soft())
    Softs().delete(row.pk)
    return Softs().get(row.pk).gone


fact("delete_nothing")(lambda: posts.delete(0))
fact("delete_foreign")(lambda: posts.delete(Customer(pk=first.pk)))
fact("delete_foreign_kept")(lambda: posts.exists(pk=first.pk))


@fact("transaction")
def rolled_back():
    inside = []
    try:
        with posts.transaction():
            posts.add(Post(title="T"))
            inside += [connections["blog"].in_atomic_block, connections["default"].in_atomic_block]
            raise KeyError
    except KeyError:
        return [*inside, posts.exists(title="T")]


@fact("transaction_as_decorator")
def as_decorator():
    @posts.transaction()
    def inside():
        return connections["blog"].in_atomic_block
    return inside()


@fact("transaction_durable")
def durable():
    with posts.transaction(), posts.transaction(durable=True):
        pass


@fact("transaction_without_savepoint")
def without_savepoint():
    with posts.transaction():
        try:
            with posts.transaction(savepoint=False):
                raise KeyError
        except KeyError:
            return connections["blog"].needs_rollback


def twin(name):
    def record(function):
        fact(name)(lambda: asyncio.run(function()))
    return record


@twin("aget")
async def aget():
    return [(await posts.aget(first.pk)).title, (await posts.aget(title="B")).title]


@twin("aget_nothing")
async def aget_nothing():
    await posts.aget(0)


@twin("aget_none")
async def aget_none():
    await posts.aget(None)


@twin("afind")
async def afind():
    return [(await posts.afind(title="B")).title, await posts.afind(title="Z")]


@twin("alist")
async def alist():
    return titles(await posts.alist(pages=20))


@twin("aexists_acount")
async def aexists_acount():
    return [await posts.aexists(title="Z"), await posts.acount(pages=20)]


@twin("changes")
async def changes():
    one = await posts.aadd(Post(title="async 1"))
    two, three = await posts.aadd_all(Post(title=f"async {n}") for n in (2, 3))
    await posts.aupdate(one, pages=7)
    await posts.aupdate(two.pk, pages=7)
    found = titles(await posts.alist(pages=7))
    for target in (one, two.pk, three):
        await posts.adelete(target)
    return [found, await posts.aexists(title__startswith="async")]


@twin("a_twin_runs_the_override")
async def a_twin_runs_the_override():
    post = await LoudPosts().aadd(Post(title="loud"))
    await posts.adelete(post)
    return post.title


@twin("a_transaction_from_async_code")
async def a_transaction_from_async_code():
    def both():
        with posts.transaction():
            posts.add(Post(title="T"))
            raise KeyError
    try:
        await sync_to_async(both)()
    except KeyError:
        return await posts.aexists(title="T")


@twin("synchronous_in_async_code")
async def synchronous_in_async_code():
    posts.get(first.pk)


@fact("threads")
def threads():
    def work(number):
        try:
            with posts.transaction():
                return posts.get(pk=first.pk).title
        finally:
            connections.close_all()
    with ThreadPoolExecutor(8) as pool:
        return sorted(set(pool.map(work, range(100))))


@twin("tasks")
async def tasks():
    rows = await asyncio.gather(*(posts.aget(first.pk) for _ in range(100)))
    return sorted(set(titles(rows)))


@fact("without_twin")
def without_twin():
    names = {name for name in vars(BaseRepository) if not name.startswith("_")}
    names -= {"model", "app_name"}
    return sorted(name for name in names if not {f"a{name}", name[1:]} & names)


connections.close_all()
"""

FOREIGN = (
    "TypeError: Posts takes instances of blog.Post, not of shop.Customer. Use the repository of"
    " that model."
)
EXPECTED: dict[str, Any] = {
    "alias": ["blog", "blog", "blog"],
    "alias_of_a_proxy": "auth",
    "alias_by_name_alone": "default",
    "alias_by_file": "blog",
    "alias_unknown": "UnknownLabelError: No installed app has the label 'blogg'."
    " Did you mean 'blog'?",
    "no_file": "ConfigurationError: Typed has neither app_name nor model, and its module"
    " '__main__' is in the folder of no installed app. Set model, or app_name to the label of an"
    " app.",
    "no_app": "ConfigurationError: Loose has neither app_name nor model, and its module 'loose' is"
    " in the folder of no installed app. Set model, or app_name to the label of an app.",
    "no_model": "ConfigurationError: Tables has no model. Set the class attribute model; without"
    " it only alias and transaction() can be used.",
    "no_model_transaction": "blog",
    "other_app": "ConfigurationError: other_app.<locals>.Wrong.app_name is 'shop', but blog.Post"
    " lives in the database of 'blog': a model lives where its app lives, and a proxy where its"
    " concrete model does. Remove app_name, or set it to 'blog'.",
    "proxy_of_other_app": "ConfigurationError: proxy_of_other_app.<locals>.Wrong.app_name is"
    " 'blog', but blog.Author lives in the database of 'auth': a model lives where its app lives,"
    " and a proxy where its concrete model does. Remove app_name, or set it to 'auth'.",
    "inherited_app": "ConfigurationError: inherited_app.<locals>.Wrong.app_name is 'shop', but"
    " blog.Post lives in the database of 'blog': a model lives where its app lives, and a proxy"
    " where its concrete model does. Remove app_name, or set it to 'blog'.",
    "queryset": ["blog", ["B", "C"]],
    "queryset_is_the_default_managers": False,
    "get": ["A", "blog"],
    "get_by_lookups": "B",
    "get_nothing": "DoesNotExist: Post matching query does not exist.",
    "get_none": "DoesNotExist: Post matching query does not exist.",
    "get_several": "MultipleObjectsReturned: get() returned more than one Post -- it returned 2!",
    "get_twice": "TypeError: django.db.models.query.QuerySet.get() got multiple values for keyword"
    " argument 'pk'",
    "get_a_proxy": "ann",
    "find": "B",
    "find_nothing": None,
    "find_several": "MultipleObjectsReturned: get() returned more than one Post -- it returned 2!",
    "list": ["list", ["A", "B", "C"]],
    "list_filtered": ["B", "C"],
    "exists": [True, True, False],
    "count": [3, 2],
    "own_queryset": [[], None],
    "own_queryset_update": "DoesNotExist: Post matching query does not exist.",
    "own_queryset_delete": "DoesNotExist: Post matching query does not exist.",
    "own_method": "A",
    "add": [True, "blog"],
    "add_again_kept": "A",
    "add_lazily": 1,
    "add_all": [True, "blog", ["B", "C"]],
    "add_all_of_none": [],
    "add_all_or_none_kept": False,
    "add_foreign": FOREIGN,
    "add_all_foreign": FOREIGN,
    "add_all_foreign_kept": False,
    "update": [True, ["pages"], 7, True, 1],
    "update_by_key": [["pages", "title"], ["U"], 1],
    "update_an_expression": [4, 1],
    "update_nothing": "DoesNotExist: Post matching query does not exist.",
    "update_foreign": FOREIGN,
    "delete": [None, None, False],
    "delete_softly": True,
    "delete_nothing": "DoesNotExist: Post matching query does not exist.",
    "delete_foreign": FOREIGN,
    "delete_foreign_kept": True,
    "transaction": [True, False, False],
    "transaction_as_decorator": True,
    "transaction_durable": "RuntimeError: A durable atomic block cannot be nested within another"
    " atomic block.",
    "transaction_without_savepoint": True,
    "aget": ["A", "B"],
    "aget_nothing": "DoesNotExist: Post matching query does not exist.",
    "aget_none": "DoesNotExist: Post matching query does not exist.",
    "afind": ["B", None],
    "alist": ["B", "C"],
    "aexists_acount": [False, 2],
    "changes": [["async 1", "async 2"], False],
    "a_twin_runs_the_override": "LOUD",
    "a_transaction_from_async_code": False,
    "synchronous_in_async_code": "SynchronousOnlyOperation: You cannot call this from an async"
    " context - use a thread or sync_to_async.",
    "threads": ["A"],
    "tasks": ["A"],
    "without_twin": ["alias", "queryset", "transaction"],
}
# The rest of these is in the words of the database, or of the version of Django.
PATTERNS = {
    "add_again": "IntegrityError: .*",
    "add_all_or_none": "IntegrityError: .*",
    "update_of_a_deleted_row": r"\w+: Save with update_fields did not affect any rows\.",
    "update_an_unknown_field": "ValueError: The following fields do not exist in this model.*",
}


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def facts(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    unique: Callable[[str], str],
) -> Iterator[dict[str, Any]]:
    project = Project(tmp_path_factory.mktemp("repositories"))
    project.app("blog", models=BLOG, files={"repositories.py": REPOSITORIES})
    project.app("shop", models="class Customer(models.Model):\n    name = models.TextField()\n")
    project.write("loose.py", LOOSE)
    project.makemigrations("blog", "shop")
    if request.param == "sqlite":
        project.env = {
            f"{label}_DATABASE_URL": f"sqlite:///{label}.sqlite3" for label in ("AUTH", "BLOG")
        }
        yield ask(project, QUESTIONS)
        return
    server: Server = request.getfixturevalue("postgres")
    names = {label: unique(label.lower()) for label in ("AUTH", "BLOG")}
    project.env = {f"{label}_DATABASE_URL": server.url(name) for label, name in names.items()}
    with ExitStack() as made:
        for name in names.values():
            server.execute(f"CREATE DATABASE {name}")
            made.callback(server.drop, name)
        yield ask(project, QUESTIONS)


@pytest.mark.parametrize("name", EXPECTED)
def test_fact(facts: dict[str, Any], name: str) -> None:
    assert facts[name] == EXPECTED[name]


@pytest.mark.parametrize("name", PATTERNS)
def test_fact_in_the_words_of_others(facts: dict[str, Any], name: str) -> None:
    assert re.fullmatch(PATTERNS[name], facts[name], re.S)


def test_every_question_has_an_expected_answer(facts: dict[str, Any]) -> None:
    assert facts.keys() == EXPECTED.keys() | PATTERNS.keys()
