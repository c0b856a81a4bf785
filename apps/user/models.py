"""Profiles and saved places; the account of a profile may live in another database."""

from django.conf import settings
from django.core.exceptions import ObjectDoesNotExist
from django.db import models


class Profile(models.Model):
    # Crosses databases as soon as accounts move out of this one: no constraint can be checked
    # there, and any other on_delete would make `user.delete()` look for this table beside the
    # user's and fail.
    account = models.OneToOneField(
        settings.AUTH_USER_MODEL,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        related_name="profile",
    )
    display_name = models.CharField(max_length=100)

    class Meta:
        ordering = ("display_name",)

    def __str__(self) -> str:
        return self.display_name

    @property
    def account_name(self) -> str | None:
        """The account's user name; None once the account is gone, which the profile outlives."""
        try:
            return self.account.get_username()
        except ObjectDoesNotExist:
            return None


class SavedPlace(models.Model):
    profile = models.ForeignKey(Profile, on_delete=models.CASCADE, related_name="places")
    name = models.CharField(max_length=50)
    address = models.CharField(max_length=200)

    class Meta:
        ordering = ("name",)
        constraints = (
            models.UniqueConstraint(fields=("profile", "name"), name="user_savedplace_unique_name"),
        )

    def __str__(self) -> str:
        return self.name
