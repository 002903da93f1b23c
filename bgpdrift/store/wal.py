"""Keeps SQLite's write-ahead log short, also if readers overlap all the time.

SQLite copies the log into the database every 1,000 pages, but restarts the log only at a moment without a reader. If
readers overlap for a long time, the log grows. Above a limit, a writer waits for such a moment. The wait is short, because
it blocks the writers of other processes.
"""

import contextlib
import sqlite3
from pathlib import Path

from sqlalchemy import Connection

from bgpdrift.store.engine import JOURNAL_LIMIT_BYTES, sqlite_path

PATIENCE_MS = 200
"""Longest wait for readers to pause, milliseconds."""


def wal_bytes(database: Path) -> int:
    """Size of a database's write-ahead log; 0 if it has none."""
    try:
        return database.with_name(database.name + "-wal").stat().st_size
    except FileNotFoundError:
        return 0


def keep_wal_small(connection: Connection, limit_bytes: int = JOURNAL_LIMIT_BYTES) -> bool:
    """Empty the log if it is longer than ``limit_bytes``; True if that was tried. Outside a transaction only."""
    path = sqlite_path(connection.engine.url)
    if path is None or wal_bytes(path) <= limit_bytes:
        return False
    driver = connection.connection.driver_connection
    assert isinstance(driver, sqlite3.Connection)
    (timeout_ms,) = driver.execute("PRAGMA busy_timeout").fetchone()
    try:
        driver.execute(f"PRAGMA busy_timeout={PATIENCE_MS}")
        with contextlib.suppress(sqlite3.OperationalError):  # readers overlapped: the next write tries again
            driver.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    finally:
        driver.execute(f"PRAGMA busy_timeout={timeout_ms}")
    return True
