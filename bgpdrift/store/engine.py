"""The connection of a process to the database: pragmas and transactions.

This module decides the settings of a connection and where a transaction begins. The query modules decide what is read
and written. Settings of SQLite, for several processes on one file:

- WAL: readers do not wait for the writer, and the writer does not wait for them.
- A write begins with ``BEGIN IMMEDIATE``. A transaction that reads first and writes later would meet "database is
  locked" at once, without the busy timeout, whenever another process wrote in between. Python's driver begins
  transactions by its own rules (before INSERT, not before SELECT), so that its automatic transactions are disabled.
- ``synchronous=NORMAL``: after a power loss the newest transactions may be gone, but only the newest, and all tables go
  back together, cursors with rows: the work is done again. `DURABLE` transactions are flushed (``FULL``) before they
  return, for a writer that deletes something outside the database after the commit (docs/decisions/0007-store.md).
"""

import json
import sqlite3
import time
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import Connection, create_engine, event
from sqlalchemy.engine import URL, Engine, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.pool import ConnectionPoolEntry

from bgpdrift.errors import StoreError
from bgpdrift.process.waiting import report_wait
from bgpdrift.store import postgresql
from bgpdrift.store.file_identity import OpenFiles, find_problem, identify_files

WRITE, DURABLE = "bgpdrift_write", "bgpdrift_durable"
"""Execution options of an engine or connection: its transactions write; they survive a power loss."""

JOURNAL_LIMIT_BYTES = 64_000_000
"""Size to which SQLite truncates an emptied log; `bgpdrift.store.wal` empties a longer one."""

_FILES = "bgpdrift_files"
"""Key of a connection's `OpenFiles`."""

WAIT_SLICE_S = 0.2
"""A wait for another writer reports progress at this interval; seconds."""

_encode = json.JSONEncoder(allow_nan=False, separators=(",", ":")).encode


def parse_url(url: str | Path) -> URL:
    """Read a database URL, or build that of a SQLite file.

    Parameters
    ----------
    url : str or Path
        A URL as text, or the file of a SQLite database. A path is no text of a URL: ``%``, ``?`` and ``#`` in it are
        characters of its name.

    Raises
    ------
    StoreError
        It is not a URL, names another kind of database, or a database in memory, which processes cannot share.

    Examples
    --------
    >>> parse_url("sqlite:///:memory:")
    Traceback (most recent call last):
    bgpdrift.errors.StoreError: sqlite:///:memory:: expected a file, found a database in memory, which processes cannot share
    """
    if isinstance(url, Path):
        return URL.create("sqlite", database=str(url.absolute()))
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise StoreError(f"{url!r}: expected sqlite:///PATH or postgresql+psycopg://…, found no URL") from error
    name = shown(parsed)
    if parsed.get_backend_name() not in {"sqlite", "postgresql"}:
        raise StoreError(f"{name}: expected sqlite:///PATH or postgresql+psycopg://…")
    if parsed.get_backend_name() == "sqlite" and parsed.database in {None, "", ":memory:"}:
        raise StoreError(f"{name}: expected a file, found a database in memory, which processes cannot share")
    return parsed


def shown(url: URL) -> str:
    """Format a URL for messages: without the password, and with the path as it is on disk.

    Examples
    --------
    >>> shown(make_url("postgresql+psycopg://bgp:secret@db/bgp"))
    'postgresql+psycopg://bgp:***@db/bgp'
    """
    if url.get_backend_name() == "sqlite":
        return f"sqlite:///{url.database or ''}"
    return url.render_as_string(hide_password=True)


def sqlite_path(url: URL) -> Path | None:
    """The file of a SQLite database; None for another one."""
    return Path(url.database) if url.get_backend_name() == "sqlite" and url.database else None


def make_engine(url: URL, busy_timeout_s: float) -> Engine:
    """Build an engine; nothing is opened yet.

    Parameters
    ----------
    url : URL
        From `parse_url`.
    busy_timeout_s : float
        How long a writer waits for another, seconds.
    """
    # One connection serves a process; a few more are for the threads of the web service.
    shared: dict[str, Any] = {
        "json_serializer": _encode,
        "pool_size": 1,
        "max_overflow": 7,
        "pool_timeout": busy_timeout_s,
    }
    path = sqlite_path(url)
    if path is not None:
        engine = create_engine(url, creator=partial(_open_sqlite, path, busy_timeout_s), **shared)
        event.listen(engine, "connect", partial(_prepare_sqlite, path))
        event.listen(engine, "begin", partial(_begin_sqlite, busy_timeout_s))
        return engine
    wait_ms = int(busy_timeout_s * 1000)
    arguments = {"connect_timeout": 10, "options": f"-c lock_timeout={wait_ms} -c timezone=UTC"}
    engine = create_engine(url, connect_args=arguments, pool_pre_ping=True, **shared)
    event.listen(engine, "do_connect", partial(_open_postgresql, busy_timeout_s))
    return engine


def _open_postgresql(
    busy_timeout_s: float, _dialect: object, _record: object, arguments: list[Any], options: dict[str, Any]
) -> Any:
    return postgresql.connect(busy_timeout_s + postgresql.ANSWER_LIMIT_S, *arguments, **options)


def check_files(connection: Connection) -> None:
    """Raise an error if the files of a SQLite database are no longer those that the connection has open.

    Raises
    ------
    StoreFileError
        The file was removed: it may be put back.
    StoreReplacedError
        Another file took its place.
    """
    opened: OpenFiles | None = connection.info.get(_FILES)
    path = sqlite_path(connection.engine.url)
    if opened is None or path is None:
        return
    problem = find_problem(path, opened)
    if problem is not None:
        raise problem


def _open_sqlite(path: Path, busy_timeout_s: float) -> sqlite3.Connection:
    """Open a database that exists; one that was removed meanwhile is not created again."""
    uri = f"file:{quote(str(path.absolute()))}?mode=rw"
    return sqlite3.connect(uri, uri=True, timeout=busy_timeout_s, check_same_thread=False)


def _prepare_sqlite(path: Path, connection: sqlite3.Connection, record: ConnectionPoolEntry) -> None:
    connection.isolation_level = None  # the driver begins no transaction
    connection.execute("PRAGMA foreign_keys=ON")
    connection.execute("PRAGMA synchronous=NORMAL")
    connection.execute(f"PRAGMA journal_size_limit={JOURNAL_LIMIT_BYTES}")
    connection.execute("PRAGMA temp_store=MEMORY")
    connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchall()  # opens the log
    record.info[_FILES] = identify_files(path)


def _begin_sqlite(busy_timeout_s: float, connection: Connection) -> None:
    check_files(connection)
    options = connection.get_execution_options()
    if options.get(WRITE):
        # Outside a transaction only: inside one, SQLite ignores it.
        connection.exec_driver_sql(f"PRAGMA synchronous={'FULL' if options.get(DURABLE) else 'NORMAL'}")
        _begin_write(connection, busy_timeout_s)
    else:
        connection.exec_driver_sql("BEGIN")


def _begin_write(connection: Connection, busy_timeout_s: float) -> None:
    """Begin a write, and wait for other writers in slices, since a long wait without a report would look like a hang."""
    driver = connection.connection.driver_connection
    assert isinstance(driver, sqlite3.Connection)
    give_up_at = time.monotonic() + busy_timeout_s
    driver.execute(f"PRAGMA busy_timeout={int(min(WAIT_SLICE_S, busy_timeout_s) * 1000)}")
    try:
        while time.monotonic() + WAIT_SLICE_S < give_up_at:
            try:
                driver.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                    break
                report_wait()
            else:
                return
        connection.exec_driver_sql("BEGIN IMMEDIATE")  # the last attempt, whose error SQLAlchemy wraps
    finally:
        # SQLAlchemy closes the connection after a fatal error; that error must reach the caller.
        with suppress(sqlite3.ProgrammingError):
            driver.execute(f"PRAGMA busy_timeout={int(busy_timeout_s * 1000)}")
