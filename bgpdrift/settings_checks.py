"""Finds values that types and limits allow and that cannot work: no prefix, limits in the wrong order, a missing file.

Everything but `find_missing` is pure. `bgpdrift.settings` refuses the first finding of `find_impossible` wherever settings are
read. What `find_missing` finds can change while the services run; `bgpdrift config check` and `bgpdrift doctor` refuse it.
"""

import ipaddress
import itertools
import os
import re
import urllib.parse
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from bgpdrift.settings_sections import DriftSettings, FeedSettings, RetrainSettings, Settings, SupervisorSettings

DAY_H = 24
_HOP = r"(\d+|\[\d+(,\d+)*\])"
_PATH = re.compile(rf"!?\^?{_HOP}(,{_HOP})*\$?", re.ASCII)
"""AS numbers and AS_SETs, as RIS Live reads them."""


class Refusal(NamedTuple):
    """A value that cannot work."""

    key: str
    value: object
    expected: str
    """What would work, and what is wrong with the value."""


def find_impossible(settings: Settings) -> Iterator[Refusal]:
    """Find values that can never work, in the order of the settings.

    Examples
    --------
    >>> [refusal.expected for refusal in find_impossible(Settings(feed=FeedSettings(peers=["rrc00"])))]
    ["addresses such as 192.0.2.1; 'rrc00' is none"]
    >>> list(find_impossible(Settings()))
    []
    """
    yield from _check_feed(settings.feed)
    if settings.spool.segment_bytes > settings.spool.max_bytes:
        expected = f"at most spool.max_bytes ({settings.spool.max_bytes})"
        yield Refusal("spool.segment_bytes", settings.spool.segment_bytes, expected)
    yield from _check_detectors(settings)
    yield from _check_drift(settings.drift)
    yield from _check_retraining(settings.retrain, settings.store.retention_days.get("feature_windows"))
    yield from _check_supervisor(settings.supervisor, settings.store.reserve_bytes)


def find_missing(settings: Settings, exists: Callable[[Path], bool] = Path.exists) -> Iterator[Refusal]:
    """Find files and directories that are named and missing, and directories that cannot be made.

    Parameters
    ----------
    settings : Settings
        Their paths.
    exists : callable
        Whether a path exists.
    """
    rib = settings.windows.warm_up_rib
    if rib and not (exists(Path(rib)) and not Path(rib).is_dir()):
        yield Refusal("windows.warm_up_rib", rib, "an MRT file; there is no such file")
    database = settings.store.url.removeprefix("sqlite:///")
    if settings.store.url.startswith("sqlite:") and not Path(database).absolute().parent.is_dir():
        yield Refusal("store.url", settings.store.url, f"a file in a directory that exists; {database} is in none")
    for key, path in (("data_dir", settings.data_path), ("artifacts_dir", settings.artifacts_path)):
        problem = describe_unusable_directory(path)
        if problem and (key == "data_dir" or settings.artifacts_dir):
            yield Refusal(key, getattr(settings, key), f"a directory that exists or can be made; {problem}")


def describe_unusable_directory(path: Path) -> str:
    """Describe why a path is no usable directory and cannot become one; empty if it is or can."""
    try:
        nearest = next(parent for parent in (path, *path.parents) if parent.exists())
    except OSError as error:
        return f"{path}: {error.strerror}"
    if not nearest.is_dir():
        return f"{nearest} is not a directory"
    if not os.access(nearest, os.R_OK | os.W_OK | os.X_OK):
        return f"this user may not write to {nearest}"
    return "" if nearest == path else _try_to_make(nearest, path.relative_to(nearest))


def _try_to_make(nearest: Path, missing: Path) -> str:
    """Make the missing directories below a hidden one and remove them: some file systems allow no directories."""
    trial = nearest / f".bgpdrift-trial-{os.getpid()}"
    made: list[Path] = []
    try:
        for part in (Path(), *reversed(missing.parents[:-1]), missing):
            (trial / part).mkdir()
            made.append(trial / part)
    except OSError as error:
        return f"{nearest / missing}: {error.strerror}"
    finally:
        for folder in reversed(made):
            folder.rmdir()
    return ""


def _check_feed(feed: FeedSettings) -> Iterator[Refusal]:
    try:
        parts = urllib.parse.urlsplit(feed.url)
        has_host = bool(parts.hostname) and parts.port != 0
    except ValueError:
        has_host = False
    if not has_host:
        yield Refusal("feed.url", feed.url, "ws://HOST[:PORT]/PATH or wss://…, with a host and a port from 1 to 65535")
    for text in feed.prefixes:
        problem = _describe_bad_prefix(text)
        if problem:
            yield Refusal("feed.prefixes", feed.prefixes, f"prefixes such as 192.0.2.0/24; {problem}")
            break
    for text in feed.paths:
        if not _PATH.fullmatch(text):
            expected = f"AS paths such as 3356, ^174,3356, 12654$ or !64496; {text!r} is none"
            yield Refusal("feed.paths", feed.paths, expected)
            break
    for text in feed.peers:
        if not _is_address(text):
            yield Refusal("feed.peers", feed.peers, f"addresses such as 192.0.2.1; {text!r} is none")
            break
    if feed.max_lag_s >= feed.replay_lag_s:
        yield Refusal("feed.max_lag_s", feed.max_lag_s, f"less than feed.replay_lag_s ({feed.replay_lag_s:g})")


def _describe_bad_prefix(text: str) -> str:
    """Describe why a text is no prefix; empty if it is one.

    Examples
    --------
    >>> _describe_bad_prefix("192.0.2.0/24"), _describe_bad_prefix("2001:db8::/32")
    ('', '')
    >>> _describe_bad_prefix("10.0.0.1/8"), _describe_bad_prefix("192.0.2.1"), _describe_bad_prefix("rrc00")
    ("'10.0.0.1/8' has host bits, 10.0.0.0/8 has none", "'192.0.2.1' has no length", "'rrc00' is none")
    """
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        return f"{text!r} is none"
    if "/" not in text:
        return f"{text!r} has no length"
    address = text.partition("/")[0]
    if ipaddress.ip_address(address) != network.network_address:
        return f"{text!r} has host bits, {network} has none"
    return ""


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _check_detectors(settings: Settings) -> Iterator[Refusal]:
    ensemble, weights = settings.ensemble, settings.detectors.weights
    if sum(weights.values()) <= 0:
        model = next(iter(weights))
        yield Refusal(f"detectors.{model}.weight", weights[model], "at least one weight above 0")
    if ensemble.debounce_k > ensemble.debounce_n:
        expected = f"at most ensemble.debounce_n ({ensemble.debounce_n})"
        yield Refusal("ensemble.debounce_k", ensemble.debounce_k, expected)
    correlation = settings.correlation
    if correlation.link_minutes > correlation.quiet_minutes:
        expected = f"at most correlation.quiet_minutes ({correlation.quiet_minutes})"
        yield Refusal("correlation.link_minutes", correlation.link_minutes, expected)


def _check_drift(drift: DriftSettings) -> Iterator[Refusal]:
    current, _, reference = drift.preset.partition("/")
    shortest_h = min(_read_hours(current), *drift.pinned_windows_h)
    if drift.min_current_h > shortest_h:
        expected = f"at most the shortest window of drift.preset and drift.pinned_windows_h ({shortest_h} h)"
        yield Refusal("drift.min_current_h", drift.min_current_h, expected)
    if drift.min_reference_days * DAY_H > _read_hours(reference):
        expected = f"at most the reference of drift.preset ({drift.preset})"
        yield Refusal("drift.min_reference_days", drift.min_reference_days, expected)
    for key, falls in (("severity_p", True), ("severity_accuracy_drop", False), ("severity_factors", False)):
        values: Sequence[float] = getattr(drift, key)
        if not all((first > second) if falls else (first < second) for first, second in itertools.pairwise(values)):
            expected = "falling values: low, medium, high" if falls else "rising values, from the lowest severity up"
            yield Refusal(f"drift.{key}", values, expected)


def _read_hours(window: str) -> int:
    """Read the length of a window of `drift.preset`.

    Examples
    --------
    >>> _read_hours("24h"), _read_hours("7d")
    (24, 168)
    """
    return int(window[:-1]) * (DAY_H if window.endswith("d") else 1)


def _check_retraining(retrain: RetrainSettings, kept_days: int | None) -> Iterator[Refusal]:
    if retrain.min_windows > retrain.max_windows:
        yield Refusal(
            "retrain.min_windows", retrain.min_windows, f"at most retrain.max_windows ({retrain.max_windows})"
        )
    if kept_days is not None and kept_days < retrain.days:
        expected = f"at least retrain.days ({retrain.days}): older windows cannot teach"
        yield Refusal("store.retention_days.feature_windows", kept_days, expected)


def _check_supervisor(supervisor: SupervisorSettings, reserve_bytes: int) -> Iterator[Refusal]:
    pairs = (
        ("restart_limit", "restart_long_limit"),
        ("restart_period_s", "restart_long_period_s"),
        ("log_max_bytes", "log_total_bytes"),
    )
    for smaller, larger in pairs:
        value, limit = getattr(supervisor, smaller), getattr(supervisor, larger)
        if value > limit:
            yield Refusal(f"supervisor.{smaller}", value, f"at most supervisor.{larger} ({limit:g})")
    if supervisor.disk_low_bytes and reserve_bytes > supervisor.disk_low_bytes:
        expected = f"at most supervisor.disk_low_bytes ({supervisor.disk_low_bytes}), which is reported first"
        yield Refusal("store.reserve_bytes", reserve_bytes, expected)
