"""The router: one dictionary look-up a call."""

from collections.abc import Callable
from typing import Any

from django.db.models import Model

from .moves.gate import routes_in
from .relations.homes import OWN_LABEL, are_related
from .topology import Topology, subscribe

__all__ = ["AppDatabaseRouter"]


class AppDatabaseRouter:
    """Sends each model to the database of its app.

    ``topology`` is by default the one in effect, see ``get_topology``. For the label of an
    installed app the answer is always a definite alias, ``default`` included: with no answer Django
    would follow ``instance._state.db``, which for ``trip.rider`` is the database of the trip. Only
    for an app in a move is more done: its source is asked.
    """

    db_for_read: Callable[..., str | None]
    db_for_write: Callable[..., str | None]
    _topology: Topology

    def __init__(self, topology: Topology | None = None) -> None:
        alias_of: Callable[[str], str | None] = str

        def follow(*, topology: Topology, **_kwargs: Any) -> None:
            # One assignment to a variable of the functions below: no other thread sees a half.
            nonlocal alias_of
            self._topology = topology
            # Without a move it is ``topology.routes.get``.
            alias_of = routes_in(topology)

        def db_for_model(model: type[Model], **_hints: Any) -> str | None:
            # What ``label_of`` does, without the call: this runs for every query.
            try:
                label = model._meta.concrete_model._meta.app_label  # type: ignore[union-attr]
            except AttributeError:
                label = model._meta.app_label
            return alias_of(label)

        if topology is None:
            self._follow = follow
            subscribe(follow)
        else:
            follow(topology=topology)
        # A function on the instance saves binding a method, a sixth of the whole call.
        self.db_for_read = self.db_for_write = db_for_model

    def allow_relation(self, obj1: Model, obj2: Model, **_hints: Any) -> bool | None:
        """Allow a relation within a physical database, or where some field joins the two models.

        No database checks the latter, see the warnings of ``manage.py check``. Of a database that
        was added by hand nothing is known, so Django decides.
        """
        left, right = obj1._state.db, obj2._state.db
        if left is not None and left == right:
            return True
        # ``__class__``, not ``type()``: ``request.user`` is a lazy object in the shape of a user.
        model1, model2 = obj1.__class__, obj2.__class__
        left, right = left or self.db_for_read(model1), right or self.db_for_read(model2)
        canonical = self._topology.canonical_aliases
        if left not in canonical or right not in canonical:
            return None
        return canonical[left] == canonical[right] or are_related(model1, model2)

    def allow_migrate(
        self,
        db: str,
        app_label: str,
        model_name: str | None = None,  # noqa: ARG002  Django passes it by this name.
        **hints: Any,
    ) -> bool:
        """Allow an operation where the app's physical database is.

        While an app is moved it has two, with tables in both. Tables that belong to no installed
        app (a cache table, whose label is ``django_cache``) live on the default.
        """
        if "model" in hints:
            meta = hints["model"]._meta
            try:
                app_label = meta.concrete_model._meta.app_label
            except AttributeError:
                app_label = meta.app_label
        if app_label == OWN_LABEL:
            # The tables of a move come and go with it.
            return "model" not in hints or hints["model"]._meta.managed
        return self._topology.has_tables(app_label, db)
