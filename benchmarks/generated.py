"""Projects of any number of apps, for the benchmarks."""

from pathlib import Path

# As startapp writes it.
APPS = """\
from django.apps import AppConfig


class {class_name}Config(AppConfig):
    default_auto_field = 'django.db.models.BigAutoField'
    name = 'services.{label}'
"""
MODELS = """\
from django.db import models

# Create your models here.
"""
DATABASE = """\
# Where the data lives unless the environment says otherwise.
DATABASE_URL = {url!r}
"""

DEFAULT_URL = "postgresql://app:secret@db.example.com:5432/main"
SERVERS = 4


def labels(count: int) -> list[str]:
    """Return the labels of the first ``count`` apps."""
    return [f"app{number:04}" for number in range(count)]


def entries(count: int) -> list[str]:
    """Return ``INSTALLED_APPS`` of ``count`` apps."""
    return [f"services.{label}" for label in labels(count)]


def url(label: str) -> str:
    """Return the URL of an app's own database, on one of a few servers."""
    server = int(label.removeprefix("app")) % SERVERS
    return f"postgresql://app:secret@db{server}.example.com:5432/{label}?sslmode=require"


def variables(count: int) -> dict[str, str]:
    """Return the environment that gives each of ``count`` apps a database of its own."""
    return {f"{label.upper()}_DATABASE_URL": url(label) for label in labels(count)}


def write(folder: Path, count: int, *, database_modules: bool = False) -> None:
    """Write the packages of ``count`` apps, on request each with its ``database.py``."""
    services = folder / "services"
    services.mkdir(parents=True)
    (services / "__init__.py").touch()
    for label in labels(count):
        package = services / label
        package.mkdir()
        (package / "__init__.py").touch()
        text = APPS.format(class_name=label.title(), label=label)
        (package / "apps.py").write_text(text, encoding="utf-8")
        (package / "models.py").write_text(MODELS, encoding="utf-8")
        if database_modules:
            text = DATABASE.format(url=url(label))
            (package / "database.py").write_text(text, encoding="utf-8")
