"""Writes to three databases at once: which there are, and what must come of them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from tests.support.load.client import Answer, Visit
from tests.support.load.project import LABELS, ThreeApps

VIEWS = ("write", "awrite")
TARGETS = (*((label,) for label in LABELS), LABELS)
# Of so many writes one is refused, and one abandoned; they have no factor in common with the
# number of views and targets, so every view and target has its share.
REFUSED, ABANDONED = 9, 23
# Seconds that a transaction stays open whose client goes away, and when that one does so.
PAUSE, PATIENCE = 0.3, 0.1


@dataclass(frozen=True)
class Write:
    """A row that a view is asked to write to each of some apps."""

    key: str
    view: str
    labels: Sequence[str]
    ending: Literal["stored", "refused", "abandoned"]

    @property
    def visit(self) -> Visit:
        """The request."""
        path = f"/{self.view}/{'+'.join(self.labels)}/{self.key}/"
        if self.ending == "abandoned":
            return Visit("POST", f"{path}?pause={PAUSE}", PATIENCE)
        return Visit("POST", f"{path}?refuse" if self.ending == "refused" else path)


def writes(prefix: str, number: int) -> Iterator[Write]:
    """Yield so many writes of rows whose keys begin with ``prefix``."""
    shapes = itertools.cycle(itertools.product(TARGETS, VIEWS))
    for position, (labels, view) in zip(range(1, number + 1), shapes, strict=False):
        ending: Literal["stored", "refused", "abandoned"] = "stored"
        if position % ABANDONED == 0:
            ending = "abandoned"
        elif position % REFUSED == 0:
            ending = "refused"
        yield Write(f"{prefix}-{position}", view, labels, ending)


def wrong_answers(
    apps: ThreeApps, planned: Sequence[Write], answers: Sequence[Answer]
) -> list[str]:
    """Return the answers that are not right, each with what was asked for."""
    by_visit = {write.visit: write for write in planned}
    return [
        f"{by_visit[answer.visit]}: {answer.status} {answer.body!r}"
        for answer in answers
        if not _is_right(apps, by_visit[answer.visit], answer)
    ]


def _is_right(apps: ThreeApps, write: Write, answer: Answer) -> bool:
    if write.ending == "abandoned":
        return answer.status is None
    if write.ending == "refused":
        return answer.status == 409
    names = {label: apps.names[label] for label in write.labels}
    # The database that was asked, and the one row that has the key, from the same database.
    body = {label: [name, [write.key, name]] for label, name in names.items()}
    return answer.status == 200 and bool(answer.body == body)


def wrong_rows(apps: ThreeApps, planned: Sequence[Write], answers: Sequence[Answer]) -> list[str]:
    """Return what is wrong with the rows in the databases: lost, in a wrong place, or too many.

    The rows of a request that was not answered may be there or not.
    """
    statuses = {answer.visit: answer.status for answer in answers}
    found = []
    for label in LABELS:
        asked = {write.key: write for write in planned if label in write.labels}
        rows = apps.rows(label)
        for key, place in rows:
            if key not in asked or place != apps.names[label]:
                found.append(f"{label}: a row {key!r} that {place!r} took")
            elif asked[key].ending == "refused":
                found.append(f"{label}: {key!r} was rolled back, and is there")
        keys = {key for key, _ in rows}
        for key, write in asked.items():
            if statuses[write.visit] == 200 and key not in keys:
                found.append(f"{label}: {key!r} was acknowledged, and is lost")
    return found
