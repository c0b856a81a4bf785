"""Times building the settings in one process: `python -m benchmarks.building FOLDER SIZE VARIANT`.

The time is the processor's, the kernel's work for reading files included. Neither Django's settings
nor models are imported, as a settings module has not imported them when it begins.
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from time import thread_time
from typing import Any

from . import generated

VARIABLES = "a variable each"
NOTHING = "all on the default"
MODULES = "a database.py each"
BY_HAND = "dj_database_url.parse"
VARIANTS = (VARIABLES, NOTHING, MODULES, BY_HAND)

IMPORT, COLD, WARM = "import", "cold", "warm"
WARM_CALLS = 5


def cell(variant: str, size: int, state: str) -> str:
    """Return the name of the case that builds the settings of ``size`` apps."""
    return f"{variant}, {size} apps: {state}"


def main() -> None:
    """Print the seconds per app as JSON: of the import, of the first call, of some more calls."""
    folder, count, variant = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    sys.path.insert(0, str(folder))
    started = thread_time()
    build = by_hand(count) if variant == BY_HAND else with_builder(folder, count, variant)
    seconds = {IMPORT: [thread_time() - started], COLD: [timed(build)]}
    seconds[WARM] = [timed(build) for _ in range(WARM_CALLS)]
    values = {
        # The import is paid once, whatever the number of apps.
        cell(variant, count, state): [item / (1 if state == IMPORT else count) for item in items]
        for state, items in seconds.items()
    }
    print(json.dumps(values))


def with_builder(folder: Path, count: int, variant: str) -> Callable[[], Any]:
    """Import and prepare a call of ``build_databases``."""
    from appdb_router import build_databases

    entries = generated.entries(count)
    env = generated.variables(count) if variant == VARIABLES else {}
    return lambda: build_databases(entries, base_dir=folder, default=generated.DEFAULT_URL, env=env)


def by_hand(count: int) -> Callable[[], Any]:
    """Import and prepare as many calls of ``dj_database_url.parse``."""
    import dj_database_url

    urls = {label: generated.url(label) for label in generated.labels(count)}
    return lambda: {label: dj_database_url.parse(url) for label, url in urls.items()}


def timed(call: Callable[[], Any]) -> float:
    """Return the seconds that a call takes."""
    started = thread_time()
    call()
    return thread_time() - started


if __name__ == "__main__":
    main()
