"""``createsuperuser`` on the database of the user model."""

from django.contrib.auth.management.commands import createsuperuser

from ..user_database import UserDatabaseMixin


class Command(UserDatabaseMixin, createsuperuser.Command):
    """Django's command, with another default of ``--database``."""
