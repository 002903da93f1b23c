"""Columns for what the changed routes of a window have in common."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

COLUMNS = ("moved_together", "lost_together")


def upgrade() -> None:
    with op.batch_alter_table("feature_windows", table_kwargs={"sqlite_autoincrement": True}) as table:
        for name in COLUMNS:
            table.add_column(sa.Column(name, sa.BigInteger(), nullable=False, server_default="0"))


def downgrade() -> None:
    with op.batch_alter_table("feature_windows", table_kwargs={"sqlite_autoincrement": True}) as table:
        for name in reversed(COLUMNS):
            table.drop_column(name)
