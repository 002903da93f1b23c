"""Sets the signal that a process gets when its parent dies, and adopts orphaned descendants (``prctl``).

References
----------
prctl(2): PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER.
"""

import ctypes
import os
import signal

PARENT_VARIABLE = "BGPDRIFT_PARENT_PID"
"""Environment variable in which the supervisor gives its pid to a service."""
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36


def die_with_parent(parent_pid: int) -> None:
    """Let the kernel kill this process when the thread that created it ends; exit now if the parent has ended already.

    The signal follows the thread, so a parent must create the process from its main thread. It is lost if the parent
    ended before this call: hence the comparison afterwards.
    """
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent_pid:
        os._exit(1)


def follow_parent() -> None:
    """Die with the supervisor that started this process; without `PARENT_VARIABLE` (systemd, PM2, a shell) do nothing."""
    parent_pid = os.environ.get(PARENT_VARIABLE)
    if parent_pid:
        die_with_parent(int(parent_pid))


def adopt_orphans() -> None:
    """Make this process the parent of descendants whose own parent ends (a subreaper)."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
