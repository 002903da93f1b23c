"""Name tables, columns and states by the terms of the glossary; JSON values are upgraded when they are read."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

TABLES = (("retrain_triggers", "retrain_requests", "model"), ("notifications", "alerts", "key"))
"""Old name, new name and the indexed column."""
COLUMNS = (("retrain_requests", "refused_because", "refusal_reason"), ("approvals", "asked_at", "requested_at"))
STATES = (("retrain_requests", "wanted", "requested"), ("model_versions", "settled", "accepted"))


def upgrade() -> None:
    for old, new, column in TABLES:
        _rename_table(old, new, column)
    for table, old, new in COLUMNS:
        op.execute(f'ALTER TABLE {table} RENAME COLUMN "{old}" TO "{new}"')
    for table, old, new in STATES:
        _rename_state(table, old, new)


def downgrade() -> None:
    for table, old, new in STATES:
        _rename_state(table, new, old)
    for table, old, new in COLUMNS:
        op.execute(f'ALTER TABLE {table} RENAME COLUMN "{new}" TO "{old}"')
    for old, new, column in TABLES:
        _rename_table(new, old, column)


def _rename_table(before: str, after: str, indexed: str) -> None:
    op.drop_index(f"ix_{before}_{indexed}", table_name=before)
    op.rename_table(before, after)
    op.create_index(f"ix_{after}_{indexed}", after, [indexed])
    if op.get_bind().dialect.name == "postgresql":
        op.execute(f"ALTER INDEX pk_{before} RENAME TO pk_{after}")
        op.execute(f"ALTER SEQUENCE {before}_id_seq RENAME TO {after}_id_seq")


def _rename_state(table: str, before: str, after: str) -> None:
    state = sa.table(table, sa.column("state"))
    op.execute(state.update().where(state.c.state == before).values(state=after))
