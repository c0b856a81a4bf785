"""The alias of an app: that of its database, which for an app in a move may change any time."""

from asgiref.sync import sync_to_async
from django.db.models import Model

from .moves.gate import current_alias
from .topology import get_topology, label_for


def alias_for(target: str | type[Model] | Model) -> str:
    """Return the alias to use for an app's label, a model, or an instance of a model.

    This is the alias that queries are routed to, whatever the environment has set:
    ``atomic(using=alias_for("driver"))``. For an instance it is the alias of its model, not the
    database that the instance happened to be loaded from.

    For an app in a move the source is asked: in a coroutine, await ``sync_to_async(alias_for)()``,
    or the event loop waits for the answer. Raises ``UnknownLabelError``, a ``LookupError``, if no
    such app is installed.
    """
    topology, label = get_topology(), label_for(target)
    move = topology.moves.get(label)
    if move is None or move.is_finalized:
        return topology.alias_of(label)
    return current_alias(move)


async def aalias_for(label: str) -> str:
    """Do what ``alias_for`` does, where the event loop does not wait."""
    if label in get_topology().moves:
        return await sync_to_async(alias_for)(label)
    return alias_for(label)
