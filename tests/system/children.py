"""Child programs with various behaviours, for a supervisor under test.

``children.py BEHAVIOUR`` is the child. ``children.py run SYSTEM ARGUMENTS…`` is the command line of ``run_all_services.py`` for
a system of such children.
"""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from bgpdrift.process.parent import follow_parent

PULSE_S = 0.1
FLOODING_PROCESSES = 6
"""Processes of one service that write to its log without a pause."""


def set_clock() -> None:
    """Make the wall clock of this process wrong by the number of seconds in a file, which may change at any time."""
    wrong_by, true_time = Path(os.environ["CHILDREN_CLOCK"]), time.time

    def wrong_time() -> float:
        return true_time() + float(wrong_by.read_text())

    time.time = wrong_time


def notify(text: str) -> None:
    address = os.environ["NOTIFY_SOCKET"]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.connect("\0" + address[1:] if address.startswith("@") else address)
        sender.send(text.encode())


def work() -> None:
    notify("READY=1\nSTATUS=working")
    while True:
        time.sleep(PULSE_S)
        notify("WATCHDOG=1")


class _Idle:
    def step(self) -> bool:
        return False

    def status(self) -> str:
        return "idle"

    def close(self) -> None:
        pass


def behave(behaviour: str) -> None:
    if behaviour == "runtime":
        from bgpdrift.services import runtime

        runtime.run("runtime", lambda _settings, _clock: _Idle(), lambda _settings: 60.0)
    follow_parent()
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    print(f"{behaviour} starts as {os.getpid()}", flush=True)
    if behaviour == "dies":
        print("the disk is broken", flush=True)
        sys.exit(7)
    if behaviour == "never_ready":
        notify("STATUS=searching")
        while True:
            signal.pause()
    if behaviour == "ignores_term":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if behaviour == "reader":
        from bgpdrift import settings

        loaded = settings.load()
        print(f"reads client {loaded.feed.client}", flush=True)
        if (loaded.data_path / "dies").exists():
            sys.exit(7)
    if behaviour == "degraded":
        notify("READY=1\nX_BGPDRIFT_DEGRADED=the feed is unavailable")
    if behaviour == "grows":
        notify("READY=1")
        time.sleep(0.5)
        allocated = b"x" * 200_000_000
        print(f"holds {len(allocated)}", flush=True)
    if behaviour == "parent":
        # A daemon in a session of its own whose parent ends at once, so that the subreaper adopts it.
        script = "import os, time; os.setsid(); os.fork() and os._exit(0); time.sleep(600)"
        subprocess.run([sys.executable, "-c", script], check=True)
    if behaviour == "notifies":
        from bgpdrift.process.sd_notify import Notifier

        notifier = Notifier()
        notifier.report_ready("working")
        while True:
            time.sleep(PULSE_S)
            notifier.report_progress()
    if behaviour == "floods":
        notify("READY=1")
        for _ in range(FLOODING_PROCESSES):
            if os.fork() == 0:
                while True:
                    os.write(1, b"flood %s\n" % (b"x" * 4000) * 16)
    if behaviour == "verbose":
        notify("READY=1")
        number = 0
        while True:
            for _ in range(200):
                number += 1
                os.write(1, b"line %09d %s\n" % (number, b"x" * 80))
            notify("WATCHDOG=1")
            time.sleep(0.005)
    work()


def build_system(names: str):  # type: ignore[no-untyped-def]
    """Build a system of children that start one after the other; the part after a hyphen is the section that one reads."""
    from supervisor.services import Service, System

    services, before = [], ()
    for name in names.split(","):
        command = (sys.executable, str(Path(__file__)), name.split("-")[0])
        reads = frozenset({name.partition("-")[2]}) if "-" in name else frozenset()
        services.append(Service(name, command, after=before, reads=reads, required=not name.endswith("optional")))
        before = (name,)
    blocked = os.environ.get("CHILDREN_NOT_PREPARED")
    script = (
        "import os, sys; os.path.exists(sys.argv[1]) and (print('the disk is full', file=sys.stderr), sys.exit(75))"
    )
    prepare = (sys.executable, "-c", script, blocked) if blocked else ()
    return System(tuple(services), prepare=prepare)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        if "CHILDREN_CLOCK" in os.environ:
            set_clock()
        if sys.argv[1] == "run":
            from supervisor.cli import main

            sys.exit(main(sys.argv[3:], build_system(sys.argv[2])))
        behave(sys.argv[1])
