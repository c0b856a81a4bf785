"""What a type checker knows of repositories: checked, and never run."""

from typing import assert_type

from django.db.models import QuerySet

from appdb_router.repositories import BaseRepository
from apps.auth.models import User
from apps.auth.repositories import UserRepository
from apps.driver.models import Driver


class DriverRepository(BaseRepository[Driver]):
    model = Driver
    app_name = "driver"


def of_a_class_with_a_label(drivers: DriverRepository) -> None:
    assert_type(drivers.model, type[Driver])
    assert_type(drivers.get(1), Driver)


def of_rows(users: UserRepository) -> None:
    assert_type(users.get(1), User)
    assert_type(users.get(username="ann"), User)
    assert_type(users.find(username="ann"), User | None)
    assert_type(users.list(), list[User])
    assert_type(users.queryset(), QuerySet[User])
    assert_type(users.exists(), bool)
    assert_type(users.count(), int)
    assert_type(users.alias, str)
    assert_type(users.app_name, str | None)


def of_changes(users: UserRepository, user: User) -> None:
    assert_type(users.add(user), User)
    assert_type(users.add_all([user]), list[User])
    assert_type(users.update(1, username="ann"), User)
    assert_type(users.update(user, username="ann"), User)
    with users.transaction():
        users.delete(user)


async def of_twins(users: UserRepository, user: User) -> None:
    assert_type(await users.aget(1), User)
    assert_type(await users.aget(username="ann"), User)
    assert_type(await users.afind(username="ann"), User | None)
    assert_type(await users.alist(), list[User])
    assert_type(await users.aexists(), bool)
    assert_type(await users.acount(), int)
    assert_type(await users.aadd(user), User)
    assert_type(await users.aadd_all([user]), list[User])
    assert_type(await users.aupdate(1, username="ann"), User)
    await users.adelete(user)


def of_mistakes(users: UserRepository, driver: Driver) -> None:
    # Each ignored error must be there: an ignore without one is an error itself.
    users.add(driver)  # type: ignore[arg-type]
    users.add_all([driver])  # type: ignore[list-item]
    users.get(1, 2)  # type: ignore[call-overload]
