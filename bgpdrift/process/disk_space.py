"""Decides the level of free disk space. Pure except `measure_free_bytes`.

There are three levels: plenty; low, which is only reported; and reserved, where the rest of the disk is kept for the
database. At that level the supervisor removes log files, and `bgpdrift.bgp.spool_writer` removes segments.
"""

import os
from enum import StrEnum
from pathlib import Path

_HYSTERESIS = 1.1
"""A level ends only when the free space exceeds its limit by this factor; a disk at the limit must not alarm repeatedly."""


class DiskLevel(StrEnum):
    """How full the disk is."""

    PLENTY = "plenty"
    LOW = "low"
    RESERVED = "reserved"


def assess_disk(free: int, low: int, reserve: int, before: DiskLevel) -> DiskLevel:
    """Return the level of the disk.

    Parameters
    ----------
    free : int
        Free bytes.
    low, reserve : int
        Limits of the levels in bytes.
    before : DiskLevel
        The level before.

    Examples
    --------
    >>> str(assess_disk(90, low=100, reserve=10, before=DiskLevel.PLENTY))
    'low'
    >>> str(assess_disk(105, low=100, reserve=10, before=DiskLevel.LOW)), str(assess_disk(111, 100, 10, DiskLevel.LOW))
    ('low', 'plenty')
    >>> str(assess_disk(9, low=100, reserve=10, before=DiskLevel.LOW))
    'reserved'
    """
    if free < reserve * (_HYSTERESIS if before is DiskLevel.RESERVED else 1.0):
        return DiskLevel.RESERVED
    if free < low * (_HYSTERESIS if before is not DiskLevel.PLENTY else 1.0):
        return DiskLevel.LOW
    return DiskLevel.PLENTY


def describe_disk(level: DiskLevel, free: int, path: Path) -> str:
    """Describe a level that is not plenty; "" for plenty.

    Examples
    --------
    >>> describe_disk(DiskLevel.LOW, 812_000_000, Path("/srv/data"))
    'disk: 812 MB free on /srv/data'
    """
    if level is DiskLevel.PLENTY:
        return ""
    reserved = "; reserved for the database: logs and spool are dropped" if level is DiskLevel.RESERVED else ""
    return f"disk: {free / 1e6:,.0f} MB free on {path}{reserved}"


def measure_free_bytes(path: Path) -> int:
    """Return the free space for this user; hangs if the file system does.

    Raises
    ------
    OSError
        The directory does not exist, or its disk fails.
    """
    stat = os.statvfs(path)
    return stat.f_bavail * stat.f_frsize
