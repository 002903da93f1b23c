"""Starts the daemon, and reports to the ``start`` command that it listens. Use it before any thread or event loop exists.

This module decides which descriptors of the caller the daemon keeps: none. A lock of cron or the end of a pipe that stayed
open in the daemon would stay held until the next stop.
"""

import contextlib
import os
import select
from pathlib import Path


def fork_daemon(log: Path) -> tuple[bool, int]:
    """Fork twice: the grandchild has no terminal, its output goes to ``log``, and it keeps no descriptor of the caller.

    Returns
    -------
    (bool, int)
        In the daemon True and the descriptor to which it writes one byte when it listens. In the caller False and the
        descriptor from which it reads that byte; an end of file means that the daemon has ended.
    """
    reading, writing = os.pipe2(os.O_CLOEXEC)
    first = os.fork()
    if first:
        os.close(writing)
        os.waitpid(first, 0)
        return False, reading
    os.setsid()
    if os.fork():
        os._exit(0)
    os.close(reading)
    log.parent.mkdir(parents=True, exist_ok=True)
    null = os.open(os.devnull, os.O_RDONLY)
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o640)
    for source, target in ((null, 0), (output, 1), (output, 2)):
        os.dup2(source, target)
    for source in (null, output):
        if source > 2:
            os.close(source)
    for descriptor in list_inherited_descriptors():
        with contextlib.suppress(OSError):
            os.close(descriptor)
    return True, writing


def list_inherited_descriptors() -> list[int]:
    """List the descriptors above 2 that this program got from its caller.

    A descriptor that passes ``exec`` lacks the close-on-exec mark, and Python sets the mark on each that it opens itself.
    """
    inherited = []
    for entry in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):  # the descriptor of this very listing is closed by now
            if int(entry.name) > 2 and os.get_inheritable(int(entry.name)):
                inherited.append(int(entry.name))
    return inherited


def wait_until_listening(reading: int, limit_s: float) -> bool:
    """Wait for the byte of the daemon; False if it ended or took too long."""
    poll = select.poll()
    poll.register(reading, select.POLLIN)
    try:
        return bool(poll.poll(int(limit_s * 1000))) and os.read(reading, 1) == b"1"
    finally:
        os.close(reading)
