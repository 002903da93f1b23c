"""Measures the memory of a process, and its processor share between two measurements."""

from dataclasses import dataclass

from bgpdrift.process import procfs


@dataclass(frozen=True)
class Usage:
    """One measurement of one process.

    Attributes
    ----------
    pid : int
        The process.
    at : float
        Monotonic time of the measurement.
    cpu_s : float
        Processor time used so far, user and system; seconds.
    rss_bytes : int
        Resident memory.
    cpu_percent : float
        Share of one processor since the measurement before; 0 for the first.
    """

    pid: int
    at: float
    cpu_s: float
    rss_bytes: int
    cpu_percent: float = 0.0


def measure_usage(pid: int, at: float, before: Usage | None = None) -> Usage:
    """Measure a process; all values are 0 for one that has ended."""
    return _add_share(Usage(pid, at, procfs.read_cpu_s(pid), procfs.read_rss_bytes(pid)), before)


def _add_share(now: Usage, before: Usage | None) -> Usage:
    """Add the processor share.

    Examples
    --------
    >>> _add_share(Usage(7, 10.0, 3.0, 100), Usage(7, 5.0, 2.0, 90)).cpu_percent
    20.0
    >>> _add_share(Usage(8, 10.0, 3.0, 100), Usage(7, 5.0, 2.0, 90)).cpu_percent
    0.0
    """
    if before is None or before.pid != now.pid or now.at <= before.at:
        return now
    share = max(0.0, now.cpu_s - before.cpu_s) / (now.at - before.at)
    return Usage(now.pid, now.at, now.cpu_s, now.rss_bytes, round(100.0 * share, 1))
