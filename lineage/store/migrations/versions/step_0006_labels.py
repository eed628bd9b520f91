"""The words by which datasets and jobs are found, and digests found by their beginning. The index is made anew."""

import sqlalchemy as sa
from alembic import op

from assay.lineage.store.migrations.versions.step_0005_derivations import INDEX

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    key = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table("label_sets", sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False))
    op.create_table(
        "labels",
        sa.Column("id", key, primary_key=True, autoincrement=True),
        sa.Column("kind", sa.SmallInteger, nullable=False),
        sa.Column("namespace", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.UniqueConstraint("namespace", "name", "kind", "text"),
    )
    op.create_index("ix_labels_kind", "labels", ["kind", "text"])
    op.create_table(
        "words",
        sa.Column("id", key, primary_key=True, autoincrement=True),
        sa.Column("word", sa.Text, nullable=False, unique=True),
    )
    op.create_table(
        "label_words",
        sa.Column("word_id", sa.BigInteger, sa.ForeignKey("words.id"), primary_key=True, autoincrement=False),
        sa.Column("label_id", sa.BigInteger, sa.ForeignKey("labels.id"), primary_key=True, autoincrement=False),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_dataset_versions_commit", "dataset_versions", ["commit_sha256"])
    op.create_index("ix_dataset_versions_version", "dataset_versions", ["version"])
    for table in INDEX:
        op.execute(f"DELETE FROM {table}")
