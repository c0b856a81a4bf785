"""Repositories: the rows of one model, in the database of the model's app."""

import builtins
import sys
from collections.abc import Iterable
from typing import Any, Generic, TypeVar, overload

from asgiref.sync import sync_to_async
from django.db.models import Model, QuerySet
from django.db.transaction import Atomic, atomic

from .aliases import alias_for
from .detection import get_current_app
from .exceptions import ConfigurationError
from .topology import label_of

__all__ = ["BaseRepository"]

ModelT = TypeVar("ModelT", bound=Model)

# ``None`` is a primary key like any other: that of no row.
_MISSING: Any = object()


class BaseRepository(Generic[ModelT]):
    """The rows of ``model``, read and written in the database of its app, whatever that is.

    A subclass sets ``model``. ``app_name`` is the label of the app whose database is meant; it is
    by default the label of the model's app, and without a model that of the app whose folder holds
    the subclass. A proxy belongs to the app of its concrete model. Naming another app than the
    model's is a ``ConfigurationError`` when the subclass is defined, because a model lives where
    its app lives.

    A repository has no state: one instance serves all threads and tasks. Each method that runs a
    query has an asynchronous twin, whose name begins with ``a``. A twin runs the method itself, in
    the thread where Django runs the ORM for asynchronous code, so that overriding the method, or
    ``queryset()``, changes both.
    """

    model: type[ModelT]
    app_name: str | None = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if hasattr(cls, "model") and cls.app_name not in (None, label_of(cls.model)):
            raise ConfigurationError(
                f"{cls.__qualname__}.app_name is {cls.app_name!r}, but {cls.model._meta.label}"
                f" lives in the database of {label_of(cls.model)!r}: a model lives where its app"
                " lives, and a proxy where its concrete model does. Remove app_name, or set it to"
                f" {label_of(cls.model)!r}."
            )

    @property
    def alias(self) -> str:
        """The alias of the database, as ``alias_for`` gives it.

        Raises ``UnknownLabelError`` if no such app is installed, and ``ConfigurationError`` if
        nothing tells the app.
        """
        if self.app_name is not None:
            return alias_for(self.app_name)
        if hasattr(self, "model"):
            return alias_for(self.model)
        return alias_for(_label_by_file(type(self)))

    def queryset(self) -> QuerySet[ModelT]:
        """Return all rows: the default manager's, bound to the database.

        The methods below read through it: a subclass that filters here hides rows from all of them.
        """
        return self._model._default_manager.using(self.alias)

    def transaction(self, *, savepoint: bool = True, durable: bool = False) -> Atomic:
        """Return Django's ``atomic`` for the database: a context manager and a decorator.

        It has no asynchronous twin, because Django 5.2 to 6.1 has no asynchronous ``atomic``. Write
        what belongs together as one synchronous function, and await ``sync_to_async(function)()``.
        """
        return atomic(using=self.alias, savepoint=savepoint, durable=durable)

    @overload
    def get(self, pk: Any, /) -> ModelT: ...

    @overload
    def get(self, /, **lookups: Any) -> ModelT: ...

    def get(self, pk: Any = _MISSING, /, **lookups: Any) -> ModelT:
        """Return the one row that has this primary key, or that matches the lookups.

        Raises ``model.DoesNotExist`` or ``model.MultipleObjectsReturned``.
        """
        if pk is _MISSING:
            return self.queryset().get(**lookups)
        return self.queryset().get(pk=pk, **lookups)

    def find(self, **lookups: Any) -> ModelT | None:
        """Return the one row that matches, or ``None``.

        Raises ``model.MultipleObjectsReturned``.
        """
        try:
            return self.get(**lookups)
        # ``ObjectDoesNotExist`` would hide that another model's row is missing.
        except self._model.DoesNotExist:  # type: ignore[attr-defined]
            return None

    # ``builtins``, because inside of this class ``list`` is the method.
    def list(self, **filters: Any) -> builtins.list[ModelT]:
        """Return the rows that match, in the ordering of the model."""
        return [*self.queryset().filter(**filters)]

    def exists(self, **lookups: Any) -> bool:
        """Tell whether any row matches."""
        return self.queryset().filter(**lookups).exists()

    def count(self, **lookups: Any) -> int:
        """Return how many rows match."""
        return self.queryset().filter(**lookups).count()

    def add(self, instance: ModelT) -> ModelT:
        """Insert a row, and return the instance.

        Raises ``IntegrityError`` where ``save()`` would overwrite a row with the same primary key.
        """
        self._check(instance)
        instance.save(using=self.alias, force_insert=True)
        return instance

    def add_all(self, instances: Iterable[ModelT]) -> builtins.list[ModelT]:
        """Insert all rows or none, and return the instances.

        With ``bulk_create``: ``save()`` is not called, and no signals are sent.
        """
        rows = [*instances]
        for row in rows:
            self._check(row)
        return self.queryset().bulk_create(rows)

    def update(self, target: ModelT | Any, /, **values: Any) -> ModelT:
        """Set values of a row, given as an instance or its primary key; return the instance.

        ``save()`` is called and writes the named columns only.

        Raises ``model.DoesNotExist`` for a primary key that no row has, and ``DatabaseError`` for
        an instance whose row is gone.
        """
        instance = self._instance(target)
        for name, value in values.items():
            setattr(instance, name, value)
        instance.save(using=self.alias, update_fields=values)
        return instance

    def delete(self, target: ModelT | Any, /) -> None:
        """Delete a row, given as an instance or its primary key, by the model's ``delete()``.

        Raises ``model.DoesNotExist`` for a primary key that no row has.
        """
        self._instance(target).delete(using=self.alias)

    @overload
    async def aget(self, pk: Any, /) -> ModelT: ...

    @overload
    async def aget(self, /, **lookups: Any) -> ModelT: ...

    async def aget(self, /, *pk: Any, **lookups: Any) -> ModelT:
        """Do what ``get`` does."""
        return await sync_to_async(self.get)(*pk, **lookups)

    async def afind(self, **lookups: Any) -> ModelT | None:
        """Do what ``find`` does."""
        return await sync_to_async(self.find)(**lookups)

    async def alist(self, **filters: Any) -> builtins.list[ModelT]:
        """Do what ``list`` does."""
        return await sync_to_async(self.list)(**filters)

    async def aexists(self, **lookups: Any) -> bool:
        """Do what ``exists`` does."""
        return await sync_to_async(self.exists)(**lookups)

    async def acount(self, **lookups: Any) -> int:
        """Do what ``count`` does."""
        return await sync_to_async(self.count)(**lookups)

    async def aadd(self, instance: ModelT) -> ModelT:
        """Do what ``add`` does."""
        return await sync_to_async(self.add)(instance)

    async def aadd_all(self, instances: Iterable[ModelT]) -> builtins.list[ModelT]:
        """Do what ``add_all`` does."""
        return await sync_to_async(self.add_all)(instances)

    async def aupdate(self, target: ModelT | Any, /, **values: Any) -> ModelT:
        """Do what ``update`` does."""
        return await sync_to_async(self.update)(target, **values)

    async def adelete(self, target: ModelT | Any, /) -> None:
        """Do what ``delete`` does."""
        await sync_to_async(self.delete)(target)

    @property
    def _model(self) -> type[ModelT]:
        if not hasattr(self, "model"):
            raise ConfigurationError(
                f"{type(self).__qualname__} has no model. Set the class attribute model; without"
                " it only alias and transaction() can be used."
            )
        return self.model

    def _instance(self, target: ModelT | Any) -> ModelT:
        if isinstance(target, Model):
            return self._check(target)
        return self.get(target)

    def _check(self, instance: Model) -> ModelT:
        """Return an instance of the model; another model's would go to the wrong database."""
        if not isinstance(instance, self._model):
            raise TypeError(
                f"{type(self).__qualname__} takes instances of {self._model._meta.label}, not of"
                f" {instance._meta.label}. Use the repository of that model."
            )
        return instance


def _label_by_file(repository: type[BaseRepository[Any]]) -> str:
    """Return the label of the app whose folder holds the class."""
    path = getattr(sys.modules.get(repository.__module__), "__file__", None)
    label = path and get_current_app(path)
    if not label:
        raise ConfigurationError(
            f"{repository.__qualname__} has neither app_name nor model, and its module"
            f" {repository.__module__!r} is in the folder of no installed app. Set model, or"
            " app_name to the label of an app."
        )
    return label
