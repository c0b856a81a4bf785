"""Admin of the user app; nothing here joins to the accounts' database."""

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from apps.user.models import Profile, SavedPlace


class SavedPlaceInline(admin.TabularInline):  # type: ignore[type-arg]  # not subscriptable at run time
    model = SavedPlace
    extra = 0


@admin.register(Profile)
class ProfileAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # not subscriptable at run time
    # The field `account` itself in list_display would make the change list join across databases.
    list_display = ("display_name", "account_username")
    search_fields = ("display_name",)
    raw_id_fields = ("account",)
    inlines = (SavedPlaceInline,)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Profile]:
        return super().get_queryset(request).prefetch_related("account")

    @admin.display(description="account", empty_value="deleted")
    def account_username(self, profile: Profile) -> str | None:
        return profile.account_name


@admin.register(SavedPlace)
class SavedPlaceAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # not subscriptable at run time
    list_display = ("name", "address", "profile")
    list_select_related = ("profile",)
    search_fields = ("name", "profile__display_name")
    autocomplete_fields = ("profile",)
