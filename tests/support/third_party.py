"""A project with well-known apps of the community, each package in a database of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tests.support.project import Project


@dataclass(frozen=True)
class Package:
    """What a distribution adds to INSTALLED_APPS: `apps` by label, and `others` without tables.

    The first of `apps` names the alias and the variable; the others go with it.
    """

    apps: Mapping[str, str]
    others: tuple[str, ...] = ()

    @property
    def leader(self) -> str:
        """The label that the database is known by."""
        return next(iter(self.apps))


def _oscar(*names: str) -> tuple[str, ...]:
    paths = [name.split(".") for name in names]
    return tuple(
        f"oscar.apps.{'.'.join(path)}.apps.{''.join(map(str.title, reversed(path)))}Config"
        for path in paths
    )


_SHOP = (
    *("address", "analytics", "basket", "catalogue", "communication", "customer", "offer"),
    *("order", "partner", "payment", "shipping", "voucher", "wishlists"),
)
_OFFICE = (
    *("catalogue", "communications", "offers", "orders", "pages", "partners", "ranges"),
    *("reports", "reviews", "shipping", "users", "vouchers"),
)

PACKAGES = {
    "django-allauth": Package(
        {
            "account": "allauth.account",
            "mfa": "allauth.mfa",
            "socialaccount": "allauth.socialaccount",
            "usersessions": "allauth.usersessions",
        },
        ("allauth",),
    ),
    "django-auditlog": Package({"auditlog": "auditlog"}),
    "django-axes": Package({"axes": "axes"}),
    "django-cms": Package({"cms": "cms", "menus": "menus"}, ("sekizai",)),
    "django-filer": Package({"filer": "filer"}),
    "django-guardian": Package({"guardian": "guardian"}),
    "django-helpdesk": Package({"helpdesk": "helpdesk"}, ("django.contrib.humanize",)),
    "django-oauth-toolkit": Package({"oauth2_provider": "oauth2_provider"}),
    "django-oscar": Package(
        {
            **dict(zip(_SHOP, _oscar(*_SHOP), strict=True)),
            "reviews": "oscar.apps.catalogue.reviews.apps.CatalogueReviewsConfig",
        },
        (
            "oscar.config.Shop",
            *_oscar("checkout", "search", "dashboard", *(f"dashboard.{name}" for name in _OFFICE)),
            *("django_tables2", "haystack", "treebeard", "widget_tweaks"),
        ),
    ),
    "django-otp": Package(
        {"otp_static": "django_otp.plugins.otp_static", "otp_totp": "django_otp.plugins.otp_totp"},
        ("django_otp",),
    ),
    "django-post-office": Package({"post_office": "post_office"}),
    "django-q2": Package({"django_q": "django_q"}),
    "django-reversion": Package({"reversion": "reversion"}),
    "django-silk": Package({"silk": "silk"}),
    "django-taggit": Package({"taggit": "taggit"}),
    "django-two-factor-auth": Package(
        {"two_factor": "two_factor", "phonenumber": "two_factor.plugins.phonenumber"}
    ),
    "django-waffle": Package({"waffle": "waffle"}),
    "djangorestframework": Package({"authtoken": "rest_framework.authtoken"}, ("rest_framework",)),
    "djangorestframework-simplejwt": Package(
        {"token_blacklist": "rest_framework_simplejwt.token_blacklist"}
    ),
    "easy-thumbnails": Package({"easy_thumbnails": "easy_thumbnails"}),
    "social-auth-app-django": Package({"social_django": "social_django"}),
    "wagtail": Package(
        {
            "wagtailcore": "wagtail",
            "wagtailadmin": "wagtail.admin",
            "wagtaildocs": "wagtail.documents",
            "wagtailembeds": "wagtail.embeds",
            "wagtailforms": "wagtail.contrib.forms",
            "wagtailimages": "wagtail.images",
            "wagtailredirects": "wagtail.contrib.redirects",
            "wagtailsearch": "wagtail.search",
            "wagtailsearchpromotions": "wagtail.contrib.search_promotions",
            "wagtailusers": "wagtail.users",
        },
        ("django_filters", "modelcluster", "wagtail.sites", "wagtail.snippets"),
    ),
}

CONTRIB = ("admin", "flatpages", "postgres", "redirects", "sites")

SETTINGS = """
import warnings

# Those of other people's code.
warnings.simplefilter("ignore")

from oscar.defaults import *

CMS_CONFIRM_VERSION4 = True
HAYSTACK_CONNECTIONS = {
    "default": {"ENGINE": "haystack.backends.simple_backend.SimpleEngine"},
}
HELPDESK_TEAMS_MODE_ENABLED = False
LANGUAGES = [("en", "English")]
LANGUAGE_CODE = "en"
MIDDLEWARE += ["allauth.account.middleware.AccountMiddleware"]
SITE_ID = 1
WAGTAILADMIN_BASE_URL = "http://localhost"
WAGTAIL_SITE_NAME = "Tests"
"""


def install(project: Project) -> None:
    """Install the apps of all packages in `project`; those of one package go together."""
    packages = PACKAGES.values()
    project.installed_apps += [f"django.contrib.{name}" for name in CONTRIB]
    for package in packages:
        project.installed_apps += [*package.apps.values(), *package.others]
    together = {item.leader: list(item.apps)[1:] for item in packages if len(item.apps) > 1}
    project.build_arguments = f"together={together!r},"
    project.settings_extra = SETTINGS
