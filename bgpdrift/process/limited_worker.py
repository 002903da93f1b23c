"""Runs a function in a fork of this process under limits of time and memory.

The worker has a process group of its own, so that it and its children end together. A fork needs no second import. The
worker reports through a pipe, one JSON object a line; its standard output is the standard error of this process, because
the standard output of this process is for results. This module decides when the worker is ended, not what it does.
"""

import os
import select
import signal
import sys
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal, NoReturn

import msgspec

from bgpdrift.clock import Clock
from bgpdrift.errors import TransientError
from bgpdrift.process import procfs
from bgpdrift.process.child import MATH_THREADS, signal_group
from bgpdrift.process.parent import die_with_parent
from bgpdrift.process.pause_watch import PauseWatch
from bgpdrift.process.signals import STOP_SIGNALS, StopSignal

Line = dict[str, Any]
Report = Callable[[Mapping[str, Any]], None]
"""The function with which a worker reports one line."""
EndReason = Literal["", "time", "memory", "stop_request", "foreign_signal"]

CHECK_EVERY_S = 0.1
RETRY_S = 10.0
"""Wait before another attempt to create a process."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of a worker.

    Attributes
    ----------
    seconds : float
        Wall time, monotonic, without pauses of the whole machine.
    memory_bytes : int
        Resident memory of the worker and its descendants together.
    grace_s : float
        Seconds between TERM and KILL; a worker beyond its memory limit is killed at once.
    nice : int
        Added to the priority value of this process, so that everything else on the machine runs first.
    """

    seconds: float
    memory_bytes: int
    grace_s: float = 3.0
    nice: int = 10


@dataclass(frozen=True, slots=True)
class WorkerEnd:
    """How a worker ended.

    Attributes
    ----------
    exit_code : int or None
        None if a signal killed it.
    reason : str
        Why it did not end by itself: ``time``, ``memory``, ``stop_request`` (to this process), ``foreign_signal`` (of another
        process); "" if it did.
    signal : int
        The signal that killed it or that requested the stop; 0 for none.
    peak_bytes : int
        Largest memory measured.
    seconds : float
        Wall time without pauses of the whole machine.
    """

    exit_code: int | None
    reason: EndReason
    signal: int
    peak_bytes: int
    seconds: float


def run_limited(
    work: Callable[[Report], int], limits: Limits, on_line: Callable[[Line], None], stop: StopSignal, clock: Clock
) -> WorkerEnd:
    """Run ``work`` in a fork and return when the fork and all its descendants have ended.

    Call from the main thread of a process without other threads: the worker dies with the thread that forked it.

    Parameters
    ----------
    work : callable
        Receives the function to report with; returns the exit code.
    limits : Limits
        The limits of the worker.
    on_line : callable
        Called in this process with each line that the worker reports.
    stop : StopSignal
        Ends the worker when this process is asked to stop.
    clock : Clock
        Measures the limit of time.

    Raises
    ------
    TransientError
        The fork is refused: too many processes, or too little memory.
    """
    reading, writing = os.pipe2(os.O_CLOEXEC)
    sys.stdout.flush()
    sys.stderr.flush()
    parent_pid = os.getpid()
    try:
        pid = os.fork()
    except OSError as error:
        os.close(reading)
        os.close(writing)
        raise TransientError(f"no worker process can be created: {error.strerror}", RETRY_S) from error
    if pid == 0:
        os.close(reading)
        _run_worker(work, limits, writing, parent_pid)
    os.close(writing)
    with suppress(OSError):  # parent and worker both set it, so that it is set whichever runs first
        os.setpgid(pid, pid)
    worker = _Worker(pid, reading, limits, on_line, clock)
    try:
        return worker.watch(stop)
    finally:
        worker.kill_and_reap()


class _Worker:
    """The worker, seen from its parent."""

    def __init__(self, pid: int, reading: int, limits: Limits, on_line: Callable[[Line], None], clock: Clock) -> None:
        self._pid, self._reading, self._limits, self._on_line, self._clock = pid, reading, limits, on_line, clock
        self._pidfd = os.pidfd_open(pid)
        self._started_at = clock.monotonic()
        self._pause_watch = PauseWatch(clock)
        self._reason: EndReason = ""
        self._kill_at = float("inf")
        self._peak_bytes = 0
        self._unfinished_line = b""
        self._status: os.waitid_result | None = None
        os.set_blocking(reading, False)

    def watch(self, stop: StopSignal) -> WorkerEnd:
        poll = select.poll()
        for descriptor in (self._pidfd, self._reading, stop.descriptor):
            poll.register(descriptor, select.POLLIN)
        while True:
            ready = {descriptor for descriptor, _ in poll.poll(CHECK_EVERY_S * 1000)}
            if self._reading in ready and not self._read_lines():
                poll.unregister(self._reading)
            if stop.descriptor in ready:
                poll.unregister(stop.descriptor)
            if self._pidfd in ready:
                break
            self._enforce_limits(bool(stop.number))
        return self._finish(stop.number)

    def kill_and_reap(self) -> None:
        """Kill the worker and its group and reap it, if that has not been done."""
        if self._status is None:
            # Killed before it is reaped: the kernel cannot reuse the number of the group until then.
            signal_group(self._pid, signal.SIGKILL)
            self._status = os.waitid(os.P_PIDFD, self._pidfd, os.WEXITED)
            os.close(self._pidfd)
            os.close(self._reading)

    def _enforce_limits(self, stop_requested: bool) -> None:
        self._allow_for_pause()
        now, memory_bytes = self._clock.monotonic(), _measure_memory_bytes(self._pid)
        self._peak_bytes = max(self._peak_bytes, memory_bytes)
        if memory_bytes > self._limits.memory_bytes and self._reason != "memory":
            self._reason, self._kill_at = "memory", now
        elif not self._reason and (stop_requested or now - self._started_at >= self._limits.seconds):
            self._reason, self._kill_at = "stop_request" if stop_requested else "time", now + self._limits.grace_s
            signal_group(self._pid, signal.SIGTERM)
            signal_group(self._pid, signal.SIGCONT)
        if now >= self._kill_at:
            signal_group(self._pid, signal.SIGKILL)

    def _allow_for_pause(self) -> None:
        """Do not count the time in which the machine was paused: the worker could not work either."""
        paused_s = self._pause_watch.observe()
        self._started_at += paused_s
        self._kill_at += paused_s

    def _finish(self, stop_signal: int) -> WorkerEnd:
        seconds = self._clock.monotonic() - self._started_at
        signal_group(self._pid, signal.SIGKILL)
        self._read_lines()
        self.kill_and_reap()
        assert self._status is not None
        exited = self._status.si_code == os.CLD_EXITED
        reason = self._reason or ("" if exited else "foreign_signal")
        number = stop_signal if reason == "stop_request" else 0 if exited else self._status.si_status
        return WorkerEnd(self._status.si_status if exited else None, reason, number, self._peak_bytes, seconds)

    def _read_lines(self) -> bool:
        """Pass on the lines that have arrived; False when the worker has closed the pipe."""
        while True:
            try:
                data = os.read(self._reading, 65_536)
            except BlockingIOError:
                return True
            if not data:
                return False
            *lines, self._unfinished_line = (self._unfinished_line + data).split(b"\n")
            for line in lines:
                with suppress(msgspec.DecodeError):
                    self._on_line(msgspec.json.decode(line, type=Line))


def _run_worker(work: Callable[[Report], int], limits: Limits, writing: int, parent_pid: int) -> NoReturn:
    code = 1
    try:
        os.setpgid(0, 0)
        die_with_parent(parent_pid)
        for number in STOP_SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        os.nice(limits.nice)
        os.environ.update(dict.fromkeys(MATH_THREADS, "1"))  # before a math library is imported
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        os.dup2(2, 1)

        def report(line: Mapping[str, Any]) -> None:
            data = msgspec.json.encode(line) + b"\n"
            while data:
                data = data[os.write(writing, data) :]

        code = work(report)
    except BaseException:
        traceback.print_exc()
    finally:
        with suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def _measure_memory_bytes(pid: int) -> int:
    return sum(procfs.read_rss_bytes(process) for process in (pid, *procfs.list_descendants(pid)))
