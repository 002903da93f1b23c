"""Child processes: a session and a process group of their own, a defined environment, an end without a race.

The caller decides when a child is started or ended. `bgpdrift.process.limited_worker` runs a child for one task under limits
of time and memory.
"""

import contextlib
import os
import resource
import select
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bgpdrift.process import procfs

MATH_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")
"""Set to 1 in every child: two threads of a math library beside one busy process raise a 1 ms inference to 127 ms at
the 99th percentile, because each spins while it waits for the processor."""
RUN_VARIABLE = "BGPDRIFT_RUN"
"""Environment variable with the random name of the supervisor's run; all its descendants inherit it."""
SERVICE_VARIABLE = "BGPDRIFT_SERVICE"
_MANAGER_VARIABLES = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_FDS", "LISTEN_PID", "MAINPID")
# exec keeps ignored and blocked signals. Python ignores these two; a child must not inherit that.
_DEFAULT_SIGNALS = (signal.SIGPIPE, signal.SIGXFSZ)
_TRUNCATE = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND


def build_environment(base: Mapping[str, str], *drop: str, **extra: str) -> dict[str, str]:
    """Build the environment of a child: ``base`` without the variables of this process's manager, with one math thread.

    Examples
    --------
    >>> env = build_environment({"NOTIFY_SOCKET": "/run/x", "LANG": "C", "A": "1"}, "A", BGPDRIFT_SERVICE="web")
    >>> sorted(env.keys() - set(MATH_THREADS))
    ['BGPDRIFT_SERVICE', 'LANG']
    """
    env = {key: value for key, value in base.items() if key not in (*_MANAGER_VARIABLES, *drop)}
    return env | dict.fromkeys(MATH_THREADS, "1") | extra


class Child:
    """A process in a session of its own. The caller watches ``pidfd`` and calls `collect` when it is readable."""

    def __init__(self, command: Sequence[str], env: Mapping[str, str], stdout: int | Path, stderr: int | Path) -> None:
        """Start the process, with standard input from ``/dev/null``.

        Call from the main thread only: the parent-death signal of a child follows the thread that started it.

        Parameters
        ----------
        command : sequence of str
            Program, looked up in ``PATH``, and arguments.
        env : mapping
            The whole environment.
        stdout, stderr : int or Path
            An open descriptor, or a file that is emptied first.

        Raises
        ------
        OSError
            The program does not exist, may not be run, or no process can be created.
        """
        self.pid = os.posix_spawnp(
            command[0],
            list(command),
            dict(env),
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                _redirect(stdout, 1),
                _redirect(stderr, 2),
            ],
            setsid=True,
            setsigmask=[],
            setsigdef=_DEFAULT_SIGNALS,
        )
        try:
            self.pidfd = os.pidfd_open(self.pid)
        except OSError:
            # Short of descriptors. A process that is not watched must not run; it is not reaped yet, so its pid is its own.
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
            raise

    def terminate(self) -> None:
        """Send TERM to the group, and CONT, since a stopped process does not act on TERM."""
        signal_group(self.pid, signal.SIGTERM)
        signal_group(self.pid, signal.SIGCONT)

    def abort(self) -> None:
        """Send ABRT to the leader, whose faulthandler then writes its stacks, and CONT in case it is stopped."""
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.pidfd, signal.SIGABRT)
        signal_group(self.pid, signal.SIGCONT)

    def kill(self) -> None:
        """Send KILL to the group."""
        signal_group(self.pid, signal.SIGKILL)

    def collect(self) -> int | None:
        """If the leader has ended, kill the rest of its group and reap it.

        Returns
        -------
        int or None
            The exit code, or the negative number of the signal that killed it; None while it runs.
        """
        # The leader is checked first and reaped last: the kernel cannot reuse the number of its group before.
        if os.waitid(os.P_PIDFD, self.pidfd, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            return None
        return self.kill_and_reap()

    def kill_and_reap(self) -> int:
        """Kill the group, wait for the leader to end, and return its exit code as `collect` does."""
        self.kill()
        result = os.waitid(os.P_PIDFD, self.pidfd, os.WEXITED)
        os.close(self.pidfd)
        assert result is not None
        return result.si_status if result.si_code == os.CLD_EXITED else -result.si_status


def signal_group(pid: int, number: signal.Signals) -> None:
    """Send a signal to a process group; one that has ended is ignored."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)


def kill_if(pid: int, is_target: Callable[[int], bool], *, group: bool = False, wait_s: float = 0.0) -> bool:
    """Kill a running process if it is the one meant; True if it was signalled.

    Parameters
    ----------
    pid : int
        The process.
    is_target : callable
        Decides by the pid. It is called after a pidfd is open, so that a pid reused in between is not hit.
    group : bool
        Kill its process group too.
    wait_s : float
        Longest wait for its end, seconds.
    """
    try:
        pidfd = os.pidfd_open(pid)
    except OSError:
        return False
    try:
        if not is_target(pid) or not procfs.is_running(pid):
            return False
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        if group:
            signal_group(pid, signal.SIGKILL)
        if wait_s:
            poll = select.poll()
            poll.register(pidfd, select.POLLIN)
            poll.poll(int(wait_s * 1000))
    except (ProcessLookupError, PermissionError):
        return False
    finally:
        os.close(pidfd)
    return True


def format_exit(code: int) -> str:
    """Describe the end of a process; a negative code is a signal.

    Examples
    --------
    >>> format_exit(2), format_exit(-9), format_exit(-250)
    ('exit 2', 'killed by SIGKILL', 'killed by signal 250')
    """
    if code >= 0:
        return f"exit {code}"
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"killed by signal {-code}"


@dataclass(frozen=True, slots=True)
class Finished:
    """A command that ran to its end.

    Attributes
    ----------
    exit_code : int
        Negative: the signal that killed it.
    stdout, stderr : str
        What it wrote.
    """

    exit_code: int
    stdout: str
    stderr: str


def run_command(command: Sequence[str], timeout_s: float, environment: Mapping[str, str] | None = None) -> Finished:
    """Run a command to its end, with no input.

    Parameters
    ----------
    command : sequence of str
        Program and arguments.
    timeout_s : float
        It is killed after this time, seconds.
    environment : mapping, optional
        From which `build_environment` makes that of the command; default this process's.

    Raises
    ------
    TimeoutError
        It ran longer than ``timeout_s``.
    OSError
        It cannot be started.
    """
    import subprocess

    try:
        result = subprocess.run(  # noqa: S603 - the callers run programs of this project, without a shell
            command,
            env=build_environment(os.environ if environment is None else environment),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise TimeoutError(f"not finished after {timeout_s:.0f} s") from error
    return Finished(result.returncode, result.stdout, result.stderr)


def limit_own_resources(cpu_s: int, memory_bytes: int) -> None:
    """Limit the processor time and the address space of this process, and write no core file.

    At the limit of processor time the kernel sends XCPU, and five seconds later KILL.
    """
    for what, soft, hard in (
        (resource.RLIMIT_CORE, 0, 0),
        (resource.RLIMIT_CPU, cpu_s, cpu_s + 5),
        (resource.RLIMIT_AS, memory_bytes, memory_bytes),
    ):
        present = resource.getrlimit(what)[1]
        if present != resource.RLIM_INFINITY:
            soft, hard = min(soft, present), min(hard, present)
        resource.setrlimit(what, (soft, hard))


def _redirect(target: int | Path, descriptor: int) -> tuple[int, ...]:
    if isinstance(target, int):
        return (os.POSIX_SPAWN_DUP2, target, descriptor)
    return (os.POSIX_SPAWN_OPEN, descriptor, str(target), _TRUNCATE, 0o640)  # type: ignore[return-value]
