"""Asking before a repair."""

from collections.abc import Iterable

from django.core.management.base import CommandError

from ..services.repairing import plan_repairs
from ..terminal import Terminal


def confirmed_repairs(
    aliases: Iterable[str], terminal: Terminal | None, *, interactive: bool
) -> dict[str, set[str]]:
    """Return the apps to repair, by alias, after showing on ``terminal`` what that means.

    If ``interactive``, the answer has to be yes. Raises ``CommandError``.
    """
    repairs = plan_repairs(aliases)
    if terminal is not None:
        for item in repairs:
            terminal.write(str(item))
    labels: dict[str, set[str]] = {}
    for item in repairs:
        if not item.refusal:
            labels.setdefault(item.alias, set()).add(item.gap.label)
    if labels and interactive and not _says_yes():
        raise CommandError("Nothing was changed. '--noinput' repairs without asking.", returncode=1)
    return labels


def _says_yes() -> bool:
    try:
        return input("Repair? [y/N] ").strip().lower() in {"y", "yes"}
    except EOFError:
        return False
