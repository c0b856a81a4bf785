"""What is shown in place of a query that cannot be: it is run, and brings what the query asked."""

from __future__ import annotations

from typing import Any

import pytest

from tests.relations.conftest import Tied
from tests.support.facts import ask
from tests.support.operations import OPERATIONS

HEAD = OPERATIONS.partition('@operation("post.author")')[0]

# By the filter: the values in the order of the rewrite, what is found, and the rewrite.
REWRITES = {
    "Post.objects.filter(author__name='ann')": (
        "['ann']",
        "[first]",
        "fetch_ids(Person.objects.filter(name=…)); Post.objects.filter(author__in=ids)",
    ),
    "Post.objects.filter(author__badge__id=badge.pk)": (
        "[badge.pk]",
        "[first]",
        "fetch_ids(Person.objects.filter(badge__id=…)); Post.objects.filter(author__in=ids)",
    ),
    "Note.objects.filter(person__born=born)": (
        "[born]",
        "[note]",
        "fetch_ids(Person.objects.filter(born=…), 'name'); Note.objects.filter(person__in=ids)",
    ),
    "Comment.objects.filter(post__readers__name='ann')": (
        "['ann']",
        "[comment]",
        "fetch_ids(Person.objects.filter(name=…)); Comment.objects.filter(post__readers__in=ids)",
    ),
    "Person.objects.filter(posts__title='first')": (
        "['first']",
        "[ann]",
        "fetch_ids(Post.objects.filter(title=…), 'author'); Person.objects.filter(pk__in=ids)",
    ),
    "Person.objects.filter(note__id=note.pk)": (
        "[note.pk]",
        "[ann]",
        "fetch_ids(Note.objects.filter(id=…), 'person'); Person.objects.filter(name__in=ids)",
    ),
    "Person.objects.filter(posts_read__title='first')": (
        "['first']",
        "[ann, cid]",
        "fetch_ids(Post.objects.filter(title=…), 'readers'); Person.objects.filter(pk__in=ids)",
    ),
    "Person.objects.filter(posts_read=first)": (
        "[first.pk]",
        "[ann, cid]",
        "fetch_ids(Post.readers.through.objects.filter(post=…), 'person');"
        " Person.objects.filter(pk__in=ids)",
    ),
    "Badge.objects.filter(person__posts__title='first')": (
        "['first']",
        "[badge]",
        "fetch_ids(Post.objects.filter(title=…), 'author');"
        " Badge.objects.filter(person__pk__in=ids)",
    ),
    "Badge.objects.filter(person__posts_read__title='first')": (
        "['first']",
        "[badge]",
        "fetch_ids(Post.objects.filter(title=…), 'readers');"
        " Badge.objects.filter(person__pk__in=ids)",
    ),
    "Person.objects.filter(tags__id=tag.pk)": (
        "[tag.content_type_id, tag.pk]",
        "[ann]",
        "fetch_ids(Tag.objects.filter(content_type=…, id=…), 'object_id');"
        " Person.objects.filter(pk__in=ids)",
    ),
}
PROGRAM = """
import datetime
import re

from appdb_router.exceptions import CrossingQueryError
from appdb_router.two_steps import fetch_ids

born = datetime.date(1984, 1, 2)


def rewritten(queryset, values, expected):
    try:
        return list(queryset)
    except CrossingQueryError as error:
        text = str(error)
    shown = re.search(r"ids = (.+?); (.+) \\(from", text)
    steps = []
    for step in shown.groups():
        while "…" in step:
            step = step.replace("…", repr(values.pop(0)), 1)
        steps.append(step)
    ids = eval(steps[0])
    found = eval(steps[1], globals() | {"ids": ids})
    return [f"{shown[1]}; {shown[2]}", list(found) == expected]


def prepared():
    global badge, comment, note, tag
    ann.born = born
    ann.save()
    badge = Badge.objects.create(person=ann)
    comment = Comment.objects.create(post=first)
    note = Note.objects.create(person=ann)
    tag = Tag.objects.create(target=ann)

"""


def program() -> str:
    """Return the program that asks for each rewrite, and runs it."""
    text = HEAD + PROGRAM
    for number, (query, (values, expected, _)) in enumerate(REWRITES.items()):
        text += f'@operation("{query}")\ndef _{number}():\n    prepared()\n'
        text += f"    return rewritten({query}, {values}, {expected})\n\n"
    return text


@pytest.fixture(scope="module")
def found(tied: Tied) -> dict[str, Any]:
    return ask(tied.project, program())


@pytest.mark.parametrize("query", REWRITES)
def test_the_rewrite_works(found: dict[str, Any], query: str) -> None:
    assert found[query][0] == [REWRITES[query][2], True]
