"""URLs of the accounts app."""

from django.urls import path

from apps.auth import views

app_name = "accounts"
urlpatterns = [
    path("own/", views.own_account, name="own"),
    path("named/<str:username>/", views.other_account, name="named"),
]
