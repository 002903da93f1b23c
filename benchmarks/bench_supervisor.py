"""The supervisor and its services: time to start, to restart and to reply, and memory.

`benchmarks.bench_managers` compares the supervisor with other process managers, with small programs in place of the services.
``ratio_to`` names the limit of each value.
"""

import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

PROGRAM = Path(__file__).parents[1] / "run_all_services.py"
STATUS_CALLS, IDLE_S = 20, 20.0


def _row(name: str, value: float, unit: str, bar: float | None = None) -> dict[str, Any]:
    ratio = round(value / bar, 3) if bar else None
    return {
        "name": name,
        "value": round(value, 2),
        "unit": unit,
        "ratio_to": f"bar {bar:g}" if bar else None,
        "ratio": ratio,
    }


def run() -> list[dict[str, Any]]:
    """Start all services on an empty data directory with an unreachable feed, measure, and stop."""
    with tempfile.TemporaryDirectory() as directory:
        env = os.environ | {
            "BGPDRIFT_DATA_DIR": directory,
            "BGPDRIFT_FEED__URL": "ws://127.0.0.1:9/",
        }
        env.pop("BGPDRIFT_CONFIG", None)

        def command(*arguments: str) -> str:
            return subprocess.run(
                [sys.executable, str(PROGRAM), *arguments],
                env=env,
                cwd=directory,
                capture_output=True,
                text=True,
                timeout=120,
            ).stdout

        began = time.perf_counter()
        command("start")
        cold_s = time.perf_counter() - began
        try:
            rows = [_row("supervisor: cold start to all eight ready", cold_s, "s", 5.0)]
            status = json.loads(command("status", "--json"))
            rows += _memory(status)
            rows.append(_row("supervisor: status, p50", _status_ms(env, directory), "ms", 150.0))
            rows.append(_row("supervisor: idle CPU", _idle_percent(status["supervisor"]["pid"]), "%", 0.3))
            rows.append(
                _row(
                    "supervisor: kill -9 to the new process, first restart", _respawn_ms(directory, status), "ms", 50.0
                )
            )
        finally:
            began = time.perf_counter()
            command("stop")
        rows.append(_row("supervisor: stop", time.perf_counter() - began, "s", 3.0))
        return rows


def _memory(status: dict[str, Any]) -> list[dict[str, Any]]:
    def mib(pid: int) -> float:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20

    rows = [_row("supervisor: resident", mib(status["supervisor"]["pid"]), "MiB", 35.0)]
    sizes = {service["name"]: mib(service["pid"]) for service in status["services"]}
    rows += [_row(f"{name}: resident", size, "MiB") for name, size in sizes.items()]
    rows.append(_row("eight services: resident", sum(sizes.values()), "MiB", 600.0))
    return rows


def _status_ms(env: dict[str, str], directory: str) -> float:
    times_ms = []
    for _ in range(STATUS_CALLS):
        began = time.perf_counter()
        subprocess.run([sys.executable, str(PROGRAM), "status", "--json"], env=env, cwd=directory, capture_output=True)
        times_ms.append((time.perf_counter() - began) * 1e3)
    return statistics.median(times_ms)


def _idle_percent(pid: int) -> float:
    def cpu_s() -> float:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    before = cpu_s()
    time.sleep(IDLE_S)
    return 100.0 * (cpu_s() - before) / IDLE_S


def _respawn_ms(directory: str, status: dict[str, Any]) -> float:
    """Return the median over services, each killed once, since the first restart is immediate."""
    record = Path(directory) / "run" / "children.json"
    times_ms = []
    for service in status["services"]:
        victim = service["pid"]
        os.kill(victim, signal.SIGKILL)
        began = time.perf_counter()
        while True:
            pids = {pid for pid, _ in json.loads(record.read_text())["children"]}
            if victim not in pids and len(pids) == len(status["services"]):
                break
            time.sleep(0.0005)
        times_ms.append((time.perf_counter() - began) * 1e3)
        time.sleep(0.5)
    return statistics.median(times_ms)


def main() -> None:
    """Print the rows."""
    for row in run():
        against = f"   ({row['ratio_to']} {row['unit']})" if row["ratio_to"] else ""
        print(f"{row['name']:<60} {row['value']:>10} {row['unit']}{against}")


if __name__ == "__main__":
    main()
