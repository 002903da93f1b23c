"""The exit codes of a retrainer."""

from enum import IntEnum


class Exit(IntEnum):
    """Exit codes, as the drift monitor and scripts read them."""

    PROMOTED = 0
    """Also a dry run or a candidate that passed the gate."""
    INTERNAL = 1
    """A bug, a disk error, a database error or too much memory."""
    USAGE = 2
    """Bad usage or settings, or ``--from-flag`` without a flag file."""
    REJECTED = 3
    """The gate refused the candidate, or another version became active during the run."""
    NOT_ENOUGH_DATA = 4
    LOCKED = 5
    """Another run holds the lock."""
    TIMED_OUT = 6
