"""``dumpdata`` from the database where the models live."""

from typing import Any

from django.core.management.commands import dumpdata

from ..database_option import NoDefaultDatabaseMixin, only_home


class Command(NoDefaultDatabaseMixin, dumpdata.Command):
    """Django's command, which leaves out without a word what lives elsewhere."""

    without_database = "Default is the one where the models live; in several, an error."

    def handle(self, *app_labels: str, **options: Any) -> None:
        """Dump the models, from one database."""
        if options["database"] is None:
            options["database"] = only_home(app_labels, options["exclude"])
        super().handle(*app_labels, **options)
