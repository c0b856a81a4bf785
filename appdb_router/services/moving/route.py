"""From where to where an app moves."""

from dataclasses import dataclass

from ...exceptions import MoveError, choices
from ...topology import get_topology

__all__ = ["MoveRoute", "route_of"]

# The exit code of a wrong option or setting.
_USAGE = 2


@dataclass(frozen=True)
class MoveRoute:
    """The move of ``labels``, a group that ``label`` leads, between two canonical aliases.

    ``is_late`` if the app lives in ``target`` already, by its settings: rows that were left behind
    are fetched.
    """

    label: str
    labels: tuple[str, ...]
    source: str
    target: str
    is_late: bool = False


def route_of(label: str, source: str | None = None, target: str | None = None) -> MoveRoute:
    """Return from where to where the app ``label`` moves, with its group.

    That is what its ``MOVE_FROM`` variable says, or else ``source``, an alias in which rows were
    left behind. ``target`` is only compared with what the settings say. Raises
    ``UnknownLabelError`` if no such app is installed, and ``MoveError``.
    """
    topology = get_topology()
    labels = topology.group_of(label)
    move = topology.moves.get(label)
    home = move.target if move else topology.alias_of(label)
    giver = source or (move.source if move else None)
    if giver is None:
        prefix = labels[0].upper()
        raise MoveError(
            f"Nothing says where {label!r} moves from. Beside {prefix}_DATABASE_URL, set"
            f" {prefix}_DATABASE_MOVE_FROM to the alias that its rows are in, such as 'default',"
            " and deploy that first; or fetch rows that were left behind, with --from.",
            _USAGE,
        )
    for alias in (giver, target or home):
        if alias not in topology.canonical_aliases:
            known = map(str, topology.canonical_aliases)
            raise MoveError(
                f"There is no database {alias!r}. Choose from {choices(known)}.", _USAGE
            )
    route = MoveRoute(
        labels[0],
        labels,
        topology.canonical_of(giver),
        topology.canonical_of(target or home),
        is_late=move is None,
    )
    if route.target != home or (move and route.source != move.source):
        says = f"from {move.source!r} to {home!r}" if move else f"in {home!r}"
        raise MoveError(
            f"{label!r} cannot move from {giver!r} to {target or home!r}: by its settings it is"
            f" {says}. They decide where its queries go, so change them first.",
            _USAGE,
        )
    if route.source == route.target:
        raise MoveError(f"{label!r} is in {route.target!r} already.", _USAGE)
    return route
