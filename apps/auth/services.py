"""What the accounts app does, for its views and for other code alike."""

from apps.auth.models import User
from apps.auth.repositories import UserRepository

users = UserRepository()


def close(account: User) -> User:
    """Take away an account's access and its groups: both or neither."""
    with users.transaction():
        account.groups.clear()
        return users.update(account, is_active=False)


async def look_up(username: str) -> User | None:
    """Return an account in use; a closed one counts as gone."""
    return await users.afind_active(username)
