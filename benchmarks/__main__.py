"""Runs every benchmark of this folder, each in its own process, and prints one table with ratios."""

import importlib
import json
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

from rich.table import Table

from bgpdrift.terminal import make_console

FOLDER = Path(__file__).parent


def main() -> None:
    """Run those named on the command line, or all; ``--markdown`` first prints a table for docs/benchmarks.md."""
    if sys.argv[1:2] == ["--one"]:
        print(json.dumps(importlib.import_module(f"benchmarks.{sys.argv[2]}").run()))
        return
    markdown = sys.argv[1:2] == ["--markdown"]
    names = sys.argv[1 + markdown :] or [*sorted(path.stem for path in FOLDER.glob("bench_*.py")), "simulated_life"]
    table = Table(title=f"bgpdrift, {platform.python_implementation()} {platform.python_version()}, {_processor()}")
    for column in ("what", "value", "unit", "ratio", "to"):
        table.add_column(column, justify="right" if column in ("value", "ratio") else "left")
    failed = False
    cells: list[tuple[str, str, str, str, str]] = []
    for name in names:
        print(f"{name} …", file=sys.stderr, flush=True)
        command = [sys.executable, "-m", "benchmarks", "--one", name]
        done = subprocess.run(command, cwd=FOLDER.parent, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            failed = True
            print(f"{name} failed:\n{done.stderr[-2000:]}", file=sys.stderr)
            continue
        table.add_section()
        for row in json.loads(done.stdout.splitlines()[-1]):
            cells.append(_cells(row))
            table.add_row(*cells[-1])
    if markdown:
        print("| what | value | unit | ratio | to |\n|---|---:|---|---:|---|")
        print("\n".join(f"| {' | '.join(line)} |" for line in cells))
        sys.exit(1 if failed else 0)
    make_console(width=None if sys.stdout.isatty() else 110).print(table)
    sys.exit(1 if failed else 0)


def _cells(row: dict[str, Any]) -> tuple[str, str, str, str, str]:
    value = float(row["value"])
    ratio = row.get("ratio")
    digits = 0 if abs(value) >= 1000 else 1 if abs(value) >= 10 else 2
    return (
        row["name"],
        f"{value:,.{digits}f}",
        row["unit"],
        "" if ratio is None else f"{ratio:.2f}",
        row.get("ratio_to") or "",
    )


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    names = [line.partition(":")[2].strip() for line in info.read_text().splitlines() if line.startswith("model name")]
    return f"{len(names)} x {names[0]}" if names else platform.machine()


if __name__ == "__main__":
    main()
