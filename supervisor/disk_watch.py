"""How much room the disk has left, and what follows from it. Pure but for `free_bytes`.

Three levels: plenty; low, which only people are told; and reserved, where what is left belongs to the database and
everything that can give way does: log files here, the spool in `bgpdrift.bgp.spool_writer`.
"""

import os
from enum import StrEnum
from pathlib import Path

_RELIEF = 1.1
"""A level is left again only above its limit by this much, or a disk at the limit would alarm all night."""


class DiskLevel(StrEnum):
    """How the disk is."""

    PLENTY = "plenty"
    LOW = "low"
    RESERVED = "reserved"


def disk_level(free: int, low: int, reserve: int, before: DiskLevel) -> DiskLevel:
    """Judge the free space.

    Parameters
    ----------
    free, low, reserve : int
        Bytes there are, below which the disk is low, below which they are kept for the database.
    before : DiskLevel
        The last judgement.

    Examples
    --------
    >>> str(disk_level(90, low=100, reserve=10, before=DiskLevel.PLENTY))
    'low'
    >>> str(disk_level(105, low=100, reserve=10, before=DiskLevel.LOW)), str(disk_level(111, 100, 10, DiskLevel.LOW))
    ('low', 'plenty')
    >>> str(disk_level(9, low=100, reserve=10, before=DiskLevel.LOW))
    'reserved'
    """
    if free < reserve * (_RELIEF if before is DiskLevel.RESERVED else 1.0):
        return DiskLevel.RESERVED
    if free < low * (_RELIEF if before is not DiskLevel.PLENTY else 1.0):
        return DiskLevel.LOW
    return DiskLevel.PLENTY


def explain(level: DiskLevel, free: int, path: Path) -> str:
    """Say it to a person; nothing when there is plenty.

    Examples
    --------
    >>> explain(DiskLevel.LOW, 812_000_000, Path("/srv/data"))
    'disk: 812 MB free on /srv/data'
    """
    if level is DiskLevel.PLENTY:
        return ""
    kept = "; kept for the database: spool and logs give way" if level is DiskLevel.RESERVED else ""
    return f"disk: {free / 1e6:,.0f} MB free on {path}{kept}"


def free_bytes(path: Path) -> int:
    """Give the free space that our user may use; may hang where the file system does.

    Raises
    ------
    OSError
        The directory is gone, or its disk is.
    """
    found = os.statvfs(path)
    return found.f_bavail * found.f_frsize
