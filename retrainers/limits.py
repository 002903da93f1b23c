"""A worker process that is held to limits from outside: wall time, memory, priority, and no life after its parent.

The worker is a fork of this small process into a group of its own, so that it and whatever it starts end together, and
so that it need not import again what is here. It speaks through a pipe, one JSON object a line; its standard output is
our standard error, since ours belongs to the results. Decides when a worker has had enough, not what it does.
"""

import ctypes
import os
import select
import signal
import sys
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from types import FrameType
from typing import Any, Literal, NoReturn

import msgspec

from bgpdrift.clock import Clock

Line = dict[str, Any]
Say = Callable[[Mapping[str, Any]], None]
"""What a worker reports with; every line is one JSON object."""
Because = Literal["", "time", "memory", "asked", "died"]

LOOK_EVERY_S = 0.1
MATH_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")
MOST_THREADS = 1
"""Two beside a busy process are many times slower than one: each waits, spinning, for the other to get the processor."""
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True, slots=True)
class Limits:
    """How long and how large a worker may become.

    Attributes
    ----------
    seconds : float
        Wall time, monotonic.
    memory_bytes : int
        Resident memory of the worker and all it started, together.
    grace_s : float
        Between TERM and KILL, seconds; memory gets none.
    nice : int
        Added to our own priority value: everything else on the machine comes first.
    """

    seconds: float
    memory_bytes: int
    grace_s: float = 3.0
    nice: int = 10


@dataclass(frozen=True, slots=True)
class Ended:
    """How it ended.

    Attributes
    ----------
    exit_code : int or None
        Its own word; None if it was killed.
    because : str
        Why we ended it: its time, its memory, somebody asked us; ``died`` if somebody else killed it.
    signal : int
        That killed it, or that asked us.
    peak_bytes : int
        Largest memory seen.
    seconds : float
        Wall time.
    """

    exit_code: int | None
    because: Because
    signal: int
    peak_bytes: int
    seconds: float


class StopRequest:
    """TERM, INT or HUP to us: remembered, and readable as a file descriptor."""

    def __init__(self) -> None:
        self.signal = 0
        self.reading, self._writing = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            if signal.getsignal(number) != signal.SIG_IGN:  # nohup, or a shell's background job
                signal.signal(number, self._handle)

    def _handle(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002 - the signal module's signature
        self.signal = self.signal or number
        with suppress(BlockingIOError):
            os.write(self._writing, b"1")


def run_limited(
    work: Callable[[Say], int], limits: Limits, hear: Callable[[Line], None], stop: StopRequest, clock: Clock
) -> Ended:
    """Let a fork of this process do some work, and return when it is gone and all it started is killed.

    Call from the main thread of a process without others: the worker dies with the thread that forked it.

    Parameters
    ----------
    work : callable
        Gets the function to report with; returns the exit code.
    limits : Limits
        What it is held to.
    hear : callable
        Called here with every line the worker reports.
    stop : StopRequest
        Ends the worker when we are asked to end.
    clock : Clock
        For the limit of time.
    """
    reading, writing = os.pipe2(os.O_CLOEXEC)
    sys.stdout.flush()
    sys.stderr.flush()
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        _become_worker(work, limits, writing, parent)
    os.close(writing)
    with suppress(OSError):  # both do it, so that it is done whoever comes first
        os.setpgid(pid, pid)
    worker = _Worker(pid, reading, limits, hear, clock)
    try:
        return worker.watch(stop)
    finally:
        worker.bury()


class _Worker:
    """The worker, seen from its parent."""

    def __init__(self, pid: int, reading: int, limits: Limits, hear: Callable[[Line], None], clock: Clock) -> None:
        self._pid, self._reading, self._limits, self._hear, self._clock = pid, reading, limits, hear, clock
        self._pidfd = os.pidfd_open(pid)
        self._begun = clock.monotonic()
        self._because: Because = ""
        self._kill_at = float("inf")
        self._peak = 0
        self._rest = b""
        self._status: os.waitid_result | None = None
        os.set_blocking(reading, False)

    def watch(self, stop: StopRequest) -> Ended:
        poll = select.poll()
        for descriptor in (self._pidfd, self._reading, stop.reading):
            poll.register(descriptor, select.POLLIN)
        while True:
            ready = {descriptor for descriptor, _ in poll.poll(LOOK_EVERY_S * 1000)}
            if self._reading in ready and not self._listen():
                poll.unregister(self._reading)
            if stop.reading in ready:
                poll.unregister(stop.reading)
            if self._pidfd in ready:
                break
            self._hold_to_limits(bool(stop.signal))
        return self._ended(stop.signal)

    def bury(self) -> None:
        """End and reap it and its group, whatever happened here."""
        if self._status is None:
            self._signal(signal.SIGKILL)  # before reaping: until then the number of the group is ours
            self._status = os.waitid(os.P_PIDFD, self._pidfd, os.WEXITED)
            os.close(self._pidfd)
            os.close(self._reading)

    def _hold_to_limits(self, asked: bool) -> None:
        now = self._clock.monotonic()
        self._peak = max(self._peak, held := _resident_bytes(self._pid))
        if held > self._limits.memory_bytes and self._because != "memory":
            self._because, self._kill_at = "memory", now
        elif not self._because and (asked or now - self._begun >= self._limits.seconds):
            self._because, self._kill_at = ("asked" if asked else "time"), now + self._limits.grace_s
            self._signal(signal.SIGTERM)
            self._signal(signal.SIGCONT)
        if now >= self._kill_at:
            self._signal(signal.SIGKILL)

    def _ended(self, asked_by: int) -> Ended:
        seconds = self._clock.monotonic() - self._begun
        self._signal(signal.SIGKILL)
        self._listen()  # its last words
        self.bury()
        assert self._status is not None
        exited = self._status.si_code == os.CLD_EXITED
        because = self._because or ("" if exited else "died")
        number = asked_by if because == "asked" else 0 if exited else self._status.si_status
        return Ended(self._status.si_status if exited else None, because, number, self._peak, seconds)

    def _listen(self) -> bool:
        """Hear what it said; False when it has closed its mouth."""
        while True:
            try:
                said = os.read(self._reading, 65_536)
            except BlockingIOError:
                return True
            if not said:
                return False
            *lines, self._rest = (self._rest + said).split(b"\n")
            for line in lines:
                with suppress(msgspec.DecodeError):
                    self._hear(msgspec.json.decode(line, type=Line))

    def _signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._pid, number)


def _become_worker(work: Callable[[Say], int], limits: Limits, writing: int, parent: int) -> NoReturn:
    code = 1
    try:
        os.setpgid(0, 0)
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        os.nice(limits.nice)
        _limit_threads()
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.dup2(2, 1)

        def say(line: Mapping[str, Any]) -> None:
            left = msgspec.json.encode(line) + b"\n"
            while left:
                left = left[os.write(writing, left) :]

        code = work(say)
    except BaseException:
        traceback.print_exc()
    finally:
        with suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def _limit_threads() -> None:
    """One thread of mathematics, before anything mathematical is imported."""
    os.environ.update(dict.fromkeys(MATH_THREADS, str(MOST_THREADS)))


def _resident_bytes(pid: int) -> int:
    """Memory of a process and all its descendants."""
    import psutil

    held = 0
    with suppress(psutil.Error):
        leader = psutil.Process(pid)
        for process in (leader, *leader.children(recursive=True)):
            with suppress(psutil.Error):
                held += process.memory_info().rss
    return held
