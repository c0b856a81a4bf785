"""View decorators for the JSON views of every app."""

from collections.abc import Callable
from functools import wraps

from django.http import HttpRequest, JsonResponse

from apps.auth.models import User


def account_required(
    view: Callable[[HttpRequest, User], JsonResponse],
) -> Callable[[HttpRequest], JsonResponse]:
    """Hand the signed-in account to the view; answer 401 to anybody else."""

    @wraps(view)
    def wrapper(request: HttpRequest) -> JsonResponse:
        if not isinstance(request.user, User):
            return JsonResponse({"error": "Sign in first."}, status=401)
        return view(request, request.user)

    return wrapper
