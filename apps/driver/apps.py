"""App configuration of driver."""

from django.apps import AppConfig


class DriverConfig(AppConfig):
    name = "apps.driver"
    label = "driver"
    default_auto_field = "django.db.models.BigAutoField"
