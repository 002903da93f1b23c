"""Renames tables, columns, states, cursors and one JSON key of the detectors to the terms of the glossary.

The states of cursors, the reasons of retraining requests and the details of approvals and checks are upgraded when they
are read, see `bgpdrift.store.codec`.
"""

from typing import Any

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
CURSORS = (("loop:", "cooldown:"),)
"""Prefixes of names."""
KEYS = (
    ("scores", "rules_fired", "usual", "baseline"),
    ("scores", "top_features", "usual", "baseline"),
    ("verdicts", "evidence", "usual", "baseline"),
    ("incidents", "explanation", "usual", "baseline"),
)
"""Table, JSON column, old key and new key."""


def upgrade() -> None:
    for old, new, column in TABLES:
        _rename_table(old, new, column)
    for table, old, new in COLUMNS:
        op.execute(f'ALTER TABLE {table} RENAME COLUMN "{old}" TO "{new}"')
    for table, old, new in STATES:
        _rename_state(table, old, new)
    for old, new in CURSORS:
        _rename_cursors(old, new)
    for table, column, old, new in KEYS:
        _rename_key(table, column, old, new)


def downgrade() -> None:
    for table, column, old, new in KEYS:
        _rename_key(table, column, new, old)
    for old, new in CURSORS:
        _rename_cursors(new, old)
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


def _rename_cursors(before: str, after: str) -> None:
    cursors = sa.table("cursors", sa.column("name", sa.String()))
    name = sa.literal(after) + sa.func.substr(cursors.c.name, len(before) + 1)
    op.execute(cursors.update().where(cursors.c.name.like(f"{before}%")).values(name=name))


def _rename_key(table: str, column: str, before: str, after: str) -> None:
    # As text: the values are JSON that this program wrote, in which a quoted name before a colon is a key.
    rows = sa.table(table, sa.column(column, sa.JSON()))
    text = sa.cast(rows.c[column], sa.Text())
    renamed: sa.ColumnElement[Any] = sa.func.replace(text, f'"{before}":', f'"{after}":')
    if op.get_bind().dialect.name == "postgresql":
        renamed = sa.cast(renamed, sa.JSON())
    op.execute(rows.update().where(text.like(f'%"{before}":%')).values({column: sa.type_coerce(renamed, sa.Text())}))
