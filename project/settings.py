"""Settings of the sample project: the environment decides which app has which database."""

import os
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

from appdb_router import build_databases, read_env

BASE_DIR = Path(__file__).resolve().parent.parent


def env_file() -> Path:
    """Return this service's own file if `ENV_FILE` names one, else the project's `.env`."""
    named = os.environ.get("ENV_FILE")
    path = BASE_DIR / (named or ".env")
    if named and not path.is_file():
        # Going on without it would start the service on the laptop's databases.
        raise ImproperlyConfigured(f"ENV_FILE={named!r}: there is no file {path}.")
    return path


def flag(name: str, *, default: bool) -> bool:
    """Read a boolean; a typo is an error, because a wrong DEBUG is a leak."""
    text = os.environ.get(name, "").strip().lower()
    if text in {"1", "true", "yes", "on"}:
        return True
    if text in {"0", "false", "no", "off"}:
        return False
    if text:
        raise ImproperlyConfigured(f"{name} is neither true nor false: {text!r}.")
    return default


def names(name: str) -> list[str]:
    """Read a comma-separated list."""
    return [part.strip() for part in os.environ.get(name, "").split(",") if part.strip()]


read_env(env_file())

# Deployed means that somebody set one of the two variables no deployment can do without. Losing
# one of them never turns DEBUG on; without both, DEBUG answers requests for localhost only.
ALLOWED_HOSTS = names("ALLOWED_HOSTS")
SECRET_KEY = os.environ.get("SECRET_KEY", "")
DEBUG = flag("DEBUG", default=not (SECRET_KEY or ALLOWED_HOSTS))
if not SECRET_KEY:
    if not DEBUG:
        raise ImproperlyConfigured("SECRET_KEY must be set when DEBUG is off.")
    SECRET_KEY = "django-insecure-for-laptops-only"  # noqa: S105

SERVICES = {"accounts": "apps.auth", "driver": "apps.driver", "user": "apps.user"}


def project_apps() -> list[str]:
    """Return the apps of this process: all of them, or those in `PROJECT_APPS`."""
    wanted = names("PROJECT_APPS") or list(SERVICES)
    if unknown := sorted(set(wanted) - set(SERVICES)):
        raise ImproperlyConfigured(
            f"PROJECT_APPS names {', '.join(unknown)}; choose from {', '.join(SERVICES)}."
        )
    # Every service needs the user model, so `accounts` is installed whether named or not.
    return [path for label, path in SERVICES.items() if label in {"accounts", *wanted}]


INSTALLED_APPS = [
    # First: its createsuperuser and changepassword must win over those of django.contrib.auth.
    "appdb_router",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    *project_apps(),
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "project.urls"
WSGI_APPLICATION = "project.wsgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

AUTH_USER_MODEL = "accounts.User"

DATABASES = build_databases(
    INSTALLED_APPS,
    base_dir=BASE_DIR,
    default="sqlite:///db.sqlite3" if DEBUG else None,
    auth_user_model=AUTH_USER_MODEL,
)
DATABASE_ROUTERS = ["appdb_router.routers.AppDatabaseRouter"]
DEFAULT_EXCEPTION_REPORTER_FILTER = "appdb_router.debug.ExceptionReporterFilter"

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]

LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"
USE_TZ = True
STATIC_URL = "static/"
STATIC_ROOT = BASE_DIR / "staticfiles"

SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = not DEBUG
