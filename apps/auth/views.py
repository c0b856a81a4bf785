"""JSON views of accounts: one synchronous, one asynchronous."""

from typing import Any

from django.http import HttpRequest, JsonResponse
from django.views.decorators.http import require_http_methods, require_safe

from apps.auth.decorators import account_required
from apps.auth.models import User
from apps.auth.services import close, look_up


@require_http_methods(["GET", "DELETE"])
@account_required
def own_account(request: HttpRequest, account: User) -> JsonResponse:
    if request.method == "DELETE":
        account = close(account)
    return JsonResponse({**_as_json(account), "active": account.is_active})


@require_safe
async def other_account(request: HttpRequest, username: str) -> JsonResponse:
    if not (await request.auser()).is_authenticated:
        return JsonResponse({"error": "Sign in first."}, status=401)
    account = await look_up(username)
    if account is None:
        return JsonResponse({"error": "There is no such account."}, status=404)
    return JsonResponse(_as_json(account))


def _as_json(account: User) -> dict[str, Any]:
    return {"username": account.username, "name": account.get_full_name()}
