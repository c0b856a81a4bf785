"""Admin of the driver app; nothing here joins to the riders' database."""

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from apps.driver.models import Driver, Trip, Vehicle


@admin.register(Driver)
class DriverAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # not subscriptable at run time
    list_display = ("name", "licence", "last_booked_at")
    search_fields = ("name", "licence")


@admin.register(Vehicle)
class VehicleAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # not subscriptable at run time
    list_display = ("plate", "driver")
    search_fields = ("plate", "driver__name")
    autocomplete_fields = ("driver",)


@admin.register(Trip)
class TripAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # not subscriptable at run time
    # The field `rider` itself in list_display would make the change list join across databases.
    list_display = ("pickup", "dropoff", "vehicle", "rider_account", "status", "booked_at")
    list_filter = ("status",)
    list_select_related = ("vehicle",)
    search_fields = ("pickup", "dropoff", "vehicle__plate")
    autocomplete_fields = ("vehicle",)
    raw_id_fields = ("rider",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Trip]:
        return super().get_queryset(request).prefetch_related("rider")

    @admin.display(description="rider", empty_value="deleted")
    def rider_account(self, trip: Trip) -> str | None:
        return trip.rider_name
