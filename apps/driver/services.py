"""What the driver app does, for its views and for other code alike."""

from django.db import transaction

from appdb_router import alias_for
from apps.driver.models import Driver, Trip


def book(trip: Trip) -> Trip:
    """Save a new trip and note it with its driver: both or neither."""
    # A bare atomic() would open its transaction on the default database and protect nothing here.
    with transaction.atomic(using=alias_for(Trip)):
        trip.save()
        Driver.objects.filter(vehicles=trip.vehicle_id).update(last_booked_at=trip.booked_at)
    return trip
