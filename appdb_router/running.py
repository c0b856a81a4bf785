"""Whether this process runs tests: nowhere else may an app's database be made up."""

import sys

__all__ = ["declare_test_run"]

_is_declared = False


def declare_test_run() -> None:
    """Say that this process is going to run tests; call it before the settings are loaded.

    ``manage.py test`` and pytest with the plugin need not say so. A script that starts a test
    runner itself does, or ``APPDB_REHEARSE`` is an error there.
    """
    global _is_declared
    _is_declared = True


def is_test_run() -> bool:
    """Tell whether this process runs tests: it has said so, or its command is Django's ``test``."""
    return _is_declared or sys.argv[1:2] == ["test"]
