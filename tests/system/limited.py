"""Runs a worker under limits and prints how it ended: ``limited.py BEHAVIOUR SECONDS MEMORY_MB``."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from bgpdrift.clock import SystemClock
from bgpdrift.process.limited_worker import Limits, Report, run_limited
from bgpdrift.process.signals import StopSignal


def behave(behaviour: str, report: Report) -> int:
    report({"event": "started", "pid": os.getpid(), "nice": os.nice(0), "threads": os.environ["OMP_NUM_THREADS"]})
    if behaviour == "ignores_term":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        report({"event": "ignores_term"})
    if behaviour == "grows":
        allocated = []
        while True:
            allocated.append(b"x" * 20_000_000)
            time.sleep(0.01)
    if behaviour == "child_grows":
        script = "held = []\nimport time\nwhile True:\n    held.append(b'x' * 20_000_000); time.sleep(0.01)"
        subprocess.run([sys.executable, "-c", script], check=False)
    if behaviour in ("forks", "forks_and_ends"):
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        report({"event": "forked", "pid": child.pid})
        if behaviour == "forks_and_ends":
            return 0
    if behaviour == "raises":
        raise RuntimeError("the disk is broken")
    if behaviour == "kills_itself":
        os.kill(os.getpid(), signal.SIGKILL)
    if behaviour == "verbose":
        for number in range(20_000):
            report({"event": "line", "number": number})
        return 0
    if behaviour.isdecimal():
        print("this is not for programs to read")
        return int(behaviour)
    while True:
        time.sleep(600)


if __name__ == "__main__":
    lines = []

    def on_line(line: dict[str, object]) -> None:
        lines.append(line)
        if line["event"] in ("forked", "ignores_term") or len(sys.argv) > 4:
            Path("reports").write_text(json.dumps(lines))

    name, seconds, memory_mb = sys.argv[1], float(sys.argv[2]), int(sys.argv[3])
    limits = Limits(seconds, memory_mb * 1_000_000, grace_s=0.3)
    ended = run_limited(
        lambda report: behave(name, report), limits, on_line, StopSignal(ends_at_second=False), SystemClock()
    )
    print(
        json.dumps(
            {"exit": ended.exit_code, "reason": ended.reason, "signal": ended.signal, "lines": len(lines)}
            | {"first_lines": lines[:3], "peak": ended.peak_bytes}
        )
    )
