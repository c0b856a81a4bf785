"""What a move says of itself in words."""

from __future__ import annotations

from tests.support.facts import ask
from tests.support.project import Project


def test_texts(project: Project) -> None:
    facts = ask(
        project,
        """
        from appdb_router.management.move_text import duration, plan_lines
        from appdb_router.models import Move, MovedChunk, MovedTableState, RowChange
        from appdb_router.services.moving.preflight import MovePlan

        plan = MovePlan("a", ("a", "b"), "default", "a", is_online=True, failures=("It is down.",))
        fact("plan")(lambda: list(plan_lines(plan)))
        fact("durations")(lambda: [duration(number) for number in (0.2, 89, 90, 5399, 5400)])
        ends = {"source": "default", "target": "a"}
        fact("rows")(lambda: [
            str(item) for item in (
                Move(label="a", phase="copying", home="source", **ends),
                Move(label="a", phase="moved", home="target", **ends),
                MovedTableState(table="a_b", is_copied=True),
                MovedTableState(table="a_b"),
                MovedChunk(table="a_b", number=3, rows=20),
                RowChange(table="a_b", key='["1"]'),
                RowChange(table="a_b"),
            )
        ])
        """,
    )

    assert facts == {
        "plan": ["a, b: from default to a, while the app writes", "In the way: It is down."],
        "durations": ["1 seconds", "89 seconds", "2 minutes", "90 minutes", "1.5 hours"],
        "rows": [
            "a: copying, at home in default",
            "a: moved, at home in a",
            "a_b: copied",
            "a_b: being copied",
            "a_b 3: 20 rows",
            'a_b ["1"]',
            "a_b *",
        ],
    }
