"""Where this package reaches into Django for relations across databases: all places, by name.

Each hook is a function that is given what it replaces, calls it for whatever does not cross, and
has the same parameters. They are installed only where there are several databases.
"""

from threading import Lock

from django.apps import apps

from ..hooking import Feature, Hook, forget_managers, install
from ..topology import Topology
from . import deleting, generic, joins, many_to_many, prefetching, schema, selecting

_RELATIONS = Feature("relations across databases", "keep all apps in one database")
_RELATED = "django.db.models.fields.related_descriptors"

_ALWAYS = (
    Hook(
        _RELATIONS,
        "django.db.backends.base.base.BaseDatabaseWrapper",
        "schema_editor",
        schema.schema_editor,
        ("self", "args", "kwargs"),
    ),
    Hook(
        _RELATIONS,
        "django.db.backends.base.schema",
        "_related_non_m2m_objects",
        schema.related_non_m2m_objects,
        ("old_field", "new_field"),
    ),
    Hook(
        _RELATIONS,
        "django.db.models.sql.compiler",
        "select_related_descend",
        selecting.descend,
        ("field", "restricted", "requested", "select_mask"),
    ),
    Hook(
        _RELATIONS,
        "django.db.models.sql.compiler.SQLCompiler",
        "get_related_selections",
        selecting.related_selections,
        (
            *("self", "select", "select_mask", "opts", "root_alias"),
            *("cur_depth", "requested", "restricted"),
        ),
    ),
    Hook(
        _RELATIONS,
        "django.db.models.query.ModelIterable",
        "__iter__",
        selecting.model_iterable,
        ("self",),
    ),
    Hook(
        _RELATIONS,
        "django.db.models.query",
        "prefetch_one_level",
        prefetching.prefetch_one_level,
        ("instances", "prefetcher", "lookup", "level"),
    ),
    Hook(
        _RELATIONS,
        "django.db.models.sql.compiler.SQLCompiler",
        "get_from_clause",
        joins.from_clause,
        ("self",),
    ),
    Hook(
        _RELATIONS,
        "django.db.models.sql.compiler.SQLCompiler",
        "get_combinator_sql",
        joins.combinator_sql,
        ("self", "combinator", "all"),
    ),
    Hook(
        _RELATIONS,
        _RELATED,
        "create_forward_many_to_many_manager",
        many_to_many.many_to_many_manager,
        ("superclass", "rel", "reverse"),
    ),
    Hook(
        _RELATIONS,
        "django.db.models.deletion.Collector",
        "related_objects",
        deleting.related_objects,
        ("self", "related_model", "related_fields", "objs"),
    ),
    Hook(
        _RELATIONS,
        "django.db.models.deletion.Collector",
        "delete",
        deleting.delete,
        ("self",),
    ),
)
_FOR_CONTENT_TYPES = (
    Hook(
        _RELATIONS,
        "django.contrib.contenttypes.models.ContentTypeManager",
        "db_manager",
        generic.content_type_manager,
        ("self", "using", "hints"),
    ),
    Hook(
        _RELATIONS,
        "django.contrib.contenttypes.models.ContentType",
        "get_object_for_this_type",
        generic.object_for_this_type,
        ("self", "using", "kwargs"),
    ),
    Hook(
        _RELATIONS,
        "django.contrib.contenttypes.fields.GenericRelation",
        "bulk_related_objects",
        generic.bulk_related_objects,
        ("self", "objs", "using"),
    ),
)
_lock = Lock()
_installed = False


def hooks() -> tuple[Hook, ...]:
    """Return the hooks for the apps that are installed."""
    has_content_types = apps.is_installed("django.contrib.contenttypes")
    return _ALWAYS + (_FOR_CONTENT_TYPES if has_content_types else ())


def install_for(*, topology: Topology, **_kwargs: object) -> None:
    """Install the hooks, once, if ``topology`` has several databases; a receiver of its changes.

    Raises ``ConfigurationError`` if Django has changed where it is hooked.
    """
    global _installed
    with _lock:
        if _installed or len(topology.canonical_databases()) < 2:
            return
        install(hooks())
        forget_managers()
        _installed = True
