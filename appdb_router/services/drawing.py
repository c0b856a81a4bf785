"""A plan as a picture: apps in their databases, and the relations that would cross."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from .planning import Plan

__all__ = ["as_dot", "as_mermaid"]


@dataclass(frozen=True)
class _Edge:
    """The relations of an app to another one; those that cannot work have an edge of their own."""

    source: str
    target: str
    number: int
    works: bool

    def __str__(self) -> str:
        noun = "relation" if self.number == 1 else "relations"
        return f"{self.number} {noun}" if self.works else f"{self.number} cannot work"


def as_mermaid(plan: Plan) -> str:
    """Return ``plan`` as a flow chart of Mermaid: dotted lines are relations that cannot work."""
    lines = ["flowchart LR"]
    for alias, labels in _databases(plan):
        # With a prefix, because "end" and "default" are words of Mermaid.
        lines.append(f'    subgraph database_{alias}["{alias}"]')
        lines += [f'        app_{label}["{label}"]' for label in labels]
        lines.append("    end")
    for edge in _edges(plan):
        arrow = "-->" if edge.works else "-.->"
        lines.append(f'    app_{edge.source} {arrow}|"{edge}"| app_{edge.target}')
    return "\n".join(lines) + "\n"


def as_dot(plan: Plan) -> str:
    """Return ``plan`` in the language of Graphviz: dashed lines are relations that cannot work."""
    lines = ["digraph plan {", "    rankdir=LR;", "    node [shape=box];"]
    for alias, labels in _databases(plan):
        lines += [f'    subgraph "cluster_{alias}" {{', f'        label="{alias}";']
        lines += [f'        "{label}";' for label in labels]
        lines.append("    }")
    for edge in _edges(plan):
        style = "" if edge.works else ", style=dashed, color=red"
        lines.append(f'    "{edge.source}" -> "{edge.target}" [label="{edge}"{style}];')
    return "\n".join([*lines, "}"]) + "\n"


def _databases(plan: Plan) -> Iterator[tuple[str, list[str]]]:
    """Yield the databases with those of their apps that are split off, or have a relation."""
    shown = {label for part in plan.parts for label in part.labels}
    for crossing in plan.crossings:
        shown |= {crossing.label, crossing.target_label}
    for alias in sorted({plan.routes[label] for label in shown}):
        yield alias, sorted(label for label in shown if plan.routes[label] == alias)


def _edges(plan: Plan) -> Iterator[_Edge]:
    numbers = Counter(
        (item.label, item.target_label, item.obstacle is None) for item in plan.crossings
    )
    for (source, target, works), number in sorted(numbers.items()):
        yield _Edge(source, target, number, works)
