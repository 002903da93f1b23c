"""Counts and deletes rows. `bgpdrift.store.retention` decides which rows expire."""

from sqlalchemy import Select, delete, func, select

from bgpdrift.errors import StoreError
from bgpdrift.store import schema
from bgpdrift.store.database import Database

AGE_COLUMNS: dict[str, str] = {
    "feature_windows": "window_start",
    "scores": "window_start",
    "hourly_histograms": "hour_start",
    "verdicts": "window_start",
    "incidents": "closed_at",
    "outcomes": "ends_at",
    "performance_metrics": "day_start",
    "drift_metrics": "timestamp",
    "retrain_requests": "requested_at",
    "model_retrain_events": "finished_at",
    "approvals": "answered_at",
    "alerts": "at",
    "service_events": "at",
}
"""The column that determines the age of a row. Rows where it is NULL (an open incident, an unanswered approval request) do
not expire. Events of incidents and signals of drift checks are deleted with them; model versions and cursors stay."""


class UpkeepQueries(Database):
    """Row counts and batched deletes."""

    def counts(self) -> dict[str, int]:
        """Count the rows of every table; reads whole indexes, so not for a loop."""
        tables = schema.metadata.sorted_tables
        with self.reading() as connection:
            return {
                table.name: int(connection.execute(select(func.count()).select_from(table)).scalar_one())
                for table in tables
            }

    def delete_expired(self, table: str, before: float, batch: int) -> int:
        """Delete at most ``batch`` rows older than ``before`` in one short transaction.

        Parameters
        ----------
        table : str
            A key of `AGE_COLUMNS`.
        before : float
            Epoch seconds, compared with that column.
        batch : int
            Largest number of rows to delete, which limits the wait of other writers. Call again until it returns less.

        Returns
        -------
        int
            Rows deleted, without those that went with them.
        """
        if table not in AGE_COLUMNS:
            raise StoreError(f"{table}: expected one of {', '.join(AGE_COLUMNS)}, whose rows may expire")
        target = schema.metadata.tables[table]
        age = target.c[AGE_COLUMNS[table]]
        expired: Select[tuple[int]] = select(target.c.id).where(age < before)
        if table == "incidents":
            newest = select(func.max(target.c.id)).scalar_subquery()
            expired = expired.where(target.c.id != newest, target.c.state == "closed")
        with self.writing() as connection:
            chosen = expired.order_by(age).limit(batch).scalar_subquery()
            return connection.execute(delete(target).where(target.c.id.in_(chosen))).rowcount
