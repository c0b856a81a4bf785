"""``loaddata`` into the databases where the models live."""

from typing import Any

from django.core.management.base import CommandError
from django.core.management.commands import loaddata

from ...relations.homes import asked_home_of
from ...topology import get_topology, label_of
from ..database_option import NoDefaultDatabaseMixin, all_aliases


class Command(NoDefaultDatabaseMixin, loaddata.Command):
    """Django's command, which leaves out without a word what lives elsewhere."""

    without_database = "Default is every database, each for the models that live there."

    def save_obj(self, obj: Any) -> bool:
        """Save an object if it lives in the database at hand: an app in a move has two."""
        model = obj.object.__class__
        alias = get_topology().canonical_of(self.using)
        moves = get_topology().moves
        if label_of(model) in moves and asked_home_of(model) != alias:
            return False
        saved: bool = super().save_obj(obj)
        return saved

    def handle(self, *fixture_labels: str, **options: Any) -> None:
        """Load each object where it lives; each database has a transaction of its own."""
        if options["database"] is not None:
            super().handle(*fixture_labels, **options)
            return
        aliases = all_aliases()
        if len(aliases) > 1 and "-" in fixture_labels:
            raise CommandError(
                "What is read from a pipe can be read once, and there are several databases:"
                f" {', '.join(map(repr, aliases))}. Name one with --database, or load a file."
            )
        loaded = 0
        for alias in aliases:
            super().handle(*fixture_labels, **{**options, "database": alias, "verbosity": 0})
            loaded += self.loaded_object_count
        if options["verbosity"] >= 1:
            found = self.fixture_object_count
            of_all = "" if loaded == found else f" (of {found})"
            self.stdout.write(
                f"Installed {loaded} object(s){of_all} from {self.fixture_count} fixture(s)"
            )
