"""App configuration of accounts."""

from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "apps.auth"
    # The label `auth` belongs to django.contrib.auth.
    label = "accounts"
    default_auto_field = "django.db.models.BigAutoField"
