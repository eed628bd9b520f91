"""Contracts and versions of code are found by search. The index is made anew, since the stored events name them."""

from alembic import op

from assay.lineage.store.migrations.versions.step_0005_derivations import INDEX

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for table in (*_LABELS, *INDEX):
        op.execute(f"DELETE FROM {table}")


_LABELS = ("label_words", "words", "labels", "label_sets")
