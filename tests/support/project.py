"""A Django project in a temporary folder, driven through subprocesses as its users would."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import dedent

from tests.support.warm import warm_python

REPOSITORY = Path(__file__).resolve().parents[2]

DEFAULT_APPS = (
    "appdb_router",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
)

# What a subprocess keeps of the environment. COVERAGE_ and COV_ variables let it be measured.
KEPT_VARIABLES = ("HOME", "LANG", "LC_ALL", "PATH", "TMPDIR")
KEPT_PREFIXES = ("COVERAGE_", "COV_")

MANAGE = """\
import os
import sys

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "settings")
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)
"""

SETTINGS = """\
from pathlib import Path

from appdb_router import build_databases, read_env

BASE_DIR = Path(__file__).resolve().parent
SECRET_KEY = "only-for-tests"
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "urls"
STATIC_URL = "static/"
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
AUTH_USER_MODEL = {auth_user_model!r}
INSTALLED_APPS = {installed_apps!r}
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
TEMPLATES = [
    {{
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {{
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        }},
    }},
]

read_env(BASE_DIR / ".env")
DATABASES = build_databases(
    INSTALLED_APPS,
    base_dir=BASE_DIR,
    default=f"sqlite:///{{BASE_DIR / 'db.sqlite3'}}",
    auth_user_model=AUTH_USER_MODEL,
    {build_arguments}
)
DATABASE_ROUTERS = ["appdb_router.routers.AppDatabaseRouter"]
DEFAULT_EXCEPTION_REPORTER_FILTER = "appdb_router.debug.ExceptionReporterFilter"

{settings_extra}
"""

APP_CONFIG = """\
from django.apps import AppConfig


class Config(AppConfig):
    name = {name!r}
"""


def bare_environment() -> dict[str, str]:
    """Return what every subprocess gets: next to nothing of this process's environment."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name in KEPT_VARIABLES or name.startswith(KEPT_PREFIXES)
    }
    # A module written twice within a second would be loaded from the cache of the first.
    return {**kept, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONUTF8": "1"}


def command(arguments: Sequence[str]) -> list[str]:
    """Return the command of an interpreter for which warnings are errors."""
    return [sys.executable, "-W", "error", *arguments]


def run_python(
    arguments: Sequence[str],
    *,
    folder: Path,
    environment: Mapping[str, str],
    text: str = "",
    timeout: float,
    warm: bool = True,
) -> subprocess.CompletedProcess[str]:
    """Run a program with the input ``text`` to its end.

    It begins with Django imported, unless ``warm`` is false or it needs an interpreter of its own.
    """
    # Forking is safe on Linux.
    if warm and sys.platform == "linux":
        warm_one = warm_python(frozenset(bare_environment().items()))
        finished = warm_one.run(
            arguments, folder=folder, environment=environment, text=text, timeout=timeout
        )
        if finished:
            return subprocess.CompletedProcess(command(arguments), *finished)
    return subprocess.run(
        command(arguments),
        cwd=folder,
        env=environment,
        # Nothing more comes, so a question that nobody expected fails instead of waiting.
        input=text,
        capture_output=True,
        encoding="utf-8",
        timeout=timeout,
        check=False,
    )


class Project:
    """A project under test.

    The attributes may be changed at any time: the settings module is written anew before every
    subprocess, unless `settings` replaces the template. A program that is run to its end begins
    with Django imported, unless `warm` is false.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.installed_apps: list[str] = list(DEFAULT_APPS)
        self.auth_user_model = "auth.User"
        self.build_arguments = ""
        self.settings_extra = ""
        self.settings: str | None = None
        self.env: dict[str, str] = {}
        self.warm = True
        self._python_path: list[str] = [str(REPOSITORY)]
        self.write("manage.py", MANAGE)
        self.write("urls.py", "urlpatterns = []\n")

    def write(self, path: str | Path, text: str) -> Path:
        """Write a dedented text below the project's folder."""
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(dedent(text), encoding="utf-8")
        return target

    def app(
        self,
        name: str,
        *,
        label: str | None = None,
        models: str = "",
        files: Mapping[str, str] | None = None,
        migrations: Mapping[str, str] | None = None,
        path: Path | None = None,
    ) -> Path:
        """Write an app's package, install the app, and return the package's folder.

        Args:
            name: Dotted name of the package.
            label: App label, if it is not the last part of the name.
            models: Body of `models.py`; `models` and `settings` are imported for it.
            files: More files of the package, by relative path.
            migrations: Modules of the migrations package, by name without `.py`.
            path: Folder that holds the package, if it is not the project's. It goes to the
                end of PYTHONPATH, as a folder of third-party packages would.
        """
        package = self._package(name, path or self.root)
        if path is not None and str(path) not in self._python_path:
            self._python_path.append(str(path))
        config = APP_CONFIG.format(name=name)
        if label is not None:
            config += f"    label = {label!r}\n"
        self.write(package / "apps.py", config)
        header = "from django.conf import settings\nfrom django.db import models\n\n\n"
        self.write(package / "models.py", header + dedent(models))
        self.write(package / "migrations" / "__init__.py", "")
        for module, source in (migrations or {}).items():
            self.write(package / "migrations" / f"{module}.py", source)
        for relative, source in (files or {}).items():
            self.write(package / relative, source)
        self.installed_apps.append(name)
        return package

    def manage(
        self,
        *args: str,
        check: bool = True,
        input: str | None = None,
        timeout: float = 60,
    ) -> subprocess.CompletedProcess[str]:
        """Run `manage.py` to its end; a non-zero exit code is an error if `check` is true."""
        return self._run(["manage.py", *args], check=check, text=input or "", timeout=timeout)

    def python(
        self, code: str, *, setup: bool = True, check: bool = True, timeout: float = 60
    ) -> subprocess.CompletedProcess[str]:
        """Run code in the project, after `django.setup()` if `setup` is true."""
        prelude = "import django\ndjango.setup()\n" if setup else ""
        return self._run(["-c", prelude + dedent(code)], check=check, timeout=timeout)

    def module(
        self, name: str, *args: str, check: bool = True, timeout: float = 60
    ) -> subprocess.CompletedProcess[str]:
        """Run a module in the project, as `python -m` does."""
        return self._run(["-m", name, *args], check=check, timeout=timeout)

    def makemigrations(self, *labels: str) -> None:
        """Write the migrations that the models ask for."""
        self.manage("makemigrations", "--verbosity=0", *labels)

    def popen(self, *args: str) -> subprocess.Popen[str]:
        """Start `manage.py` and return at once, for tests of concurrency."""
        return subprocess.Popen(
            self._command(["manage.py", *args]),
            cwd=self.root,
            env=self.environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
        )

    def environment(self) -> dict[str, str]:
        """Return the environment of a subprocess: next to nothing is inherited."""
        return {
            **bare_environment(),
            "DJANGO_SETTINGS_MODULE": "settings",
            "PYTHONPATH": os.pathsep.join(self._python_path),
            **self.env,
        }

    def _run(
        self, arguments: Sequence[str], *, check: bool, timeout: float, text: str = ""
    ) -> subprocess.CompletedProcess[str]:
        self.write_settings()
        result = run_python(
            arguments,
            folder=self.root,
            environment=self.environment(),
            text=text,
            timeout=timeout,
            warm=self.warm,
        )
        if check and result.returncode != 0:
            raise AssertionError(describe(result))
        return result

    def _command(self, arguments: Sequence[str]) -> list[str]:
        self.write_settings()
        return command(arguments)

    def write_settings(self) -> None:
        if self.settings is not None:
            self.write("settings.py", self.settings)
            return
        text = SETTINGS.format(
            auth_user_model=self.auth_user_model,
            installed_apps=self.installed_apps,
            build_arguments=self.build_arguments,
            settings_extra=dedent(self.settings_extra),
        )
        self.write("settings.py", text)

    def _package(self, name: str, root: Path) -> Path:
        package = root
        for part in name.split("."):
            package = package / part
            if not (package / "__init__.py").exists():
                self.write(package / "__init__.py", "")
        return package


def describe(result: subprocess.CompletedProcess[str]) -> str:
    """Return what a finished process did, for the message of a failed test."""
    command = " ".join(result.args[1:])
    return (
        f"`python {command}` ended with exit code {result.returncode}\n"
        f"--- stdout ---\n{result.stdout}\n--- stderr ---\n{result.stderr}"
    )
