"""Creates or upgrades the database: one process at a time, all steps or none.

Alembic is loaded only if a step is necessary. Its environment is `migrations/env.py`, which this module configures without
an ``alembic.ini``.
"""

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, inspect, text
from sqlalchemy.engine import URL, Engine

from bgpdrift.errors import StoreBusyError, StoreError
from bgpdrift.process.locks import FileLock
from bgpdrift.store.database import create_identity
from bgpdrift.store.engine import WRITE, make_engine, parse_url, shown, sqlite_path
from bgpdrift.store.errors_map import translated
from bgpdrift.store.revisions import REVISIONS, explain_revision

if TYPE_CHECKING:
    from alembic.config import Config

MIGRATIONS = Path(__file__).with_name("migrations")
ADVISORY_LOCK = 0x6267_7064  # an arbitrary number: "bgpd"
_POLL_S = 0.05


def migrate(url: str | Path, *, timeout_s: float = 60.0) -> str:
    """Upgrade the database to the schema of this program; create it and its directory if they do not exist.

    Several processes may call it at the same time: one migrates, the others wait.

    Parameters
    ----------
    url : str or Path
        The file of a SQLite database, or ``sqlite:///PATH`` or ``postgresql+psycopg://…``. A new directory gets mode
        0700, a new file 0640.
    timeout_s : float
        How long to wait for another process, seconds.

    Returns
    -------
    str
        ``current``, ``created`` or ``upgraded``.

    Raises
    ------
    StoreError
        The schema is newer than this program, or the database cannot be created.
    StoreBusyError
        Another process did not finish in time.
    """
    parsed = parse_url(url)
    name = shown(parsed)
    with translated(name), _file_lock(parsed, timeout_s):
        engine = make_engine(parsed, timeout_s)
        try:
            return _migrate(engine, name, timeout_s)
        finally:
            engine.dispose()


def _migrate(engine: Engine, name: str, timeout_s: float) -> str:
    if engine.dialect.name == "sqlite":
        _use_wal(engine)
    with (
        engine.execution_options(**{WRITE: True}).connect() as connection,
        _advisory_lock(connection, timeout_s),
        connection.begin(),
    ):
        found = _revision(connection)
        problem = explain_revision(found)
        if problem is not None and found is not None and found not in REVISIONS:
            raise StoreError(f"{name}: {problem}")
        if problem is not None:
            upgrade(connection)
        create_identity(connection)
        if problem is None:
            return "current"
        return "created" if found is None else "upgraded"


def upgrade(connection: Connection, revision: str = "head") -> None:
    """Run the steps up to a revision inside the open transaction of a connection."""
    from alembic import command

    config = alembic_config()
    config.attributes["connection"] = connection
    command.upgrade(config, revision)


def alembic_config() -> "Config":
    """Build Alembic's configuration; put an open connection into ``attributes["connection"]`` before use."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    return config


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def _use_wal(engine: Engine) -> None:
    driver = engine.raw_connection()
    try:
        cursor = driver.cursor()
        cursor.execute("PRAGMA journal_mode=WAL")
        mode = cursor.fetchone()
        if mode is None or mode[0] != "wal":
            raise StoreError(f"{engine.url.database}: this file system cannot hold a WAL database; use a local disk")
    finally:
        driver.close()


@contextlib.contextmanager
def _file_lock(url: URL, timeout_s: float) -> Iterator[None]:
    path = sqlite_path(url)
    if path is None:
        yield
        return
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # SQLite gives its log and shared memory the mode of the database.
        os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o640))
        lock = FileLock(path.with_name(path.name + ".migrate.lock"))
    except OSError as error:
        raise StoreError(f"{path}: cannot create the database: {error.strerror}") from error
    with lock:
        if not lock.acquire(timeout_s):
            raise StoreBusyError(f"{path}: another process migrates for over {timeout_s:.0f} s")
        yield


@contextlib.contextmanager
def _advisory_lock(connection: Connection, timeout_s: float) -> Iterator[None]:
    if connection.dialect.name != "postgresql":
        yield
        return
    deadline = time.monotonic() + timeout_s
    while not connection.execute(text("SELECT pg_try_advisory_lock(:key)"), {"key": ADVISORY_LOCK}).scalar():
        connection.rollback()
        if time.monotonic() >= deadline:
            raise StoreBusyError(f"another process migrates for over {timeout_s:.0f} s")
        time.sleep(_POLL_S)
    connection.rollback()  # the lock belongs to the session, not to the transaction
    try:
        yield
    finally:
        connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": ADVISORY_LOCK})
        connection.commit()
