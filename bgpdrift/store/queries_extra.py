"""Queries other parts asked for; add yours as a method at the END of the class, with a contract test."""

from sqlalchemy import Table, func, select

from bgpdrift.store.database import Database


class ExtraQueries(Database):
    """Queries that belong to no other file yet."""

    def newest(self, table: Table) -> int | None:
        """Give the youngest ``window_start`` in a table of windows, scores or verdicts; None if it is empty."""
        value = self.rows(select(func.max(table.c.window_start).label("value")))[0]["value"]
        return None if value is None else int(value)

    def newest_id(self, table: Table) -> int | None:
        """Give the largest row number of a table; None if it is empty."""
        value = self.rows(select(func.max(table.c.id).label("value")))[0]["value"]
        return None if value is None else int(value)
