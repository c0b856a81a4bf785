"""The user model: lives wherever django.contrib.auth lives."""

from django.contrib.auth.models import AbstractUser


class User(AbstractUser):
    """An account; AUTH_DATABASE_URL moves it with its groups and permissions."""
