"""The checks of `bgpdrift doctor` on this machine: each returns what it found and how to correct it.

A check changes nothing. The feed is checked in `doctor_feed`.
"""

import platform
import shutil
import socket
import sqlite3
import time
import urllib.parse
from contextlib import closing
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

from bgpdrift.settings import Settings
from bgpdrift.settings_checks import describe_unusable_directory, find_missing

DISK_RESERVE_BYTES = 2_000_000_000
"""Free space required beyond the limit of the spool; about a month of windows and scores."""

MAX_WAL_BYTES = 256_000_000
MAX_STATE_AGE_S = 60.0


@dataclass(frozen=True)
class Finding:
    """The result of one check.

    Attributes
    ----------
    check : str
        Name of the check.
    level : str
        ``ok``, ``warn`` or ``fail``.
    found : str
        What the check found.
    advice : str
        What to do about it; empty if nothing.
    """

    check: str
    level: Literal["ok", "warn", "fail"]
    found: str
    advice: str = ""


def check_store(loaded: Settings) -> Finding:
    """Open the database, compare its schema, search for damage and for a write-ahead log that grew too large."""
    from bgpdrift.errors import StoreBusyError, StoreError
    from bgpdrift.store import open_store
    from bgpdrift.store.engine import parse_url, sqlite_path
    from bgpdrift.store.wal import wal_bytes

    try:
        with open_store(loaded.store_url, busy_timeout_s=min(loaded.store.busy_timeout_s, 5.0)) as store:
            name = store.name
    except StoreBusyError as error:
        return Finding("store", "fail", str(error), "check that the server runs, or wait until the lock is released")
    except StoreError as error:
        text, _, advice = str(error).rpartition("; ")
        return Finding("store", "fail", text or str(error), advice or "see docs/configuration.md, [store]")
    path = sqlite_path(parse_url(loaded.store_url))
    if path is None:
        return Finding("store", "ok", f"{name} answers; the schema is current")
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=5.0)) as connection:
            verdict = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    except sqlite3.Error as error:
        verdict = str(error)
    if verdict != "ok":
        return Finding("store", "fail", f"{path} is damaged: {verdict}", "stop all services and restore a copy")
    if wal_bytes(path) > MAX_WAL_BYTES:
        found = f"the write-ahead log {path}-wal holds {_size(wal_bytes(path))}"
        return Finding("store", "warn", found, "a reader keeps a transaction open; restart the services one by one")
    return Finding("store", "ok", f"{path}, {_size(path.stat().st_size)}, the schema is current, no damage")


def check_directories(loaded: Settings) -> Finding:
    """Check that this user can write the directories, and that not every user can."""
    paths = (loaded.data_path, loaded.artifacts_path, loaded.spool_path, loaded.state_path, loaded.logs_path)
    if problems := list(dict.fromkeys(filter(None, map(describe_unusable_directory, paths)))):
        advice = "make the user of the services the owner, or change data_dir and artifacts_dir"
        return Finding("directories", "fail", "; ".join(problems), advice)
    missing = [path for path in paths if not path.exists()]
    open_ = [path for path in paths if path.exists() and path.stat().st_mode & 0o002]
    if open_:
        found = "every user may write to " + ", ".join(map(str, open_))
        return Finding("directories", "warn", found, "run chmod o-w, because every user can replace a model there")
    if missing:
        return Finding("directories", "ok", f"{len(missing)} below {loaded.data_path} are created at the first start")
    return Finding("directories", "ok", f"{loaded.data_path} and its subdirectories are writable")


def check_files(loaded: Settings) -> Finding:
    """Check that the files that the settings name exist."""
    missing = [one for one in find_missing(loaded) if one.key not in ("data_dir", "artifacts_dir")]
    if missing:
        found = "; ".join(f"{one.key} = {one.value!r}: expected {one.expected}" for one in missing)
        return Finding("files", "fail", found, "create the file, or change the setting")
    return Finding("files", "ok", "every file that the settings name exists")


def check_disk(loaded: Settings) -> Finding:
    """Compare the free space with the limit of the spool."""
    place = next(path for path in (loaded.data_path, *loaded.data_path.parents) if path.exists())
    free = shutil.disk_usage(place).free
    found = f"{_size(free)} free on {place}; the limit of the spool is {_size(loaded.spool.max_bytes)}"
    if free < loaded.spool.max_bytes // 10:
        return Finding(
            "disk space", "fail", found, "free disk space, or lower spool.max_bytes and store.retention_days"
        )
    if free < loaded.spool.max_bytes + DISK_RESERVE_BYTES:
        return Finding("disk space", "warn", found, "free disk space, or lower spool.max_bytes")
    return Finding("disk space", "ok", found)


def check_clock(loaded: Settings) -> Finding:  # noqa: ARG001 - all checks have one signature
    """Ask the kernel whether the clock is synchronised (adjtimex(2))."""
    import ctypes

    if time.time() < 1_700_000_000:
        return Finding(
            "clock", "fail", f"the clock shows {time.strftime('%F', time.gmtime())}", "set the clock; run chrony"
        )
    buffer = (ctypes.c_char * 512)()  # struct timex is 208 bytes; zero modes reads only
    state = ctypes.CDLL(None, use_errno=True).adjtimex(buffer)
    if state < 0:
        return Finding("clock", "warn", "the kernel does not report its state", "check that chrony or NTP runs")
    if state == 5:  # TIME_ERROR: unsynchronised
        return Finding(
            "clock",
            "warn",
            "not synchronised by NTP",
            "run chrony or systemd-timesyncd, because lag is measured with this clock",
        )
    return Finding("clock", "ok", "synchronised")


def check_collector(loaded: Settings) -> Finding:
    """Read the last report of the collector."""
    from bgpdrift.status.feed import COLLECTOR_FILE, read_received

    path = loaded.state_path / COLLECTOR_FILE
    if not path.is_file():
        return Finding("collector", "ok", "has not run yet")
    report, problem = read_received(path)
    if report is None:
        return Finding("collector", "fail", problem, f"remove {path}; the collector writes it again")
    age_s = time.time() - path.stat().st_mtime
    lag = "unknown" if report.lag_s is None else write_duration(report.lag_s)
    found = f"{report.dropped} frames dropped, lag {lag}, reported {age_s:.0f} s ago"
    if report.lag_s is not None and report.lag_s > loaded.feed.replay_lag_s and not is_loopback(loaded.feed.url):
        return Finding(
            "collector", "fail", found, "the server sends old messages, or the clock of this machine is wrong"
        )
    if report.dropped:
        return Finding("collector", "warn", found, "the disk was too slow or full; see the collector's log")
    if age_s > MAX_STATE_AGE_S:
        return Finding("collector", "warn", found, "it is stopped or hangs; see run_all_services.py status")
    return Finding("collector", "ok", found)


def check_clocks_of_feed(loaded: Settings) -> Finding:
    """Read what the aggregator found out about the clocks of the collectors."""
    from bgpdrift.status.feed import read_feed
    from bgpdrift.status.feed_text import list_wrong_clocks

    report = read_feed(loaded, time.time())
    wrong = list_wrong_clocks(report)
    if wrong:
        return Finding(
            "clocks of the feed", "warn", "; ".join(wrong), "bgpdrift feed; docs/operator-guide.md, the feed's clock"
        )
    skews = [row.clock.skew_s for row in report.collectors if row.clock is not None and row.clock.skew_s is not None]
    found = f"{len(skews)} collectors agree with this machine" if skews else "no message yet"
    return Finding("clocks of the feed", "ok", found)


def check_supervisor(loaded: Settings) -> Finding:
    """Ask the supervisor for the state of its services."""
    from bgpdrift.status.supervised import ask

    answer = ask(loaded.data_path)
    if answer.supervisor == "stopped":
        return Finding("supervisor", "warn", "does not run", "python run_all_services.py start")
    if answer.supervisor == "no_answer":
        return Finding("supervisor", "fail", answer.message, "see logs/supervisor.log in the data directory")
    if answer.failing:
        found = f"runs; failing services: {', '.join(answer.failing)}"
        return Finding("supervisor", "fail", found, f"python run_all_services.py logs {answer.failing[0]}")
    return Finding("supervisor", "ok", f"runs, state {answer.supervisor}")


def is_loopback(url: str) -> bool:
    """Whether a URL names this machine, where a replay server may send the past."""
    host = urllib.parse.urlsplit(url).hostname or ""
    return host in ("localhost", "::1") or host.startswith("127.")


def write_duration(seconds: float) -> str:
    """Write a duration in its largest unit.

    Examples
    --------
    >>> write_duration(1.25), write_duration(7_200.0), write_duration(3.2e8)
    ('1.2 s', '2.0 h', '10.1 years')
    """
    for unit, length_s in (("years", 365.25 * 86_400), ("days", 86_400.0), ("h", 3_600.0), ("min", 60.0)):
        if seconds >= length_s:
            return f"{seconds / length_s:.1f} {unit}"
    return f"{seconds:.1f} s"


def check_web_port(loaded: Settings) -> Finding:
    """Check whether the web port can be bound."""
    place = f"{loaded.web.host}:{loaded.web.port}"
    family = socket.AF_INET6 if ":" in loaded.web.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((loaded.web.host, loaded.web.port))
        except OSError as error:
            advice = "if a program other than the web service uses it, change web.port or web.host"
            return Finding("web port", "warn", f"{place}: {error.strerror}", advice)
    return Finding("web port", "ok", f"{place} is free")


def check_versions(loaded: Settings) -> Finding:  # noqa: ARG001 - all checks have one signature
    """List the versions that a bug report needs."""
    names = ("sqlalchemy", "alembic", "msgspec", "numpy", "picows")
    packages = ", ".join(f"{name} {metadata.version(name)}" for name in names)
    found = f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, {packages}"
    if sqlite3.sqlite_version_info < (3, 35):
        return Finding("versions", "fail", found, "SQLite 3.35 or newer is needed")
    return Finding("versions", "ok", found)


def settings_finding(file: Path | None, sources: dict[str, str]) -> Finding:
    """Report where the settings came from."""
    origins = ", ".join(sorted(set(sources.values()))) or (str(file) if file else "defaults only")
    return Finding("settings", "ok", f"valid: {origins}")


def _size(count: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"
