"""Of each package: how its rows are made for a user, and what else is done with it.

Parts of the program in `third_party_actions.py`.
"""

from __future__ import annotations

ROWS = """\
from auditlog.models import LogEntry
from axes.models import AccessAttempt, AccessLog
from django_otp.plugins.otp_static.models import StaticDevice
from django_otp.plugins.otp_totp.models import TOTPDevice
from django_q.models import Failure, OrmQ, Schedule, Success
from easy_thumbnails.models import Source, Thumbnail
from filer.models import Clipboard, File, Folder, FolderPermission, Image
from guardian.models import GroupObjectPermission, UserObjectPermission
from helpdesk.models import FollowUp, KBCategory, KBItem, Queue, SavedSearch, Ticket, UserSettings
from oauth2_provider.models import AccessToken, Application, Grant, RefreshToken
from post_office.models import Email, EmailTemplate, Log
from rest_framework.authtoken.models import Token, TokenProxy
from rest_framework_simplejwt.token_blacklist.models import BlacklistedToken, OutstandingToken
from reversion.models import Revision, Version
from silk.models import Request, Response
from social_django.models import Association, Nonce, UserSocialAuth
from taggit.models import Tag, TaggedItem
from two_factor.plugins.phonenumber.models import PhoneDevice
from waffle.models import Flag, Sample, Switch


def new_book(user):
    return Book.objects.create(title="first", owner=user)


@rows("django-auditlog")
def _(user):
    return [LogEntry.objects.create(
        content_type=ContentType.objects.get_for_model(Book), object_pk="0", object_repr="x",
        action=LogEntry.Action.CREATE, actor=user,
    )]


@rows("django-axes")
def _(user):
    return [
        AccessAttempt.objects.create(username=user.username, failures_since_start=1),
        AccessLog.objects.create(username=user.username),
    ]


@rows("django-filer")
def _(user):
    group = Group.objects.create(name=f"filer of {user}")
    folder = Folder.objects.create(name=f"of {user}", owner=user)
    file = File.objects.create(
        name="a", owner=user, folder=folder, file=ContentFile(b"text", "a.txt")
    )
    permission = FolderPermission(folder=folder, type=0, user=user, group=group, can_read=1)
    permission.save()
    return [permission, file, folder, Clipboard.objects.create(user=user)]


@rows("django-guardian")
def _(user):
    permission = Permission.objects.get(codename="view_book")
    group = Group.objects.create(name=f"guardian of {user}")
    common = {"permission": permission, "content_object": new_book(user)}
    return [
        UserObjectPermission.objects.create(user=user, **common),
        GroupObjectPermission.objects.create(group=group, **common),
    ]


@rows("django-helpdesk")
def _(user):
    queue = Queue.objects.create(title="q", slug=f"q-{user.pk}", default_owner=user)
    category = KBCategory.objects.create(name="c", title="c", slug=f"c-{user.pk}", description="c")
    item = KBItem.objects.create(category=category, title="i", question="q", answer="a")
    item.voted_by.add(user)
    ticket = Ticket.objects.create(title="t", queue=queue, assigned_to=user)
    return [
        FollowUp.objects.create(ticket=ticket, title="f", user=user), ticket, item, category, queue,
        SavedSearch.objects.create(user=user, title="s", query="x"),
        UserSettings.objects.get_or_create(user=user)[0],
    ]


@rows("django-oauth-toolkit")
def _(user):
    application = Application.objects.create(
        user=user, name="a", client_type="confidential", redirect_uris="https://example.com/",
        authorization_grant_type="password",
    )
    common = {"user": user, "application": application}
    expires = timezone.now()
    access = AccessToken.objects.create(token=f"a-{user.pk}", expires=expires, **common)
    return [
        Grant.objects.create(code=f"g-{user.pk}", expires=expires, redirect_uri="x", **common),
        RefreshToken.objects.create(token=f"r-{user.pk}", access_token=access, **common),
        access, application,
    ]


@rows("django-otp")
def _(user):
    return [
        StaticDevice.objects.create(user=user, name="s"),
        TOTPDevice.objects.create(user=user, name="t"),
    ]


@rows("django-post-office")
def _(user):
    email = Email.objects.create(from_email="root@example.com", to=[user.email], subject="x")
    return [
        Log.objects.create(email=email, status=0), email,
        EmailTemplate.objects.create(name=user.username),
    ]


@rows("django-q2")
def _(user):
    now = timezone.now()
    common = {"name": user.username, "func": "math.floor", "started": now, "stopped": now}
    return [
        Success.objects.create(id=f"s{user.pk}", success=True, **common),
        Failure.objects.create(id=f"f{user.pk}", success=False, **common),
        Schedule.objects.create(name="s", func="math.floor", args="1.5"),
        OrmQ.objects.create(key="k", payload="p"),
    ]


@rows("django-reversion")
def _(user):
    revision = Revision.objects.create(date_created=timezone.now(), user=user)
    version = Version.objects.create(
        revision=revision, object_id="0", db="library", format="json",
        content_type=ContentType.objects.get_for_model(Book),
    )
    return [revision, version]


@rows("django-silk")
def _(user):
    request = Request.objects.create(path="/", method="GET")
    return [request, Response.objects.create(request=request, status_code=200)]


@rows("django-taggit")
def _(user):
    tag = Tag.objects.create(name=f"of {user}")
    return [tag, TaggedItem.objects.create(tag=tag, content_object=new_book(user))]


@rows("django-two-factor-auth")
def _(user):
    return [PhoneDevice.objects.create(user=user, name="p", number="+31101234567", method="sms")]


@rows("django-waffle")
def _(user):
    flag = Flag.objects.create(name=f"f-{user.pk}")
    flag.users.add(user)
    flag.groups.add(Group.objects.create(name=f"waffle of {user}"))
    return [
        flag, Switch.objects.create(name=f"w-{user.pk}"),
        Sample.objects.create(name=f"s-{user.pk}", percent=1),
    ]


@rows("djangorestframework")
def _(user):
    token = Token.objects.create(user=user)
    return [token, TokenProxy.objects.get(pk=token.pk)]


@rows("djangorestframework-simplejwt")
def _(user):
    token = OutstandingToken.objects.create(
        user=user, jti=f"j-{user.pk}", token="t", expires_at=timezone.now()
    )
    return [BlacklistedToken.objects.create(token=token), token]


@rows("easy-thumbnails")
def _(user):
    source = Source.objects.create(storage_hash="h", name=user.username)
    return [Thumbnail.objects.create(storage_hash="h", name="t", source=source), source]


@rows("social-auth-app-django")
def _(user):
    return [
        UserSocialAuth.objects.create(user=user, provider="p", uid=user.username),
        Nonce.objects.create(server_url="u", timestamp=1, salt=user.username),
        Association.objects.create(
            server_url="u", handle=user.username, secret="s", issued=1, lifetime=1, assoc_type="t"
        ),
    ]

"""

EXTRAS = """\
import auditlog
import reversion
from auditlog.context import set_actor
from auditlog.registry import auditlog as log
from axes.utils import reset
from appdb_router.transaction import atomic
from django_otp import devices_for_user, match_token
from django_q.cluster import Sentinel
from django_q.tasks import async_task, queue_size, schedule
from easy_thumbnails.files import get_thumbnailer
from guardian.shortcuts import (
    assign_perm, get_objects_for_user, get_perms, get_users_with_perms, remove_perm,
)
from post_office import mail
from rest_framework.authentication import TokenAuthentication
from rest_framework_simplejwt.exceptions import TokenError
from rest_framework_simplejwt.tokens import RefreshToken as JsonToken
from social_django.models import DjangoStorage
from two_factor.utils import default_device
from waffle import flag_is_active

reversion.register(Book, follow=())
log.register(Book)


def request_of(user, **headers):
    request = RequestFactory().get("/", **headers)
    request.user = user
    return request


@extra("django-auditlog", "entries of an object")
def _(user):
    with set_actor(user):
        book = new_book(user)
        book.title = "second"
        book.save()
    assert LogEntry.objects.get_for_object(book).filter(actor=user).count() == 2
    assert [entry.actor for entry in book.history.select_related("actor")] == [user, user]
    key = book.pk
    book.delete()
    assert not LogEntry.objects.filter(object_id=key, actor=user).exists()


@extra("django-axes", "attempts, lockout, reset")
def _(user):
    visitor = Client()
    data = {"username": user.username, "password": "wrong"}
    codes = [visitor.post("/admin/login/", data).status_code for _ in range(3)]
    assert codes == [200, 200, 429], codes
    assert AccessAttempt.objects.get(username=user.username).failures_since_start == 3
    assert reset(username=user.username) == 1
    assert visitor.post("/admin/login/", data | {"password": "secret"}).status_code == 302
    assert AccessLog.objects.filter(username=user.username).exists()
    visitor.logout()


@extra("django-filer", "files of all kinds")
def _(user):
    image = Image.objects.create(owner=user, file=ContentFile(b"x", "x.png"))
    assert type(File.objects.get(pk=image.pk)) is Image
    assert [item.owner for item in File.objects.filter(owner=user)] == [user]


@extra("django-filer", "permissions of a group")
def _(user):
    group = Group.objects.create(name="readers")
    user.groups.add(group)
    folder, other = (Folder.objects.create(name=name) for name in ("open", "closed"))
    FolderPermission(folder=folder, type=FolderPermission.THIS, group=group, can_read=1).save()
    request = request_of(user)
    assert folder.has_read_permission(request)
    assert not other.has_read_permission(request)


@extra("django-guardian", "assign_perm()")
def _(user):
    book = new_book(user)
    assign_perm("view_book", user, book)
    [found] = UserObjectPermission.objects.filter(user=user)
    assert found.content_object == book


@extra("django-guardian", "remove_perm()")
def _(user):
    book = new_book(user)
    assign_perm("view_book", user, book)
    remove_perm("library.view_book", user, book)
    assert UserObjectPermission.objects.filter(user=user).count() == 0


@extra("django-guardian", "has_perm(), get_perms()")
def _(user):
    book = new_book(user)
    assign_perm("library.view_book", user, book)
    assert user.has_perm("library.view_book", book)
    assert get_perms(user, book) == ["view_book"]


@extra("django-guardian", "get_objects_for_user()")
def _(user):
    book = new_book(user)
    assign_perm("library.view_book", user, book)
    assert list(get_objects_for_user(user, "library.view_book")) == [book]


@extra("django-guardian", "get_users_with_perms()")
def _(user):
    book = new_book(user)
    assign_perm("library.view_book", user, book)
    assert list(get_users_with_perms(book)) == [user]


@extra("django-helpdesk", "votes, tickets of a user")
def _(user):
    _, ticket, item, *_ = makers["django-helpdesk"](user)
    assert list(user.assigned_to.all()) == [ticket]
    assert list(item.voted_by.all()) == [user]
    item.voted_by.remove(user)
    assert not item.voted_by.exists()


@extra("django-oauth-toolkit", "token by HTTP, revoked")
def _(user):
    application = Application(
        user=user, name="b", client_type="public", authorization_grant_type="password"
    )
    application.save()
    data = {"client_id": application.client_id, "grant_type": "password"}
    data |= {"username": user.username, "password": "secret"}
    answer = Client().post("/o/token/", data)
    assert answer.status_code == 200, answer.content
    token = AccessToken.objects.get(token=answer.json()["access_token"])
    assert token.user == user
    revoked = Client().post(
        "/o/revoke_token/", {"client_id": application.client_id, "token": token.token}
    )
    assert revoked.status_code == 200
    assert not exists(token)


@extra("django-otp", "devices_for_user()")
def _(user):
    device = StaticDevice.objects.create(user=user, name="s")
    device.token_set.create(token="abc")
    assert list(devices_for_user(user)) == [device]
    assert device.verify_token("abc")


@extra("django-otp", "match_token()")
def _(user):
    device = StaticDevice.objects.create(user=user, name="s")
    device.token_set.create(token="abc")
    assert match_token(user, "abc") == device
    assert match_token(user, "abc") is None


@extra("django-otp", "match_token() inside atomic('otp_static')")
def _(user):
    device = StaticDevice.objects.create(user=user, name="s")
    device.token_set.create(token="abc")
    with atomic("otp_static"):
        assert match_token(user, "abc") == device


@extra("django-post-office", "mail.send(), send_queued()")
def _(user):
    from django.core.mail import outbox
    email = mail.send(user.email, "root@example.com", subject="x", message="y")
    mail.send_queued(processes=1, log_level=2)
    email.refresh_from_db()
    assert email.status == 0
    assert email.logs.count() == 1
    assert any(message.to == [user.email] for message in outbox)


@extra("django-q2", "async_task(), schedule()")
def _(user):
    size = queue_size()
    async_task("math.floor", 1.5)
    assert queue_size() == size + 1
    key = async_task("math.floor", 1.5, sync=True)
    assert Success.objects.get(pk=key).result == 1
    assert schedule("math.floor", 1.5).pk


@extra("django-reversion", "create_revision(), revert(), get_deleted()")
def _(user):
    with reversion.create_revision():
        book = new_book(user)
        reversion.set_user(user)
    with reversion.create_revision():
        book.title = "second"
        book.save()
    last, first = Version.objects.get_for_object(book)
    assert first.revision.user == user
    assert first.object == book
    first.revision.revert()
    book.refresh_from_db()
    assert book.title == "first"
    key = str(book.pk)
    book.delete()
    assert key in [version.object_id for version in Version.objects.get_deleted(Book)]


@extra("django-silk", "a request recorded, its pages")
def _(user):
    with override_settings(MIDDLEWARE=["silk.middleware.SilkyMiddleware", *settings.MIDDLEWARE]):
        visitor = Client()
        visitor.force_login(user, "django.contrib.auth.backends.ModelBackend")
        visitor.get("/admin/")
    recorded = Request.objects.get(path="/admin/")
    assert recorded.queries.count() > 0
    for page in ("", "requests/", f"request/{recorded.pk}/", f"request/{recorded.pk}/sql/"):
        get(f"/silk/{page}")


def names_of(book):
    rows = TaggedItem.objects.filter(object_id=book.pk).select_related("tag")
    return sorted(item.tag.name for item in rows)


@extra("django-taggit", "add(), remove(), clear()")
def _(user):
    book = new_book(user)
    book.tags.add("red", "green")
    assert names_of(book) == ["green", "red"]
    book.tags.remove("red")
    assert names_of(book) == ["green"]
    book.tags.clear()
    assert names_of(book) == []


@extra("django-taggit", "set()")
def _(user):
    book = new_book(user)
    book.tags.set(["blue", "green"])
    assert names_of(book) == ["blue", "green"]


@extra("django-taggit", "all(), names()")
def _(user):
    book = new_book(user)
    book.tags.add("red")
    assert [tag.name for tag in book.tags.all()] == ["red"]
    assert list(book.tags.names()) == ["red"]


@extra("django-taggit", "prefetch_related('tags')")
def _(user):
    book = new_book(user)
    book.tags.add("red")
    [found] = Book.objects.filter(pk=book.pk).prefetch_related("tags")
    assert [tag.name for tag in found.tags.all()] == ["red"]


@extra("django-taggit", "filter(tags__name=…)")
def _(user):
    book = new_book(user)
    book.tags.add("red")
    try:
        assert book in Book.objects.filter(tags__name="red")
    except CrossingQueryError as error:
        # A relation of a kind that nobody knows the keys of.
        assert "as filter(tags__tag__name=…) asks. Ask TaggedItem for itself, and" in str(error)
        raise


@extra("django-taggit", "similar_objects()")
def _(user):
    book, other = new_book(user), new_book(user)
    for item in (book, other):
        item.tags.add("similar")
    assert book.tags.similar_objects() == [other]


@extra("django-taggit", "delete a tagged object")
def _(user):
    book = new_book(user)
    book.tags.add("red")
    key = book.pk
    book.delete()
    assert not TaggedItem.objects.filter(object_id=key).exists()


@extra("django-two-factor-auth", "default_device()")
def _(user):
    device = PhoneDevice.objects.create(user=user, name="default", number="+31101234567")
    assert default_device(user) == device


@extra("django-waffle", "a flag for a user, for a group")
def _(user):
    group = Group.objects.create(name="testers")
    user.groups.add(group)
    one, two, three = (Flag.objects.create(name=name) for name in ("one", "two", "three"))
    one.users.add(user)
    two.groups.add(group)
    request = request_of(user)
    active = [flag_is_active(request, name) for name in ("one", "two", "three")]
    assert active == [True, True, False], active
    one.users.remove(user)
    assert not flag_is_active(request_of(user), "one")


@extra("djangorestframework", "TokenAuthentication")
def _(user):
    token = Token.objects.create(user=user)
    request = request_of(user, HTTP_AUTHORIZATION=f"Token {token.key}")
    assert TokenAuthentication().authenticate(request) == (user, token)


@extra("djangorestframework-simplejwt", "tokens by HTTP, blacklist")
def _(user):
    answer = Client().post("/token/", {"username": user.username, "password": "secret"})
    assert answer.status_code == 200, answer.content
    assert OutstandingToken.objects.get(user=user).user == user
    refresh = JsonToken(answer.json()["refresh"])
    refresh.blacklist()
    again = Client().post("/token/refresh/", {"refresh": str(refresh)})
    assert again.status_code == 401


@extra("easy-thumbnails", "a thumbnail")
def _(user):
    import io
    from PIL import Image as Picture
    from django.core.files.storage import default_storage
    out = io.BytesIO()
    Picture.new("RGB", (20, 20)).save(out, "PNG")
    name = default_storage.save("picture.png", ContentFile(out.getvalue()))
    thumbnail = get_thumbnailer(name).get_thumbnail({"size": (10, 10)})
    assert thumbnail.width == 10
    assert Thumbnail.objects.filter(source__name=name).count() == 1


@extra("social-auth-app-django", "associations of a user")
def _(user):
    storage = DjangoStorage.user
    made = storage.create_social_auth(user, "1", "github")
    assert storage.get_social_auth("github", "1").user == user
    assert list(storage.get_social_auth_for_user(user, "github")) == [made]
    assert list(user.social_auth.all()) == [made]
    assert storage.allowed_to_disconnect(user, "github", made.pk)
    storage.disconnect(made)
    assert not user.social_auth.exists()

"""
