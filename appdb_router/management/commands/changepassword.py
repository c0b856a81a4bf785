"""``changepassword`` on the database of the user model."""

from django.contrib.auth.management.commands import changepassword

from ..user_database import UserDatabaseMixin


class Command(UserDatabaseMixin, changepassword.Command):
    """Django's command, with another default of ``--database``."""
