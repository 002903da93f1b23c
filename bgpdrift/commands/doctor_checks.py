"""What `bgpdrift doctor` looks at on this machine: each check says what it found and how to mend it.

A check decides only about its own subject and changes nothing. The feed is checked in `doctor_feed`.
"""

import contextlib
import json
import os
import platform
import shutil
import socket
import sqlite3
import time
from contextlib import closing
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

from bgpdrift.settings import Settings

DISK_RESERVE_BYTES = 2_000_000_000
"""Free space beyond the spool's cap below which a warning is given: a month of windows and scores."""

MAX_WAL_BYTES = 256_000_000
MAX_STATE_AGE_S = 60.0


@dataclass(frozen=True)
class Finding:
    """What one check found."""

    check: str
    level: Literal["ok", "warn", "fail"]
    found: str
    mend: str = ""


def check_store(loaded: Settings) -> Finding:
    """Open the database, compare its schema, look for damage and a log that grew."""
    from bgpdrift.errors import StoreBusyError, StoreError
    from bgpdrift.store import open_store
    from bgpdrift.store.engine import parse_url, sqlite_path
    from bgpdrift.store.wal import wal_bytes

    try:
        with open_store(loaded.store_url, busy_timeout_s=min(loaded.store.busy_timeout_s, 5.0)) as store:
            name = store.name
    except StoreBusyError as error:
        return Finding("store", "fail", str(error), "see that the server runs, or wait for who holds the lock")
    except StoreError as error:
        text, _, mend = str(error).rpartition("; ")
        return Finding("store", "fail", text or str(error), mend or "see docs/configuration.md, [store]")
    path = sqlite_path(parse_url(loaded.store_url))
    if path is None:
        return Finding("store", "ok", f"{name} answers, schema is current")
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=5.0)) as connection:
        verdict = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if verdict != "ok":
        return Finding("store", "fail", f"{path} is damaged: {verdict}", "stop all services and restore a copy")
    if wal_bytes(path) > MAX_WAL_BYTES:
        found = f"{path}-wal has {_size(wal_bytes(path))}"
        return Finding("store", "warn", found, "a reader keeps a view open; restart the services one by one")
    return Finding("store", "ok", f"{path}, {_size(path.stat().st_size)}, schema is current, no damage")


def check_directories(loaded: Settings) -> Finding:
    """See that the directories can be written and are nobody else's business."""
    missing: list[Path] = []
    closed: list[Path] = []
    open_: list[Path] = []
    for path in (loaded.data_path, loaded.artifacts_path, loaded.spool_path, loaded.state_path, loaded.logs_path):
        if not path.exists():
            nearest = next(parent for parent in path.parents if parent.exists())
            (missing if nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK) else closed).append(path)
        elif not path.is_dir() or not os.access(path, os.R_OK | os.W_OK | os.X_OK):
            closed.append(path)
        elif path.stat().st_mode & 0o002:
            open_.append(path)
    if closed:
        found = "cannot be written or is no directory: " + ", ".join(map(str, closed))
        return Finding("directories", "fail", found, "give it to the services' user, or set data_dir to another place")
    if open_:
        found = "anybody may write to " + ", ".join(map(str, open_))
        return Finding("directories", "warn", found, "chmod o-w: who can write a model there decides what is an alarm")
    if missing:
        return Finding("directories", "ok", f"{len(missing)} below {loaded.data_path} will be made at the first start")
    return Finding("directories", "ok", f"{loaded.data_path} and those in it can be written")


def check_disk(loaded: Settings) -> Finding:
    """Compare free space with what the spool may take."""
    place = next(path for path in (loaded.data_path, *loaded.data_path.parents) if path.exists())
    free = shutil.disk_usage(place).free
    found = f"{_size(free)} free on {place}; the spool may take {_size(loaded.spool.max_bytes)}"
    if free < loaded.spool.max_bytes // 10:
        return Finding("disk space", "fail", found, "make room, or lower spool.max_bytes and store.retention_days")
    if free < loaded.spool.max_bytes + DISK_RESERVE_BYTES:
        return Finding("disk space", "warn", found, "make room, or lower spool.max_bytes: a long outage would fill it")
    return Finding("disk space", "ok", found)


def check_clock(loaded: Settings) -> Finding:  # noqa: ARG001 - every check is called alike
    """Ask the kernel whether the clock is kept in step, by adjtimex(2)."""
    import ctypes

    if time.time() < 1_700_000_000:
        return Finding("clock", "fail", f"it says {time.strftime('%F', time.gmtime())}", "set the clock; run chrony")
    buffer = (ctypes.c_char * 512)()  # struct timex is 208 bytes; zero modes reads only
    state = ctypes.CDLL(None, use_errno=True).adjtimex(buffer)
    if state < 0:
        return Finding("clock", "warn", "the kernel does not tell whether it is in step", "see that chrony or NTP runs")
    if state == 5:  # TIME_ERROR: unsynchronised
        return Finding("clock", "warn", "not kept in step by NTP", "run chrony or systemd-timesyncd: lag is wall clock")
    return Finding("clock", "ok", "kept in step")


def check_collector(loaded: Settings) -> Finding:
    """Read what the collector last said of itself."""
    path = loaded.state_path / "collector.json"
    if not path.is_file():
        return Finding("collector", "ok", "has not run yet")
    said = json.loads(path.read_text(encoding="utf-8"))
    age_s = time.time() - path.stat().st_mtime
    dropped, lag_s = said.get("dropped", 0), said.get("lag_s")
    found = f"{dropped} frames dropped, lag {'unknown' if lag_s is None else f'{lag_s:.1f} s'}, said {age_s:.0f} s ago"
    if dropped:
        return Finding("collector", "warn", found, "the disk was too slow or too full; see the collector's log")
    if age_s > MAX_STATE_AGE_S:
        return Finding("collector", "warn", found, "it does not run, or hangs: run_all_services.py status")
    return Finding("collector", "ok", found)


def check_supervisor(loaded: Settings) -> Finding:
    """Look for the supervisor's control socket and knock."""
    run = loaded.data_path / "run"
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(2.0)
        directory = os.open(run, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:  # by descriptor: a socket's address holds 107 bytes, a path may be longer
            connection.connect(f"/proc/self/fd/{directory}/control.sock")
        finally:
            os.close(directory)
        return Finding("supervisor", "ok", f"runs, answers on {run / 'control.sock'}")
    return Finding("supervisor", "warn", "does not run", "python run_all_services.py start")


def check_web_port(loaded: Settings) -> Finding:
    """See whether the web port can be bound, or is served already."""
    place = f"{loaded.web.host}:{loaded.web.port}"
    family = socket.AF_INET6 if ":" in loaded.web.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((loaded.web.host, loaded.web.port))
        except OSError as error:
            mend = "our own web service, or another program; set web.port or web.host otherwise"
            return Finding("web port", "warn", f"{place}: {error.strerror}", mend)
    return Finding("web port", "ok", f"{place} is free")


def check_versions(loaded: Settings) -> Finding:  # noqa: ARG001 - every check is called alike
    """Name the versions a bug report needs."""
    names = ("sqlalchemy", "alembic", "msgspec", "numpy", "picows")
    packages = ", ".join(f"{name} {metadata.version(name)}" for name in names)
    found = f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, {packages}"
    if sqlite3.sqlite_version_info < (3, 35):
        return Finding("versions", "fail", found, "SQLite 3.35 or newer is needed")
    return Finding("versions", "ok", found)


def settings_finding(file: Path | None, sources: dict[str, str]) -> Finding:
    """Say where the settings came from."""
    origins = ", ".join(sorted(set(sources.values()))) or (str(file) if file else "defaults only")
    return Finding("settings", "ok", f"valid: {origins}")


def _size(count: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"
