"""JSON views of trips: rows of one database, their riders from another."""

import json
from typing import Any

from django.http import HttpRequest, JsonResponse
from django.views.decorators.http import require_http_methods

from apps.auth.decorators import account_required
from apps.auth.models import User
from apps.driver.forms import TripForm
from apps.driver.models import Trip
from apps.driver.services import book


@require_http_methods(["GET", "POST"])
@account_required
def trips(request: HttpRequest, account: User) -> JsonResponse:
    if request.method == "POST":
        return _create(request, rider=account)
    return _list(account)


def _list(account: User) -> JsonResponse:
    # select_related joins, so it stays inside the app; prefetch_related asks each database for
    # its own rows and may cross.
    visible = Trip.objects.select_related("vehicle__driver").prefetch_related("rider")
    if not account.is_staff:
        visible = visible.filter(rider=account)
    return JsonResponse({"trips": [_as_json(trip) for trip in visible]})


def _create(request: HttpRequest, rider: User) -> JsonResponse:
    try:
        body = json.loads(request.body)
    except ValueError:
        body = None
    if not isinstance(body, dict):
        return JsonResponse({"error": "The body must be a JSON object."}, status=400)
    form = TripForm(body, instance=Trip(rider=rider))
    if not form.is_valid():
        return JsonResponse({"errors": form.errors.get_json_data()}, status=400)
    return JsonResponse(_as_json(book(form.instance)), status=201)


def _as_json(trip: Trip) -> dict[str, Any]:
    return {
        "id": trip.pk,
        "rider": trip.rider_name,
        "driver": trip.vehicle.driver.name,
        "vehicle": trip.vehicle.plate,
        "pickup": trip.pickup,
        "dropoff": trip.dropoff,
        "status": trip.status,
    }
