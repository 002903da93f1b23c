"""Starts the daemon, and reports to the ``start`` command that it listens. Use it before any thread or event loop exists."""

import os
import select
from pathlib import Path


def fork_daemon(log: Path) -> tuple[bool, int]:
    """Fork twice: the grandchild has no terminal, and its output goes to ``log``.

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
    return True, writing


def wait_until_listening(reading: int, limit_s: float) -> bool:
    """Wait for the byte of the daemon; False if it ended or took too long."""
    poll = select.poll()
    poll.register(reading, select.POLLIN)
    try:
        return bool(poll.poll(int(limit_s * 1000))) and os.read(reading, 1) == b"1"
    finally:
        os.close(reading)
