"""How far an index that is made anew has come."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "unread",
        sa.Column("until", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("done", sa.BigInteger, nullable=False),
    )
