"""How a service's output gets from its pipe to its log file without anybody waiting for anybody.

The loop empties the pipes and hands whole lines to a thread, which alone touches the disk. A disk that hangs or is full
stalls that thread, not the loop and not a service: what does not fit into the bounded queue is dropped, counted, and the
count is written down once there is room. Why pipes: docs/decisions/0006-service-logs.md.
"""

import contextlib
import fcntl
import os
import queue
import threading
from collections.abc import Callable

import msgspec

_READ_BYTES = 65_536
_PIPE_BYTES = 1_048_576
_LONGEST_LINE = 262_144
_TAIL_BYTES = 8_192
_F_SETPIPE_SZ = 1031


class LineWriter:
    """A thread that writes lines to a sink; `put` never blocks.

    ``sink(name, lines)`` returns how many bytes it could not write.
    """

    def __init__(self, sink: Callable[[str, bytes], int], max_queued_bytes: int = 8_000_000) -> None:
        self._sink, self._max_queued = sink, max_queued_bytes
        self._queue: queue.SimpleQueue[tuple[str, bytes] | Callable[[], None] | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._queued = 0
        self._dropped: dict[str, int] = {}
        self._thread = threading.Thread(target=self._run, name="log-writer", daemon=True)
        self._thread.start()

    def put(self, name: str, lines: bytes) -> None:
        """Queue lines, or count them as dropped."""
        with self._lock:
            if self._queued + len(lines) > self._max_queued:
                self._dropped[name] = self._dropped.get(name, 0) + len(lines)
                return
            self._queued += len(lines)
        self._queue.put((name, lines))

    def call(self, action: Callable[[], None]) -> None:
        """Let the thread do something else that waits for the disk, after the lines put so far."""
        self._queue.put(action)

    def close(self, limit_s: float = 2.0) -> None:
        """Write what is queued, for at most ``limit_s`` seconds."""
        self._queue.put(None)
        self._thread.join(limit_s)

    def _run(self) -> None:
        while (item := self._queue.get()) is not None:
            if callable(item):
                with contextlib.suppress(
                    OSError, RuntimeError
                ):  # the disk refuses, or the loop it answers to has ended
                    item()
                continue
            name, lines = item
            with self._lock:
                dropped = self._dropped.pop(name, 0)
            if dropped:
                note = msgspec.json.encode({"event": "log.dropped", "level": "warning", "bytes": dropped}) + b"\n"
                if self._sink(name, note):
                    self._count(name, dropped)
            self._count(name, self._sink(name, lines))
            with self._lock:
                self._queued -= len(lines)

    def _count(self, name: str, lost: int) -> None:
        if lost:
            with self._lock:
                self._dropped[name] = self._dropped.get(name, 0) + lost


class LogCapture:
    """One service's pipe, which outlives its processes, and the last lines that came through it."""

    def __init__(self, put: Callable[[bytes], None]) -> None:
        self._put = put
        self._read, self.write_end = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(self._read, False)
        with contextlib.suppress(OSError):  # beyond the user's share of pipe memory: the usual 64 KiB then
            fcntl.fcntl(self._read, _F_SETPIPE_SZ, _PIPE_BYTES)
        self._unfinished = b""
        self._tail = b""

    def fileno(self) -> int:
        """Give the reading end, for the event loop."""
        return self._read

    def read_some(self) -> bool:
        """Take one bite; True if there was any. One bite a turn keeps a chatty service from starving the others."""
        try:
            data = os.read(self._read, _READ_BYTES)
        except BlockingIOError:
            return False
        self._tail = (self._tail + data)[-_TAIL_BYTES:]
        data = self._unfinished + data
        cut = data.rfind(b"\n") + 1
        if not cut and len(data) > _LONGEST_LINE:
            data, cut = data + b"\n", len(data) + 1
        self._unfinished = data[cut:]
        if cut:
            self._put(data[:cut])
        return True

    def finish(self) -> None:
        """Take all that a process left when it ended, its unfinished last line included."""
        for _ in range(2 * _PIPE_BYTES // _READ_BYTES):  # bounded: a grandchild may go on writing
            if not self.read_some():
                break
        if self._unfinished:
            self._put(self._unfinished + b"\n")
            self._unfinished = b""

    def forget_tail(self) -> None:
        """Start the last lines anew, with a new process."""
        self._tail = b""

    def last_lines(self, count: int) -> list[str]:
        """Give the newest lines, oldest first."""
        lines = self._tail.decode("utf-8", "replace").splitlines()
        return [line for line in lines if line.strip()][-count:]

    def close(self) -> None:
        """Close both ends."""
        os.close(self._read)
        os.close(self.write_end)
