"""Drivers, vehicles and trips; the rider of a trip lives in another app's database."""

from django.conf import settings
from django.core.exceptions import ObjectDoesNotExist
from django.db import models


class Driver(models.Model):
    name = models.CharField(max_length=100)
    licence = models.CharField(max_length=32, unique=True)
    last_booked_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name


class Vehicle(models.Model):
    driver = models.ForeignKey(Driver, on_delete=models.CASCADE, related_name="vehicles")
    plate = models.CharField(max_length=16, unique=True)

    class Meta:
        ordering = ("plate",)

    def __str__(self) -> str:
        return self.plate


class Trip(models.Model):
    class Status(models.TextChoices):
        BOOKED = "booked"
        DONE = "done"
        CANCELLED = "cancelled"

    vehicle = models.ForeignKey(Vehicle, on_delete=models.PROTECT, related_name="trips")
    # No server can check a key into another server's database, hence no constraint. And any other
    # on_delete would make `user.delete()` look for trips in the user's database, where no such
    # table is: every deletion of a user would fail, also of users who never took a trip.
    rider = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        related_name="trips",
    )
    pickup = models.CharField(max_length=200)
    dropoff = models.CharField(max_length=200)
    status = models.CharField(max_length=16, choices=Status, default=Status.BOOKED)
    booked_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("-booked_at",)

    def __str__(self) -> str:
        return f"{self.pickup} to {self.dropoff}"

    @property
    def rider_name(self) -> str | None:
        """The rider's user name; None once the account is gone, which the trip outlives."""
        try:
            return self.rider.get_username()
        except ObjectDoesNotExist:
            return None
