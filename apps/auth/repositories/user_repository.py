"""The repository of accounts: the one place that knows how they are asked for."""

from appdb_router.repositories import BaseRepository
from apps.auth.models import User


class UserRepository(BaseRepository[User]):
    model = User

    async def afind_active(self, username: str) -> User | None:
        return await self.afind(username=username, is_active=True)
