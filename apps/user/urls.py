"""URLs of the user app."""

from django.urls import path

from apps.user import views

app_name = "user"
urlpatterns = [path("profile/", views.profile, name="profile")]
