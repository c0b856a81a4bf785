"""Input of the driver app's views."""

from django import forms

from apps.driver.models import Trip


class TripForm(forms.ModelForm):  # type: ignore[type-arg]  # not subscriptable at run time
    class Meta:
        model = Trip
        fields = ("vehicle", "pickup", "dropoff")
