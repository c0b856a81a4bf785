"""What has to be written down beside the data of each database."""

from typing import ClassVar

from django.db import models

from .fields import JSONTextField


class PendingDeletion(models.Model):
    """Rows of this database that are gone, and the relations by which others belonged to them.

    ``values`` is what ``relations``, each ``app.Model.field``, referred to. It is written in the
    transaction that deletes the rows, and goes when the other databases have followed.
    """

    id = models.BigAutoField(primary_key=True)
    values = JSONTextField()
    relations = JSONTextField()
    created = models.DateTimeField(auto_now_add=True)

    class Meta:  # noqa: D106
        db_table = "appdb_router_pending_deletion"
        # Nobody edits it, so there is nothing to permit.
        default_permissions: ClassVar[tuple[str, ...]] = ()

    def __str__(self) -> str:
        return f"{len(self.values)} rows deleted, for {', '.join(self.relations)}"
