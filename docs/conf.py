"""Configuration of the documentation: Sphinx with MyST pages, built without any network."""

import tomllib
from pathlib import Path

import django
from django.conf import settings

from appdb_router import build_databases

_PYPROJECT = Path(__file__).resolve().parent.parent / "pyproject.toml"
_METADATA = tomllib.loads(_PYPROJECT.read_text(encoding="utf-8"))["project"]

# Modules with models can be imported in a project only.
_APPS = ["appdb_router"]
settings.configure(
    INSTALLED_APPS=_APPS,
    DATABASES=build_databases(
        _APPS, base_dir=_PYPROJECT.parent, default="sqlite:///:memory:", env={}
    ),
)
django.setup()

project = _METADATA["name"]
release = version = _METADATA["version"]
html_title = f"{project} {release}"

extensions = ["myst_parser", "sphinx.ext.autodoc"]
exclude_patterns = ["_build"]
html_theme = "furo"
# The slugs by which GitHub links to headings, so that one link works in both places.
myst_heading_anchors = 3
# Pages include parts of README.md, whose headings are one level deeper than those of a page.
suppress_warnings = ["myst.header"]

autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
# One parameter a line where a signature with its types is longer than a line of code.
python_maximum_signature_line_length = 100
