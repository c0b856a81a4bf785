"""``flush``, of a database that is named."""

from typing import Any

from django.core.management.base import CommandError
from django.core.management.commands import flush

from ..database_option import NoDefaultDatabaseMixin, all_aliases


class Command(NoDefaultDatabaseMixin, flush.Command):
    """Django's command, which would empty ``default`` and nothing else."""

    without_database = "May be left out if there is one only."

    def handle(self, **options: Any) -> None:
        """Empty one database."""
        if options["database"] is None:
            aliases = all_aliases()
            if len(aliases) > 1:
                raise CommandError(
                    "There are several databases, and none was named. Choose with --database from"
                    f" {', '.join(map(repr, aliases))}."
                )
            options["database"] = aliases[0]
        super().handle(**options)
