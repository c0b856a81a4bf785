"""What stops a project at start-up, also under WSGI, where no system checks run."""

import pytest

from tests.support.project import Project

COMPUTED = """
from django.apps import AppConfig


class Config(AppConfig):
    name = "blog"

    def __init__(self, *args):
        super().__init__(*args)
        self.label = "computed"
"""
DIFFERENT = (
    "appdb_router.exceptions.ConfigurationError: DATABASES was built for other apps than those"
    " installed. Only in the settings: {}; only installed: {}. Call build_databases() behind the"
    " last change of INSTALLED_APPS; for an AppConfig that computes its label, pass"
    " labels={{entry: label}}.\n"
)


def test_a_label_that_only_running_the_code_tells(project: Project) -> None:
    folder = project.app("blog")
    project.write(folder / "apps.py", COMPUTED)

    result = project.python("", check=False)
    project.build_arguments = 'labels={"blog": "computed"},'
    project.python("")

    assert result.stderr.endswith(DIFFERENT.format("['blog']", "['computed']"))


def test_apps_installed_behind_the_call(project: Project) -> None:
    project.settings_extra = 'INSTALLED_APPS += ["django.contrib.humanize"]'

    result = project.python("from django.core.wsgi import get_wsgi_application", check=False)

    assert result.stderr.endswith(DIFFERENT.format("[]", "['humanize']"))


@pytest.mark.parametrize(
    "databases",
    [
        '{"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}',
        "{}",
    ],
)
def test_databases_written_by_hand(project: Project, databases: str) -> None:
    project.env["AUTH_DATABASE_URL"] = "sqlite:///auth.sqlite3"
    project.settings_extra = f"DATABASES = {databases}"

    result = project.python("", check=False)

    assert result.stderr.endswith(
        "ConfigurationError: settings.DATABASES was not made by appdb_router.build_databases(), so"
        " nobody knows which app lives where. Build it in the settings module, in those of tests"
        " too.\n"
    )


def test_an_error_in_the_settings_is_one_line_and_holds_no_password(project: Project) -> None:
    project.env["AUTH_DATABASE_URL"] = "postgresql://app:s3c/r3t@db1:5432/auth_db"

    result = project.manage("check", check=False)

    assert result.returncode != 0
    assert result.stderr.splitlines()[-1].startswith(
        "appdb_router.exceptions.DatabaseUrlError: AUTH_DATABASE_URL: there is an '@' behind"
    )
    assert "r3t" not in result.stderr
    assert "During handling" not in result.stderr


def test_a_new_app_needs_nothing_but_its_variable(project: Project) -> None:
    """No source file of the package knows it."""
    project.app("zeppelins", models="class Zeppelin(models.Model):\n    pass\n")
    project.makemigrations("zeppelins")
    project.env["ZEPPELINS_DATABASE_URL"] = "sqlite:///zeppelins.sqlite3"

    listed = project.manage("db_list", "--app", "zeppelins").stdout
    project.manage("db_init", "--all-apps")
    found = project.python(
        """
        from zeppelins.models import Zeppelin
        print(Zeppelin.objects.create()._state.db, Zeppelin.objects.get()._state.db)
        """
    )

    assert "URL: sqlite:///zeppelins.sqlite3" in listed
    assert found.stdout == "zeppelins zeppelins\n"
