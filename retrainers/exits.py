"""How a retrainer says what came of its run: exit codes for programs, a word for people."""

from enum import IntEnum


class Exit(IntEnum):
    """Exit codes; the contract with whoever starts a retrainer."""

    PROMOTED = 0
    """Also a dry run or a candidate that passed the gate."""
    INTERNAL = 1
    """A bug, a disk, a database, too much memory."""
    USAGE = 2
    """Bad usage or settings; also ``--from-flag`` where no flag lies."""
    REJECTED = 3
    """The gate refused it, or the active model moved meanwhile."""
    NOT_ENOUGH_DATA = 4
    LOCKED = 5
    """Another run holds the lock."""
    TIMED_OUT = 6
