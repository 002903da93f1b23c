"""What a process uses: memory now, processor share since the last look. Decides nothing."""

from dataclasses import dataclass

from bgpdrift.process import procfs


@dataclass(frozen=True)
class Usage:
    """One look at one process.

    Attributes
    ----------
    pid : int
        Whose.
    at : float
        Monotonic time of the look.
    cpu_s : float
        Processor time used so far, user and system; seconds.
    rss_bytes : int
        Resident memory.
    cpu_percent : float
        Share of one processor between the last two looks; 0 before there were two.
    """

    pid: int
    at: float
    cpu_s: float
    rss_bytes: int
    cpu_percent: float = 0.0


def look(pid: int, at: float, before: Usage | None = None) -> Usage:
    """Look at a process; all is 0 for one that has gone."""
    return _since(Usage(pid, at, procfs.read_cpu_s(pid), procfs.read_rss_bytes(pid)), before)


def _since(now: Usage, before: Usage | None) -> Usage:
    """Work out the share.

    Examples
    --------
    >>> _since(Usage(7, 10.0, 3.0, 100), Usage(7, 5.0, 2.0, 90)).cpu_percent
    20.0
    >>> _since(Usage(8, 10.0, 3.0, 100), Usage(7, 5.0, 2.0, 90)).cpu_percent
    0.0
    """
    if before is None or before.pid != now.pid or now.at <= before.at:
        return now
    share = max(0.0, now.cpu_s - before.cpu_s) / (now.at - before.at)
    return Usage(now.pid, now.at, now.cpu_s, now.rss_bytes, round(100.0 * share, 1))
