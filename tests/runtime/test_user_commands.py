"""``createsuperuser`` and ``changepassword`` work where users live."""

import pytest

from tests.support.project import Project


@pytest.fixture
def users(project: Project) -> Project:
    project.env["AUTH_DATABASE_URL"] = "sqlite:///auth.sqlite3"
    project.manage("db_init", "--all-apps", "--verbosity=0")
    return project


def create(project: Project, *arguments: str) -> str:
    return project.manage(
        "createsuperuser", "--noinput", "--username=ann", "--email=a@b.org", *arguments
    ).stdout


def test_createsuperuser(users: Project) -> None:
    assert create(users) == "Superuser created successfully.\n"

    found = users.python(
        """
        from django.contrib.auth.models import User
        user = User.objects.get()
        print(user.username, user.is_superuser, user._state.db)
        """
    )
    assert found.stdout == "ann True auth\n"


def test_changepassword(users: Project) -> None:
    create(users)

    found = users.python(
        """
        import getpass
        from django.contrib.auth.models import User
        from django.core.management import call_command

        getpass.getpass = lambda prompt: "corr3ct-horse"
        call_command("changepassword", "ann")
        print(User.objects.get().check_password("corr3ct-horse"))
        """
    )

    assert found.stdout.endswith("True\n")


@pytest.mark.parametrize("command", ["createsuperuser", "changepassword"])
def test_the_help_says_so(users: Project, command: str) -> None:
    text = " ".join(users.manage(command, "--help").stdout.split())

    assert 'Specifies the database to use. Default is "auth".' in text


def test_another_database_can_be_given(users: Project) -> None:
    result = users.manage(
        *("createsuperuser", "--noinput", "--username=ann", "--email=a@b.org"),
        "--database=default",
        check=False,
    )

    assert "no such table: auth_user" in result.stderr
