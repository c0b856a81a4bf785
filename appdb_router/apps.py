"""The app's configuration."""

from typing import Any

from django.apps import AppConfig, apps
from django.db.models.signals import pre_migrate
from django.utils.translation import gettext_lazy as _

from . import circuit_handler, connection_handler, transaction_hooks
from .conf import circuit_options, guard_reaction, rehearsed_aliases
from .exceptions import ConfigurationError


class AppDatabaseRouterConfig(AppConfig):
    """Checks at start-up that the settings describe the apps that are really installed."""

    name = "appdb_router"
    verbose_name = _("App database router")

    def ready(self) -> None:
        """Compare the labels in the settings with those in the registry.

        System checks would be too late: they do not run under a WSGI server.
        Raises ``ConfigurationError``.
        """
        # Importing checks registers them, which needs the registry, as hooks do.
        from . import checks, relation_checks  # noqa: F401
        from .relations import hooks
        from .topology import get_topology, subscribe

        connection_handler.install()
        if get_topology().moves:
            from .moves.hooks import install_hooks

            # In front of the guard's, which look at who calls them.
            install_hooks()
        if options := circuit_options():
            circuit_handler.install(options)
        if reaction := guard_reaction():
            transaction_hooks.install(reaction)
        if rehearsed_aliases() is not None:
            # It needs Django's test framework, which nobody else has to load.
            from .rehearsal import hooking

            hooking.start()
        pre_migrate.connect(_prepare, sender=self)
        expected = set(get_topology().routes)
        installed = {config.label for config in apps.get_app_configs()}
        if expected != installed:
            raise ConfigurationError(
                "DATABASES was built for other apps than those installed. Only in the settings:"
                f" {sorted(expected - installed)}; only installed: {sorted(installed - expected)}."
                " Call build_databases() behind the last change of INSTALLED_APPS; for an"
                " AppConfig that computes its label, pass labels={entry: label}."
            )
        subscribe(hooks.install_for)


def _prepare(using: str, plan: list[tuple[Any, bool]] | None = None, **_kwargs: Any) -> None:
    """Make stock ``migrate`` and the test runner do what ``db_init`` does in front of migrations.

    The schema that a URL names is made, relations that cannot work are refused, as are migrations
    of an app that is being moved, and content types are renamed where they are. Django leaves the
    ``plan`` out when it flushes.
    """
    from .services.creating import ensure_schema
    from .services.crossing import refuse_crossing
    from .services.moving.refusing import refuse_moving
    from .services.renaming import add_renames

    refuse_moving(using, plan or ())
    refuse_crossing(using, plan or ())
    ensure_schema(using)
    add_renames(using, plan or ())
