"""Proof of the routing: write through the ORM, then ask every physical database directly."""

import os
import sys
from uuid import uuid4

import django
from django.conf import settings
from rich import box
from rich.console import Console
from rich.table import Table

from appdb_router import alias_for
from project import direct

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")
if missing := {"apps.driver", "apps.user"}.difference(settings.INSTALLED_APPS):
    sys.exit(f"The demo needs every app; PROJECT_APPS leaves out {', '.join(sorted(missing))}.")
# The modules below declare models, which takes loaded apps.
django.setup()

from django.db.models import Model  # noqa: E402

from apps.auth.models import User  # noqa: E402
from apps.driver.models import Driver, Trip, Vehicle  # noqa: E402
from apps.driver.services import book  # noqa: E402
from apps.user.models import Profile, SavedPlace  # noqa: E402

# No form accepts a colon in a user name, so clearing up never meets a real account.
PREFIX = "demo:"

# Every model, with the column that carries the mark of a run.
MARKED: dict[type[Model], str] = {
    User: "username",
    Driver: "licence",
    Vehicle: "plate",
    Trip: "pickup",
    Profile: "display_name",
    SavedPlace: "address",
}


def main() -> int:
    # A new mark for each run: rows that an older run left in another database prove nothing.
    mark = f"{PREFIX}{uuid4().hex[:8]}"
    remove_earlier_runs()
    write(mark)
    console = Console()
    console.print(read(mark), highlight=False)
    counts = ask_directly(mark)
    console.print(report(counts))
    console.print(legend(counts), highlight=False, soft_wrap=True)
    if not all(in_place(model, counts) for model in MARKED):
        console.print("Rows are missing, or in a database that is not theirs.", style="red")
        return 1
    console.print("Every row is in its own database, and in no other.", style="green")
    return 0


def remove_earlier_runs() -> None:
    Trip.objects.filter(vehicle__plate__startswith=PREFIX).delete()
    Driver.objects.filter(licence__startswith=PREFIX).delete()
    Profile.objects.filter(display_name__startswith=PREFIX).delete()
    User.objects.filter(username__startswith=PREFIX).delete()


def write(mark: str) -> None:
    """Write one row of each model, wherever the router says."""
    rider = User.objects.create_user(username=mark)
    driver = Driver.objects.create(name="Dana", licence=mark)
    vehicle = Vehicle.objects.create(driver=driver, plate=mark)
    book(Trip(vehicle=vehicle, rider=rider, pickup=mark, dropoff="Airport"))
    profile = Profile.objects.create(account=rider, display_name=mark)
    SavedPlace.objects.create(profile=profile, name="Home", address=mark)


def read(mark: str) -> str:
    """Follow the relations in both directions, also where they cross databases."""
    trip = Trip.objects.select_related("vehicle__driver").prefetch_related("rider").get(pickup=mark)
    rider = User.objects.prefetch_related("trips", "profile__places").get(username=mark)
    if trip.rider != rider or list(rider.trips.all()) != [trip]:
        sys.exit("The ORM does not lead from the trip to its rider and back.")
    [place] = rider.profile.places.all()
    return f"{rider} rides from {place.name} to {trip.dropoff} with {trip.vehicle.driver}."


def ask_directly(mark: str) -> dict[str, direct.Counts]:
    """Return what each physical database says, in the order of `MARKED`."""
    rows = [direct.Row(model._meta.db_table, column, mark) for model, column in MARKED.items()]
    configs = {direct.address(config): config for config in settings.DATABASES.values()}
    return {address: direct.count(config, rows) for address, config in configs.items()}


def found(model: type[Model], counts: dict[str, direct.Counts]) -> dict[str, int | None]:
    position = list(MARKED).index(model)
    return {address: numbers[position] for address, numbers in counts.items()}


def home(model: type[Model]) -> str:
    """Return the address of the database that should have the model's rows."""
    return direct.address(settings.DATABASES[alias_for(model)])


def in_place(model: type[Model], counts: dict[str, direct.Counts]) -> bool:
    numbers = found(model, counts)
    return numbers.pop(home(model)) == 1 and not any(numbers.values())


def report(counts: dict[str, direct.Counts]) -> Table:
    """Lay out the rows found; the database that should have them is in brackets."""
    table = Table("model", *map(aliases, counts), box=box.SIMPLE)
    for model in MARKED:
        cells = [cell(n, address == home(model)) for address, n in found(model, counts).items()]
        table.add_row(model._meta.label, *cells)
    return table


def cell(number: int | None, expected: bool) -> str:
    if expected:
        return f"({number or 0})"
    return "-" if number is None else str(number)


def aliases(address: str) -> str:
    return " = ".join(
        alias for alias, config in settings.DATABASES.items() if direct.address(config) == address
    )


def legend(counts: dict[str, direct.Counts]) -> str:
    lines = [f"{aliases(address)}: {address}" for address in counts]
    return "\n".join([*lines, "(n): expected here; -: no such table", ""])


if __name__ == "__main__":
    sys.exit(main())
