"""URLs of the sample project: those of the apps that this process has installed."""

from django.apps import apps
from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    path("admin/", admin.site.urls),
    path("accounts/", include("apps.auth.urls")),
]

for label in ("driver", "user"):
    # A service started alone has no models behind the other's views.
    if apps.is_installed(f"apps.{label}"):
        urlpatterns.append(path(f"{label}/", include(f"apps.{label}.urls")))
