"""The models of all apps as migrations left them: what receivers of Django's signals are given."""

import threading
from typing import Any

from django.apps import apps
from django.db.migrations.state import ModelState, ProjectState

from .executing import AppExecutor
from .loading import Key

_lock = threading.Lock()
# Rendering is the most of what migrating costs, and databases are mostly in the same state. Only
# the newest two are kept: before migrating, and behind it.
_rendered: dict[frozenset[Key], Any] = {}
_KEPT = 2


def rendered_apps(executor: AppExecutor) -> Any:
    """Return the registry of the models after the migrations that are applied now."""
    key = executor.applied_keys()
    with _lock:
        if key not in _rendered:
            while len(_rendered) >= _KEPT:
                del _rendered[next(iter(_rendered))]
            _rendered[key] = _render(executor.state_after(executor.applied()))
        return _rendered[key]


def _render(state: ProjectState) -> Any:
    found = state.apps
    # As Django does: models of apps without migrations were rendered before those they relate to.
    with found.bulk_update():
        keys = [(item.app_label, item.name_lower) for item in found.real_models]
        for key in keys:
            found.unregister_model(*key)
    found.render_multiple([ModelState.from_model(apps.get_model(*key)) for key in keys])
    return found
