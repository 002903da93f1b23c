"""Runs a worker under limits and prints how it ended: ``limited.py BEHAVIOUR SECONDS MEMORY_MB``."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from bgpdrift.clock import SystemClock
from bgpdrift.process.limited_worker import Limits, StopRequest, run_limited


def behave(behaviour: str, say) -> int:  # type: ignore[no-untyped-def]
    say({"event": "born", "pid": os.getpid(), "nice": os.nice(0), "threads": os.environ["OMP_NUM_THREADS"]})
    if behaviour == "deaf":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        say({"event": "deaf"})
    if behaviour == "grows":
        held = []
        while True:
            held.append(b"x" * 20_000_000)
            time.sleep(0.01)
    if behaviour == "child_grows":
        script = "held = []\nimport time\nwhile True:\n    held.append(b'x' * 20_000_000); time.sleep(0.01)"
        subprocess.run([sys.executable, "-c", script], check=False)
    if behaviour in ("forks", "forks_and_ends"):
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        say({"event": "forked", "pid": child.pid})
        if behaviour == "forks_and_ends":
            return 0
    if behaviour == "raises":
        raise RuntimeError("no luck today")
    if behaviour == "kills_itself":
        os.kill(os.getpid(), signal.SIGKILL)
    if behaviour == "chatty":
        for number in range(20_000):
            say({"event": "line", "number": number})
        return 0
    if behaviour.isdecimal():
        print("this is not for programs to read")
        return int(behaviour)
    while True:
        time.sleep(600)


if __name__ == "__main__":
    heard = []

    def hear(line: dict[str, object]) -> None:
        heard.append(line)
        if line["event"] in ("forked", "deaf") or len(sys.argv) > 4:
            Path("heard").write_text(json.dumps(heard))

    name, seconds, memory_mb = sys.argv[1], float(sys.argv[2]), int(sys.argv[3])
    limits = Limits(seconds, memory_mb * 1_000_000, grace_s=0.3)
    ended = run_limited(lambda say: behave(name, say), limits, hear, StopRequest(), SystemClock())
    print(
        json.dumps(
            {"exit": ended.exit_code, "reason": ended.reason, "signal": ended.signal, "lines": len(heard)}
            | {"heard": heard[:3], "peak": ended.peak_bytes}
        )
    )
