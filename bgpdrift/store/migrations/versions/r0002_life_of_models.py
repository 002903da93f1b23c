"""Columns for the life of a model: embeddings of scores, versions and kinds of events, and the time of a state."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("scores", table_kwargs={"sqlite_autoincrement": True}) as table:
        table.add_column(sa.Column("embedding", sa.JSON(), nullable=True))
        table.add_column(sa.Column("alarm_p", sa.Float(), nullable=True))
    with op.batch_alter_table("model_retrain_events", table_kwargs={"sqlite_autoincrement": True}) as table:
        table.add_column(sa.Column("version", sa.String(length=64), nullable=False, server_default=""))
        table.add_column(sa.Column("kind", sa.String(length=24), nullable=False, server_default="retrain"))
    with op.batch_alter_table("model_versions", table_kwargs={"sqlite_autoincrement": True}) as table:
        table.add_column(sa.Column("state_at", sa.BigInteger(), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("model_versions", table_kwargs={"sqlite_autoincrement": True}) as table:
        table.drop_column("state_at")
    with op.batch_alter_table("model_retrain_events", table_kwargs={"sqlite_autoincrement": True}) as table:
        table.drop_column("kind")
        table.drop_column("version")
    with op.batch_alter_table("scores", table_kwargs={"sqlite_autoincrement": True}) as table:
        table.drop_column("alarm_p")
        table.drop_column("embedding")
