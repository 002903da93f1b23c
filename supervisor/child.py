"""One child process: spawned into a session of its own, signalled as a group, reaped without a race.

The kernel's pidfd says that it ended; the leader is looked at first and reaped last, since only an unreaped pid cannot
be given to somebody else while the rest of its group is killed. Decides nothing about when.
"""

import contextlib
import os
import signal
from collections.abc import Mapping, Sequence

# Ignored and blocked signals pass through exec; Python ignores these two, a service must not inherit that.
_DEFAULT_SIGNALS = (signal.SIGPIPE, signal.SIGXFSZ)
MATH_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")
_NOT_INHERITED = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_FDS", "LISTEN_PID", "MAINPID")


def child_environment(base: Mapping[str, str], **own: str) -> dict[str, str]:
    """Give a service's environment: ours without what our own manager told us, with one math thread.

    Examples
    --------
    >>> child_environment({"NOTIFY_SOCKET": "/run/systemd/notify", "LANG": "C"}, BGPDRIFT_SERVICE="a")["LANG"]
    'C'
    >>> "NOTIFY_SOCKET" in child_environment({"NOTIFY_SOCKET": "/run/systemd/notify"})
    False
    """
    env = {key: value for key, value in base.items() if key not in _NOT_INHERITED}
    env.update(dict.fromkeys(MATH_THREADS, "1"))
    # Last words must arrive: nothing stays in a buffer, and a hang during imports leaves its stacks too.
    env.update(PYTHONUNBUFFERED="1", PYTHONFAULTHANDLER="1")
    return env | own


class Child:
    """A process of ours; the caller watches ``pidfd`` and calls `collect` when it is readable."""

    def __init__(self, command: Sequence[str], env: Mapping[str, str], output: int) -> None:
        """Spawn.

        Call from the main thread only: the parent-death signal of a service follows the thread that spawned it.

        Parameters
        ----------
        command : sequence of str
            Program, looked up in ``PATH``, and arguments.
        env : mapping
            The whole environment.
        output : int
            File descriptor that becomes its standard output and standard error.

        Raises
        ------
        OSError
            The program is not there, may not be run, or no process can be made.
        """
        self.pid = os.posix_spawnp(
            command[0],
            list(command),
            dict(env),
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_DUP2, output, 1),
                (os.POSIX_SPAWN_DUP2, output, 2),
            ],
            setsid=True,
            setsigmask=[],
            setsigdef=_DEFAULT_SIGNALS,
        )
        self.pidfd = os.pidfd_open(self.pid)

    def terminate(self) -> None:
        """TERM to the group; a stopped process must run to hear it."""
        self._signal_group(signal.SIGTERM)
        self._signal_group(signal.SIGCONT)

    def abort(self) -> None:
        """ABRT to the leader, whose faulthandler then writes its stacks, also if somebody had stopped it."""
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.pidfd, signal.SIGABRT)
        self._signal_group(signal.SIGCONT)

    def kill(self) -> None:
        """KILL to the group."""
        self._signal_group(signal.SIGKILL)

    def collect(self) -> str | None:
        """If the leader has ended, kill the rest of its group and reap it.

        Returns
        -------
        str or None
            How it ended, as in ``exit 1`` or ``killed by SIGKILL``; None while it lives.
        """
        if os.waitid(os.P_PIDFD, self.pidfd, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            return None
        self.kill()  # before reaping: the pid, and so the group's number, is still ours
        result = os.waitid(os.P_PIDFD, self.pidfd, os.WEXITED)
        os.close(self.pidfd)
        assert result is not None
        return describe_exit(result.si_code, result.si_status)

    def _signal_group(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)


def describe_exit(code: int, status: int) -> str:
    """Say how a process ended, from ``waitid``'s ``si_code`` and ``si_status``.

    Examples
    --------
    >>> describe_exit(os.CLD_EXITED, 2), describe_exit(os.CLD_KILLED, 9)
    ('exit 2', 'killed by SIGKILL')
    """
    if code == os.CLD_EXITED:
        return f"exit {status}"
    try:
        return f"killed by {signal.Signals(status).name}"
    except ValueError:
        return f"killed by signal {status}"
