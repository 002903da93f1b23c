"""`Store` has all queries on one database; `open_store` opens it and checks its schema.

This module decides whether a database may be used. It does not load Alembic: `bgpdrift.store.migrate` does, and only if a
migration is necessary.
"""

from pathlib import Path

from sqlalchemy import inspect, text

from bgpdrift.clock import Clock
from bgpdrift.errors import StoreError, StoreFileError
from bgpdrift.store.drift import DriftQueries
from bgpdrift.store.engine import make_engine, parse_url, shown, sqlite_path
from bgpdrift.store.errors_map import translated
from bgpdrift.store.histograms import HistogramQueries
from bgpdrift.store.incidents import IncidentQueries
from bgpdrift.store.models import ModelQueries
from bgpdrift.store.revisions import explain_revision
from bgpdrift.store.scores import ScoreQueries
from bgpdrift.store.time_reset import TimeResetQueries
from bgpdrift.store.upkeep import UpkeepQueries
from bgpdrift.store.verdicts import VerdictQueries
from bgpdrift.store.windows import WindowQueries


class Store(
    WindowQueries,
    ScoreQueries,
    VerdictQueries,
    IncidentQueries,
    HistogramQueries,
    ModelQueries,
    DriftQueries,
    UpkeepQueries,
    TimeResetQueries,
):
    """The database of bgpdrift: one object for each process. Threads may share it, forked children may not."""

    def schema_revision(self) -> str | None:
        """Read the revision Alembic left in the database; None if it is empty."""
        with self.reading() as connection:
            if not inspect(connection).has_table("alembic_version"):
                return None
            return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()

    def __enter__(self) -> "Store":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def open_store(url: str | Path, *, busy_timeout_s: float = 15.0, clock: Clock | None = None) -> Store:
    """Open a database that has the schema of this program.

    Parameters
    ----------
    url : str or Path
        The file of a SQLite database, or ``sqlite:///PATH`` or ``postgresql+psycopg://…``.
    busy_timeout_s : float
        How long a writer waits for another, seconds.
    clock : Clock, optional
        For the wall-clock columns of rows that leave them out.

    Raises
    ------
    StoreError
        There is no database, or its schema is older or newer than this program; the message names the repair.
    StoreBusyError
        Locked or away.
    """
    store = connect(url, busy_timeout_s=busy_timeout_s, clock=clock)
    try:
        problem = explain_revision(store.schema_revision())
        if not problem:
            store.remember_identity()
    except BaseException:
        store.close()
        raise
    if problem:
        store.close()
        raise StoreError(f"{store.name}: {problem}")
    return store


def connect(url: str | Path, *, busy_timeout_s: float = 15.0, clock: Clock | None = None) -> Store:
    """Open a database without a check of its schema, for `bgpdrift doctor`; services use `open_store`."""
    parsed = parse_url(url)
    path = sqlite_path(parsed)
    if path is not None and not path.is_file():
        raise StoreFileError(f"{path}: no database here; `bgpdrift doctor --migrate` creates it")
    with translated(shown(parsed)):
        return Store(make_engine(parsed, busy_timeout_s), clock)
