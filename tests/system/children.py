"""Real child programs, well-behaved and not, for a supervisor under test: ``children.py BEHAVIOUR`` is the child,
``children.py run SYSTEM ARGUMENTS…`` the command line of ``run_all_services.py`` over a system of such children."""

import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

PULSE_S = 0.1
FLOODING = 6
"""Processes of one service that write to its log without a pause."""


def set_clock() -> None:
    """Let the wall clock of this process be wrong by as many seconds as a file says, from one moment to the next."""
    wrong_by, true_time = Path(os.environ["CHILDREN_CLOCK"]), time.time

    def wrong_time() -> float:
        return true_time() + float(wrong_by.read_text())

    time.time = wrong_time


def say(text: str) -> None:
    address = os.environ["NOTIFY_SOCKET"]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.connect("\0" + address[1:] if address.startswith("@") else address)
        sender.send(text.encode())


def follow_parent() -> None:
    ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != int(os.environ["BGPDRIFT_PARENT_PID"]):
        os._exit(1)


def live() -> None:
    say("READY=1\nSTATUS=at work")
    while True:
        time.sleep(PULSE_S)
        say("WATCHDOG=1")


def behave(behaviour: str) -> None:
    follow_parent()
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    print(f"{behaviour} starts as {os.getpid()}", flush=True)
    if behaviour == "dies":
        print("no luck today", flush=True)
        sys.exit(7)
    if behaviour == "never_ready":
        say("STATUS=still looking for it")
        while True:
            signal.pause()
    if behaviour == "deaf":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if behaviour == "reader":
        from bgpdrift import settings

        read = settings.load()
        print(f"reads client {read.feed.client}", flush=True)
        if (read.data_path / "dies").exists():
            sys.exit(7)
    if behaviour == "degraded":
        say("READY=1\nX_BGPDRIFT_DEGRADED=the feed is away")
    if behaviour == "grows":
        say("READY=1")
        time.sleep(0.5)
        held = b"x" * 200_000_000
        print(f"holds {len(held)}", flush=True)
    if behaviour == "parent":
        # A daemon of its own session, whose parent is gone at once: nobody's child but the subreaper's.
        script = "import os, time; os.setsid(); os.fork() and os._exit(0); time.sleep(600)"
        subprocess.run([sys.executable, "-c", script], check=True)
    if behaviour == "speaks":
        from bgpdrift.process.sd_notify import Notifier

        notifier = Notifier()
        notifier.report_ready("at work")
        while True:
            time.sleep(PULSE_S)
            notifier.report_progress()
    if behaviour == "floods":
        say("READY=1")
        for _ in range(FLOODING):
            if os.fork() == 0:
                while True:
                    os.write(1, b"flood %s\n" % (b"x" * 4000) * 16)
    if behaviour == "chatty":
        say("READY=1")
        number = 0
        while True:
            for _ in range(200):
                number += 1
                os.write(1, b"line %09d %s\n" % (number, b"x" * 80))
            say("WATCHDOG=1")
            time.sleep(0.005)
    live()


def system_of(names: str):  # type: ignore[no-untyped-def]
    from supervisor.services import Service, System

    services, before = [], ()  # what stands after the hyphen is also the table of settings a service reads
    for name in names.split(","):
        command = (sys.executable, str(Path(__file__)), name.split("-")[0])
        reads = frozenset({name.partition("-")[2]}) if "-" in name else frozenset()
        services.append(Service(name, command, after=before, reads=reads, required=not name.endswith("optional")))
        before = (name,)
    return System(tuple(services))


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        if "CHILDREN_CLOCK" in os.environ:
            set_clock()
        if sys.argv[1] == "run":
            from supervisor.cli import main

            sys.exit(main(sys.argv[3:], system_of(sys.argv[2])))
        behave(sys.argv[1])
