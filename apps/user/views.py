"""JSON views of what a user has saved."""

from django.http import HttpRequest, JsonResponse
from django.views.decorators.http import require_safe

from apps.auth.decorators import account_required
from apps.auth.models import User
from apps.user.models import Profile


@require_safe
@account_required
def profile(_request: HttpRequest, account: User) -> JsonResponse:
    # By the account's key: a filter on a column of the other database would be a join.
    own = Profile.objects.filter(account=account).prefetch_related("places").first()
    if own is None:
        return JsonResponse({"error": "This account has no profile."}, status=404)
    places = [{"name": place.name, "address": place.address} for place in own.places.all()]
    return JsonResponse({"display_name": own.display_name, "places": places})
