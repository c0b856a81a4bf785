"""URLs of the driver app."""

from django.urls import path

from apps.driver import views

app_name = "driver"
urlpatterns = [path("trips/", views.trips, name="trips")]
