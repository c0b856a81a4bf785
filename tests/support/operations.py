"""What a project does with relations, to be asked of two databases by this package and without."""

from __future__ import annotations

# Run by `facts.ask`. Each operation finds the same rows, and tells its result and its queries.
OPERATIONS = """\
from contextlib import ExitStack
from django.core.exceptions import ObjectDoesNotExist
from django.db import connections, transaction
from django.db.models import Prefetch, ProtectedError, RestrictedError
from django.test.utils import CaptureQueriesContext

from blog.models import Comment, Contract, Loan, Note, Post, Profile, Tag
from people.models import Badge, Person


def fresh():
    global ann, bob, cid, first, second
    for model in (Post.readers.through, Comment, Post, Profile, Contract, Loan, Note, Tag):
        model._base_manager.using("blog")._raw_delete("blog")
    for model in (Badge, Person):
        model._base_manager.using("people")._raw_delete("people")
    ann, bob, cid = [Person.objects.create(name=name) for name in ("ann", "bob", "cid")]
    first = Post.objects.create(title="first", author_id=ann.pk, editor_id=bob.pk)
    second = Post.objects.create(title="second", author_id=bob.pk)
    through = Post.readers.through
    for post, person in ((first, cid), (first, ann), (second, ann)):
        through.objects.create(post_id=post.pk, person_id=person.pk)


def operation(name):
    def record(function):
        @fact(name)
        def run():
            fresh()
            with ExitStack() as stack:
                counted = [
                    stack.enter_context(CaptureQueriesContext(connections[alias]))
                    for alias in connections
                ]
                result = function()
            return [result, sum(map(len, counted))]
    return record


def names(people):
    return [person.name for person in people]


@operation("post.author")
def _():
    return Post.objects.get(title="first").author.name

@operation("Post(author=ann)")
def _():
    return Post(title="new", author=ann).author_id == ann.pk

@operation("ann.posts.all()")
def _():
    return [post.title for post in ann.posts.all()]

@operation("ann.posts.create()")
def _():
    return ann.posts.create(title="new")._state.db

@operation("ann.profile")
def _():
    Profile.objects.create(person_id=ann.pk)
    return ann.profile.person_id == ann.pk

@operation("filter(author=ann)")
def _():
    return Post.objects.filter(author=ann).count()

@operation("filter(author__in=[ann, bob])")
def _():
    return Post.objects.filter(author__in=[ann, bob]).count()

@operation("filter(author__id=…)")
def _():
    return Post.objects.filter(author__id=ann.pk).count()

@operation("full_clean()")
def _():
    Post(title="new", author_id=ann.pk).full_clean(exclude=["editor"])
    try:
        Post(title="new", author_id=0).full_clean()
    except Exception as error:
        return sorted(error.message_dict)

@operation("prefetch_related('author')")
def _():
    return [post.author.name for post in Post.objects.prefetch_related("author")]

@operation("prefetch_related('posts')")
def _():
    people = Person.objects.prefetch_related("posts")
    return [[post.title for post in person.posts.all()] for person in people]

@operation("select_related('author', 'editor')")
def _():
    posts = Post.objects.select_related("author", "editor")
    return [(post.author.name, post.editor and post.editor.name) for post in posts]

@operation("select_related('post__author')")
def _():
    Comment.objects.create(post=first)
    return [c.post.author.name for c in Comment.objects.select_related("post__author")]

@operation("select_related('author__badge')")
def _():
    Badge.objects.create(person=ann)
    Badge.objects.create(person=bob)
    posts = Post.objects.select_related("author__badge")
    return [post.author.badge.person_id == post.author_id for post in posts]

@operation("select_related('profile')")
def _():
    Profile.objects.create(person_id=ann.pk)
    people = Person.objects.select_related("profile").filter(name="ann")
    return [person.profile.person_id == ann.pk for person in people]

@operation("select_related('author').only('author__name')")
def _():
    posts = Post.objects.select_related("author").only("author__name")
    return [(post.author.name, sorted(post.get_deferred_fields())) for post in posts]

@operation("select_related('author').defer('author__name')")
def _():
    posts = Post.objects.select_related("author").defer("author__name")
    return [sorted(post.author.get_deferred_fields()) for post in posts]

@operation("select_related('author').iterator()")
def _():
    posts = Post.objects.select_related("author").iterator(chunk_size=1)
    return [post.author.name for post in posts]

@operation("select_related('author').get()")
def _():
    return Post.objects.select_related("author").get(title="first").author.name

@operation("select_related('author') of a row that is gone")
def _():
    Person.objects.filter(pk=bob.pk)._raw_delete("people")
    found = []
    for post in Post.objects.select_related("author", "editor"):
        try:
            found.append(post.author.name)
        except ObjectDoesNotExist:
            found.append("DoesNotExist")
        found.append(post.editor)
    return found

@operation("post.readers.all()")
def _():
    return names(first.readers.all())

@operation("post.readers.filter(name=…)")
def _():
    return names(first.readers.filter(name="cid"))

@operation("post.readers.count()")
def _():
    return first.readers.count(), second.readers.exists(), Post().pk

@operation("person.posts_read.all()")
def _():
    return [post.title for post in ann.posts_read.all()]

@operation("prefetch_related('readers')")
def _():
    return [names(post.readers.all()) for post in Post.objects.prefetch_related("readers")]

@operation("prefetch_related(Prefetch('readers', …))")
def _():
    people = Person.objects.filter(name__startswith="a").order_by("-name")
    posts = Post.objects.prefetch_related(Prefetch("readers", people, to_attr="found"))
    return [names(post.found) for post in posts]

@operation("prefetch_related('readers__posts')")
def _():
    posts = Post.objects.prefetch_related("readers__posts")
    return [[len(reader.posts.all()) for reader in post.readers.all()] for post in posts]

@operation("prefetch_related('posts_read')")
def _():
    people = Person.objects.prefetch_related("posts_read")
    return [[post.title for post in person.posts_read.all()] for person in people]

@operation("post.readers.add()")
def _():
    first.readers.add(bob, cid)
    return sorted(first.readers.through.objects.values_list("person_id", flat=True)) == sorted(
        [ann.pk, bob.pk, cid.pk, ann.pk]
    )

@operation("post.readers.remove()")
def _():
    first.readers.remove(cid)
    return first.readers.through.objects.count()

@operation("post.readers.set()")
def _():
    first.readers.set([bob, cid])
    return names(first.readers.all())

@operation("post.readers.clear()")
def _():
    first.readers.clear()
    return first.readers.through.objects.count()

@operation("post.readers.create()")
def _():
    return first.readers.create(name="dan")._state.db, names(first.readers.all())

@operation("post.readers.get_or_create()")
def _():
    return first.readers.get_or_create(name="dan")[0]._state.db, names(first.readers.all())

@operation("person.posts_read.set()")
def _():
    bob.posts_read.set([second])
    return [post.title for post in bob.posts_read.all()]

@operation("person.posts_read.create()")
def _():
    return bob.posts_read.create(title="new", author_id=bob.pk)._state.db

@operation("filter(author__name=…)")
def _():
    return Post.objects.filter(author__name="ann").count()

@operation("filter(readers__name=…)")
def _():
    return Post.objects.filter(readers__name="ann").count()

@operation("order_by('author')")
def _():
    return [post.title for post in Post.objects.order_by("author")]

@operation("values('author__name')")
def _():
    return list(Post.objects.values("author__name"))

@operation("filter(author__in=<queryset>)")
def _():
    return Post.objects.filter(author__in=Person.objects.filter(name="ann")).count()

@operation("filter(author__name=…).update()")
def _():
    return Post.objects.filter(author__name="ann").update(title="new")

@operation("filter(author__name=…).delete()")
def _():
    return Post.objects.filter(author__name="ann").delete()

@operation("union() of both")
def _():
    posts, people = Post.objects.values("id", "title"), Person.objects.values("id", "name")
    return len(posts.union(people))

@operation("fetch_ids()")
def _():
    from appdb_router.two_steps import fetch_ids
    return Post.objects.filter(author__in=fetch_ids(Person.objects.filter(name="ann"))).count()

@operation("Tag(target=ann)")
def _():
    Tag.objects.create(target=ann)
    return [tag.target.name for tag in Tag.objects.all()]

@operation("prefetch_related('target')")
def _():
    Tag.objects.create(target=ann)
    Tag.objects.create(target=first)
    return [str(tag.target) for tag in Tag.objects.prefetch_related("target").order_by("id")]

@operation("person.tags.all()")
def _():
    Tag.objects.create(target=ann)
    return ann.tags.count(), ann.tags.create()._state.db, ann.tags.count()

@operation("person.delete(), with nothing that belongs to it")
def _():
    return Person.objects.create(name="dan").delete()

@operation("person.delete(), CASCADE")
def _():
    Comment.objects.create(post=first)
    Profile.objects.create(person_id=ann.pk)
    Tag.objects.create(target=ann)
    Tag.objects.create(target=bob)
    deleted = ann.delete()
    left = [model.objects.count() for model in (Post, Comment, Profile, Post.readers.through, Tag)]
    return deleted, left

@operation("person.delete(), SET_NULL, SET_DEFAULT and SET")
def _():
    Post.objects.filter(title="second").update(author_id=cid.pk)
    note = Note.objects.create(person_id=bob.name, other_id=bob.pk, left_id=bob.pk)
    bob.delete()
    note.refresh_from_db()
    first.refresh_from_db()
    return first.editor_id, note.person_id, note.other_id, note.left_id == ann.pk + 1

@operation("person.delete(), PROTECT")
def _():
    Contract.objects.create(person_id=ann.pk)
    try:
        ann.delete()
    except ProtectedError as error:
        return len(error.protected_objects), Person.objects.count(), Post.objects.count()

@operation("person.delete(), RESTRICT")
def _():
    Loan.objects.create(person_id=ann.pk)
    try:
        ann.delete()
    except RestrictedError as error:
        return len(error.restricted_objects), Person.objects.count(), Post.objects.count()

@operation("Person.objects.all().delete()")
def _():
    deleted = Person.objects.all().delete()
    return deleted, Post.objects.count()

@operation("person.delete() that is rolled back")
def _():
    try:
        with transaction.atomic(using="people"):
            ann.delete()
            during = Post.objects.count()
            raise KeyError
    except KeyError:
        return during, Post.objects.count(), Person.objects.count()

@operation("post.delete()")
def _():
    Comment.objects.create(post=first)
    return first.delete()[0], Person.objects.count()

@operation("NestedObjects, of the admin")
def _():
    from django.contrib.admin.utils import NestedObjects
    Comment.objects.create(post=first)
    collector = NestedObjects(using="people")
    collector.collect([ann])
    return sorted(str(model._meta) for model in collector.data)
"""
