"""What projects do with relations, on two databases: by this package, and by a plain router."""

from __future__ import annotations

from typing import Any

import pytest

from tests.relations.conftest import Tied
from tests.support.facts import ask
from tests.support.operations import OPERATIONS
from tests.support.project import REPOSITORY

# What a plain router brings: the right result, an error, or a wrong result.
WORKS, FAILS, WRONG = "works", "fails", "wrong"

STOCK_SETTINGS = """\
import dj_database_url

SECRET_KEY = "only-for-tests"
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "people",
    "blog",
]
DATABASES = {{label: dj_database_url.parse(url) for label, url in {urls!r}.items()}}
DATABASE_ROUTERS = ["router.Router"]
"""

# The result, and the number of queries where it is a promise.
EXPECTED: dict[str, tuple[Any, int | None, str]] = {
    "post.author": ("ann", 2, WORKS),
    "Post(author=ann)": (True, 0, WORKS),
    "ann.posts.all()": (["first"], 1, WORKS),
    "ann.posts.create()": ("blog", 1, WORKS),
    "ann.profile": (True, 2, WORKS),
    "filter(author=ann)": (1, 1, WORKS),
    "filter(author__in=[ann, bob])": (2, 1, WORKS),
    "filter(author__id=…)": (1, 1, WORKS),
    "full_clean()": (["author"], 2, WORKS),
    "prefetch_related('author')": (["ann", "bob"], 2, WORKS),
    "prefetch_related('posts')": ([["first"], ["second"], []], 2, WORKS),
    "select_related('author', 'editor')": ([["ann", "bob"], ["bob", None]], 3, FAILS),
    "select_related('post__author')": (["ann"], 3, FAILS),
    "select_related('author__badge')": ([True, True], 4, FAILS),
    "select_related('profile')": ([True], 3, FAILS),
    "select_related('author').only('author__name')": (
        [["ann", ["editor_id", "title"]], ["bob", ["editor_id", "title"]]],
        2,
        FAILS,
    ),
    "select_related('author').defer('author__name')": ([["name"], ["name"]], 2, FAILS),
    "select_related('author').iterator()": (["ann", "bob"], 3, FAILS),
    "select_related('author').get()": ("ann", 2, FAILS),
    "select_related('author') of a row that is gone": (
        ["ann", None, "DoesNotExist", None],
        None,
        FAILS,
    ),
    "post.readers.all()": (["ann", "cid"], 2, FAILS),
    "post.readers.filter(name=…)": (["cid"], 2, FAILS),
    "post.readers.count()": ([2, True, None], 4, WORKS),
    "person.posts_read.all()": (["first", "second"], 1, WORKS),
    "prefetch_related('readers')": ([["ann", "cid"], ["ann"]], 3, FAILS),
    "prefetch_related(Prefetch('readers', …))": ([["ann"], ["ann"]], 3, FAILS),
    "prefetch_related('readers__posts')": ([[1, 0], [1]], 4, FAILS),
    "prefetch_related('posts_read')": ([["first", "second"], [], ["first"]], 2, WORKS),
    "post.readers.add()": (True, None, WORKS),
    "post.readers.remove()": (2, None, WORKS),
    "post.readers.set()": (["bob", "cid"], None, FAILS),
    "post.readers.clear()": (1, None, WORKS),
    "post.readers.create()": (["people", ["ann", "cid", "dan"]], None, FAILS),
    "post.readers.get_or_create()": (["people", ["ann", "cid", "dan"]], None, FAILS),
    "person.posts_read.set()": (["second"], None, WORKS),
    "person.posts_read.create()": ("blog", None, FAILS),
    "filter(author__name=…)": (
        "CrossingQueryError: blog.Post in the database 'blog' cannot be joined with people.Person"
        " in 'people', as filter(author__name=…) asks. Ask in two steps: ids ="
        " fetch_ids(Person.objects.filter(name=…)); Post.objects.filter(author__in=ids) (from"
        " appdb_router.two_steps import fetch_ids).",
        0,
        FAILS,
    ),
    "filter(readers__name=…)": (
        "CrossingQueryError: blog.Post in the database 'blog' cannot be joined with people.Person"
        " in 'people', as filter(readers__name=…) asks. Ask in two steps: ids ="
        " fetch_ids(Person.objects.filter(name=…)); Post.objects.filter(readers__in=ids) (from"
        " appdb_router.two_steps import fetch_ids).",
        0,
        FAILS,
    ),
    "order_by('author')": (
        "CrossingQueryError: blog.Post in the database 'blog' cannot be joined with people.Person"
        " in 'people', as 'author' asks. For values or for sorting, take"
        " Post.objects.select_related('author') or prefetch_related('author'), and read or sort"
        " author in Python.",
        0,
        FAILS,
    ),
    "values('author__name')": (
        "CrossingQueryError: blog.Post in the database 'blog' cannot be joined with people.Person"
        " in 'people', as 'author' asks. For values or for sorting, take"
        " Post.objects.select_related('author') or prefetch_related('author'), and read or sort"
        " author in Python.",
        0,
        FAILS,
    ),
    "filter(author__in=<queryset>)": (
        "CrossingQueryError: A subquery on people.Person in the database 'people' is part of a"
        " query on another. Ask it first, and hand over its result: ids ="
        " fetch_ids(Person.objects.filter(name=…)) (from appdb_router.two_steps import fetch_ids),"
        " or list(…) of the values that are needed.",
        0,
        FAILS,
    ),
    "filter(author__name=…).update()": (
        "CrossingQueryError: blog.Post in the database 'blog' cannot be joined with people.Person"
        " in 'people', as filter(author__name=…) asks. Ask in two steps: ids ="
        " fetch_ids(Person.objects.filter(name=…)); Post.objects.filter(author__in=ids) (from"
        " appdb_router.two_steps import fetch_ids).",
        0,
        FAILS,
    ),
    "filter(author__name=…).delete()": (
        "CrossingQueryError: blog.Post in the database 'blog' cannot be joined with people.Person"
        " in 'people', as filter(author__name=…) asks. Ask in two steps: ids ="
        " fetch_ids(Person.objects.filter(name=…)); Post.objects.filter(author__in=ids) (from"
        " appdb_router.two_steps import fetch_ids).",
        0,
        FAILS,
    ),
    "union() of both": (
        "CrossingQueryError: No query can take the union of tables in different databases:"
        " blog.Post ('blog') and people.Person ('people'). Ask each for itself, and put the lists"
        " together.",
        0,
        FAILS,
    ),
    "fetch_ids()": (1, 2, WORKS),
    "Tag(target=ann)": (["ann"], None, FAILS),
    "prefetch_related('target')": (["ann", "first"], None, FAILS),
    "person.tags.all()": ([1, "blog", 2], None, FAILS),
    "person.delete(), with nothing that belongs to it": (
        [1, {"people.Person": 1}],
        None,
        FAILS,
    ),
    "person.delete(), CASCADE": (
        [
            [
                8,
                {
                    "people.Person": 1,
                    "blog.Post": 1,
                    "blog.Post_readers": 3,
                    "blog.Comment": 1,
                    "blog.Profile": 1,
                    "blog.Tag": 1,
                },
            ],
            [1, 0, 0, 0, 1],
        ],
        None,
        FAILS,
    ),
    "person.delete(), SET_NULL, SET_DEFAULT and SET": ([None, None, None, True], None, FAILS),
    "person.delete(), PROTECT": ([1, 3, 2], None, FAILS),
    "person.delete(), RESTRICT": ([1, 3, 2], None, FAILS),
    "Person.objects.all().delete()": (
        [[8, {"people.Person": 3, "blog.Post": 2, "blog.Post_readers": 3}], 0],
        None,
        FAILS,
    ),
    "person.delete() that is rolled back": ([2, 2, 3], None, FAILS),
    "post.delete()": ([4, 3], None, WORKS),
    "NestedObjects, of the admin": (
        ["blog.comment", "blog.post", "blog.post_readers", "people.person"],
        None,
        FAILS,
    ),
}


@pytest.fixture(scope="module")
def ours(tied: Tied) -> dict[str, Any]:
    """What each operation brings with this package."""
    return ask(tied.project, OPERATIONS)


@pytest.fixture(scope="module")
def stock(tied: Tied) -> dict[str, Any]:
    """What each operation brings with a plain router, on tables that are there already."""
    tied.project.settings = STOCK_SETTINGS.format(urls=tied.urls)
    found = ask(tied.project, OPERATIONS)
    tied.project.settings = None
    return found


@pytest.mark.parametrize("operation", EXPECTED)
def test_here(ours: dict[str, Any], operation: str) -> None:
    result, queries, _ = EXPECTED[operation]

    if isinstance(ours[operation], str):
        assert ours[operation] == result
    else:
        assert ours[operation][0] == result
        assert queries in {None, ours[operation][1]}


@pytest.mark.parametrize("operation", EXPECTED)
def test_with_a_plain_router(stock: dict[str, Any], operation: str) -> None:
    result, _, expected = EXPECTED[operation]
    found = stock[operation]

    came = FAILS if isinstance(found, str) else WORKS if found[0] == result else WRONG
    assert came == expected, found


def test_every_operation_is_expected(ours: dict[str, Any]) -> None:
    assert set(ours) == set(EXPECTED)


def test_the_page_has_every_operation() -> None:
    page = REPOSITORY / "docs" / "explanation" / "relations.md"
    lines = [line for line in page.read_text(encoding="utf-8").splitlines() if line[:3] == "| `"]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    on_page = {operation.strip("`"): stock.split()[0] for operation, stock, *_ in rows}

    assert on_page == {name: stock for name, (_, _, stock) in EXPECTED.items()}
