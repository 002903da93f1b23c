"""The program that every process manager runs eight times: ``manager_child.py NAME BEHAVIOUR``; standard library only.

It writes a line when it starts, then uses sd_notify if the manager offers a socket. The behaviour is what a manager must handle:
``lives``, ``ignores_term``, ``parent`` (has a child, and a daemon in its own session) or ``exits``.
"""

import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable

RECORD = "BENCH_STARTS"
"""Variable with the file that takes a line at each start."""


def main(name: str, behaviour: str) -> int:
    """Run as the child."""
    with open(os.environ[RECORD], "a", encoding="ascii") as record:  # noqa: PTH123 - pathlib would be slow to load
        record.write(f"{name} {os.getpid()} {time.monotonic()}\n")
    _end_with_parent()
    if behaviour == "exits":
        return 1
    if behaviour == "ignores_term":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    else:
        signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
        signal.signal(signal.SIGINT, lambda *_: os._exit(0))
    if behaviour == "parent":
        _have_offspring()
    say = _speaker()
    say("READY=1\nSTATUS=at work")
    pulse_s = int(os.environ.get("WATCHDOG_USEC", "20000000")) / 4e6
    while True:
        time.sleep(pulse_s)
        say("WATCHDOG=1")


def _end_with_parent() -> None:
    """End with the manager if the environment holds its pid, as the services of bgpdrift do; only their supervisor sets it."""
    parent = os.environ.get("BGPDRIFT_PARENT_PID")
    if parent is None:
        return
    ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != int(parent):
        os._exit(1)


def _have_offspring() -> None:
    subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(3600)"])
    daemon = "import os, time; os.setsid(); os.fork() and os._exit(0); time.sleep(3600)"
    subprocess.run([sys.executable, "-S", "-c", daemon], check=True)


def _speaker() -> Callable[[str], object]:
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return lambda _: None
    sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    sender.connect("\0" + address[1:] if address.startswith("@") else address)
    return lambda words: sender.send(words.encode())


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]))
