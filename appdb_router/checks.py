"""System checks: what deserves a word, but need not stop the project at start-up."""

from collections.abc import Callable, Collection
from typing import Any

from django.apps import apps
from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.core.management import get_commands, load_command_class
from django.db import router
from django.utils.module_loading import import_string

from .conf import thread_count, worker_count
from .debug import ExceptionReporterFilter
from .management.database_option import NoDefaultDatabaseMixin
from .management.user_database import UserDatabaseMixin
from .routers import AppDatabaseRouter
from .services.budget import Budget, Limit, ServerBudget, connection_budget
from .topology import get_topology

_USER_COMMANDS = ("createsuperuser", "changepassword")
_DATA_COMMANDS = ("dumpdata", "flush", "loaddata")

# Tags.models: but for the last, none of these looks at a database, and Tags.database checks are not
# always run.


@register(Tags.models)
def check_router(**_kwargs: Any) -> list[CheckMessage]:
    """E001: the router is not installed."""
    if any(isinstance(installed, AppDatabaseRouter) for installed in router.routers):
        return []
    return [
        Error(
            "DATABASE_ROUTERS has no AppDatabaseRouter, so every query goes to the default"
            " database.",
            hint="Add 'appdb_router.routers.AppDatabaseRouter' to DATABASE_ROUTERS.",
            id="appdb_router.E001",
        )
    ]


@register(Tags.models)
def check_commands(**_kwargs: Any) -> list[CheckMessage]:
    """E002: another app's command takes the place of one of this package."""
    wanted = dict.fromkeys(_DATA_COMMANDS, "any app that has this command")
    if apps.is_installed("django.contrib.auth"):
        wanted |= dict.fromkeys(_USER_COMMANDS, "'django.contrib.auth'")
    commands = {name: load_command_class(get_commands()[name], name) for name in wanted}
    return [
        Error(
            f"The command {name!r} of {type(command).__module__!r} is used, which works on the"
            " default database.",
            hint=f"Put 'appdb_router' before {wanted[name]} in INSTALLED_APPS, or derive the"
            f" command from that in appdb_router.management.commands.{name}.",
            id="appdb_router.E002",
        )
        for name, command in commands.items()
        if not isinstance(command, UserDatabaseMixin | NoDefaultDatabaseMixin)
    ]


@register(Tags.models)
def check_findings(**_kwargs: Any) -> list[CheckMessage]:
    """W001 to W004: what settings time noticed."""
    return [_FINDINGS[finding["kind"]](finding) for finding in get_topology().findings]


@register(Tags.models)
def check_exception_filter(**_kwargs: Any) -> list[CheckMessage]:
    """W005: the debug page would show database URLs and passwords."""
    reporter_filter = import_string(settings.DEFAULT_EXCEPTION_REPORTER_FILTER)
    if issubclass(reporter_filter, ExceptionReporterFilter):
        return []
    return [
        Warning(
            "Django's debug page and error mails can show the passwords of databases: in"
            " environment variables, and in the frames of a failed connection.",
            hint="Set DEFAULT_EXCEPTION_REPORTER_FILTER ="
            " 'appdb_router.debug.ExceptionReporterFilter'.",
            id="appdb_router.W005",
        )
    ]


@register(Tags.database)
def check_connections(
    databases: Collection[str] | None = None, **_kwargs: Any
) -> list[CheckMessage]:
    """W006 and W007: more connections than half of what a server allows; a server that is silent.

    The servers of ``databases`` are asked, and no other.
    """
    if not databases:
        return []
    budget = connection_budget(worker_count(), thread_count(), asked=databases)
    found: list[CheckMessage] = []
    for server in budget.servers:
        found += [_too_many(server, limit, budget) for limit in server.limits if limit.is_excessive]
        found += [_not_asked(alias, error) for alias, error in server.errors.items()]
    return found


def _too_many(server: ServerBudget, limit: Limit, budget: Budget) -> CheckMessage:
    return Warning(
        f"{server.describe(limit)} Above half, a release can fail while old and new processes run"
        " side by side.",
        hint="Make pools smaller, run fewer workers or threads, or raise the limit. 'manage.py"
        f" db_list --connections' shows each database. WORKERS is {budget.workers} and THREADS is"
        f" {budget.threads} in APPDB_ROUTER or by default.",
        id="appdb_router.W006",
    )


def _not_asked(alias: str, error: str) -> CheckMessage:
    return Warning(
        f"The server of {alias!r} could not be asked how many connections it allows: {error}",
        hint=f"Run 'manage.py check --database {alias}' when it answers.",
        id="appdb_router.W007",
    )


def _unmatched_variable(finding: dict[str, Any]) -> CheckMessage:
    return Warning(
        f"The environment variable {finding['name']!r} belongs to no installed app.",
        hint=f"If it is another service's, pass ignore=({finding['name']!r},) to"
        " build_databases(); if not, correct its name or install the app.",
        id="appdb_router.W001",
    )


def _unused_tuning(finding: dict[str, Any]) -> CheckMessage:
    return Warning(
        f"{finding['path']} tunes the database of {finding['label']!r}, which has none of its own.",
        hint="Give the app a database, or remove the tuning: it is not applied to the default,"
        " which all apps share. Tune that in the query of DATABASE_URL.",
        id="appdb_router.W002",
    )


def _no_pool(finding: dict[str, Any]) -> CheckMessage:
    names = ", ".join(finding["names"])
    return Warning(
        f"{names} of the database {finding['alias']!r} have no effect: {finding['engine']!r} has"
        " no pool.",
        hint="Remove them, or set OPTIONS as the engine wants them.",
        id="appdb_router.W003",
    )


def _untrusted_module(finding: dict[str, Any]) -> CheckMessage:
    return Warning(
        f"{finding['path']} names a database for {finding['label']!r}, and was not run: it lies"
        " outside of the project.",
        hint='If it is meant for this, pass trust=("the app\'s package",) to build_databases().',
        id="appdb_router.W004",
    )


_FINDINGS: dict[str, Callable[[dict[str, Any]], CheckMessage]] = {
    "variable": _unmatched_variable,
    "tuning": _unused_tuning,
    "pool": _no_pool,
    "untrusted": _untrusted_module,
}
