"""Takes the output of a service from its pipe to its log file.

The event loop empties the pipes and passes whole lines to a thread, which alone accesses the disk. A disk that hangs or is
full stalls that thread, but neither the loop nor a service. Lines that do not fit into the bounded queue are dropped and
counted, and the count is written when there is room again. Why pipes: docs/decisions/0006-service-logs.md.
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
_MAX_LINE_BYTES = 262_144
_TAIL_BYTES = 8_192
_F_SETPIPE_SZ = 1031


class LineWriter:
    """A thread that writes lines to a sink.

    Parameters
    ----------
    sink : callable
        Takes a name and lines; returns the number of bytes that it could not write.
    max_queued_bytes : int
        Bytes that wait in the queue at most.
    """

    def __init__(self, sink: Callable[[str, bytes], int], max_queued_bytes: int = 8_000_000) -> None:
        self._sink, self._max_queued_bytes = sink, max_queued_bytes
        self._queue: queue.SimpleQueue[tuple[str, bytes] | Callable[[], None] | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._queued_bytes = 0
        self._dropped_bytes: dict[str, int] = {}
        self._thread = threading.Thread(target=self._run, name="log-writer", daemon=True)
        self._thread.start()

    def put(self, name: str, lines: bytes) -> None:
        """Queue lines, or count them as dropped; never blocks."""
        with self._lock:
            if self._queued_bytes + len(lines) > self._max_queued_bytes:
                self._dropped_bytes[name] = self._dropped_bytes.get(name, 0) + len(lines)
                return
            self._queued_bytes += len(lines)
        self._queue.put((name, lines))

    def call(self, action: Callable[[], None]) -> None:
        """Run another action that may wait for the disk, on the thread and after the lines queued so far."""
        self._queue.put(action)

    def close(self, limit_s: float = 2.0) -> None:
        """Write what is queued, for at most ``limit_s`` seconds."""
        self._queue.put(None)
        self._thread.join(limit_s)

    def _run(self) -> None:
        while (item := self._queue.get()) is not None:
            if callable(item):
                # OSError: the disk failed. RuntimeError: the event loop that the action calls has ended.
                with contextlib.suppress(OSError, RuntimeError):
                    item()
                continue
            name, lines = item
            with self._lock:
                dropped = self._dropped_bytes.pop(name, 0)
            if dropped:
                note = msgspec.json.encode({"event": "log.dropped", "level": "warning", "bytes": dropped}) + b"\n"
                if self._sink(name, note):
                    self._count_dropped(name, dropped)
            self._count_dropped(name, self._sink(name, lines))
            with self._lock:
                self._queued_bytes -= len(lines)

    def _count_dropped(self, name: str, count: int) -> None:
        if count:
            with self._lock:
                self._dropped_bytes[name] = self._dropped_bytes.get(name, 0) + count


class LogCapture:
    """The output pipe of one service, which outlives its processes, and the last lines that came through it.

    Parameters
    ----------
    put : callable
        Takes whole lines.
    """

    def __init__(self, put: Callable[[bytes], None]) -> None:
        self._put = put
        self._read_end, self.write_end = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(self._read_end, False)
        with contextlib.suppress(OSError):  # beyond the user's share of pipe memory the pipe keeps its 64 KiB
            fcntl.fcntl(self._read_end, _F_SETPIPE_SZ, _PIPE_BYTES)
        self._unfinished_line = b""
        self._tail = b""

    def fileno(self) -> int:
        """Return the reading end, for the event loop."""
        return self._read_end

    def read_chunk(self) -> bool:
        """Read one chunk; False if there was none. One chunk for each call, so that no service starves the others."""
        try:
            data = os.read(self._read_end, _READ_BYTES)
        except BlockingIOError:
            return False
        self._tail = (self._tail + data)[-_TAIL_BYTES:]
        data = self._unfinished_line + data
        cut = data.rfind(b"\n") + 1
        if not cut and len(data) > _MAX_LINE_BYTES:
            data, cut = data + b"\n", len(data) + 1
        self._unfinished_line = data[cut:]
        if cut:
            self._put(data[:cut])
        return True

    def drain(self) -> None:
        """Read all that an ended process left in the pipe, its unfinished last line included."""
        for _ in range(2 * _PIPE_BYTES // _READ_BYTES):  # bounded, since a descendant may still write
            if not self.read_chunk():
                break
        if self._unfinished_line:
            self._put(self._unfinished_line + b"\n")
            self._unfinished_line = b""

    def clear_tail(self) -> None:
        """Forget the last lines, before a new process."""
        self._tail = b""

    def last_lines(self, count: int) -> list[str]:
        """Return the newest lines, oldest first."""
        lines = self._tail.decode("utf-8", "replace").splitlines()
        return [line for line in lines if line.strip()][-count:]

    def close(self) -> None:
        """Close both ends."""
        os.close(self._read_end)
        os.close(self.write_end)
