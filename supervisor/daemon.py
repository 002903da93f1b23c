"""Becoming a daemon, and telling the one who typed ``start`` how that went. Before any thread, any event loop."""

import os
import select
from pathlib import Path


def split(log: Path) -> tuple[bool, int]:
    """Fork twice: the grandchild is a session of nobody's terminal, its output goes to ``log``.

    Returns
    -------
    (bool, int)
        In the daemon True and a descriptor to write one byte to once it listens; in the caller False and the
        descriptor to read it from, where the end of file says that the daemon died.
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
    nothing = os.open(os.devnull, os.O_RDONLY)
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o640)
    for source, target in ((nothing, 0), (output, 1), (output, 2)):
        os.dup2(source, target)
    for source in (nothing, output):
        if source > 2:
            os.close(source)
    return True, writing


def listens(reading: int, limit_s: float) -> bool:
    """Wait for the daemon's byte."""
    poll = select.poll()
    poll.register(reading, select.POLLIN)
    try:
        return bool(poll.poll(int(limit_s * 1000))) and os.read(reading, 1) == b"1"
    finally:
        os.close(reading)
