"""Commands of Django that work on users, sent to the database where users live."""

from argparse import ArgumentParser

from django.contrib.auth import get_user_model

from ..aliases import alias_for


class UserDatabaseMixin:
    """Makes the user model's database the default of ``--database``."""

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Define the options of Django's command, with another default."""
        super().add_arguments(parser)  # type: ignore[misc]
        alias = alias_for(get_user_model())
        parser.set_defaults(database=alias)
        for action in parser._actions:
            if action.dest == "database":
                action.help = f'Specifies the database to use. Default is "{alias}".'
