"""Publishing processes that may be killed anywhere: ``publisher.py BASE`` reads orders, a JSON object a line, and forks
one process for each, so that a hundred of them cost one start. The answer is a line with the exit code of that process:
0 done, 7 `TransientError`, 8 `PublishRefusedError`, 9 another error of ours, negative for a signal.

An order names ``folder``, ``version``, ``expected``; ``step``, at which the process kills itself; ``pause``, where it stops
and leaves its pid; ``real``, to have the
candidate tried by the real child process instead of the same reader in this one; and ``calls`` times ``call``, made on
files of no interest beforehand. A tracer that hits the 500th such call of every process then hits the (500 − calls)th of
the publish.
"""

import json
import os
import signal
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import structlog

from bgpdrift.clock import SystemClock
from bgpdrift.errors import BgpdriftError, PublishRefusedError, TransientError
from bgpdrift.models.artifact import from_bytes, read, to_bytes
from bgpdrift.models.model_registry import ModelRegistry
from bgpdrift.models.publication import stage
from bgpdrift.models.verification import verify_file

MODEL = "heuristic"


def trusting(path: Path, model: str, _: int) -> None:
    read(path, model)


def call_often(call: str, times: int, scratch: Path) -> None:
    descriptor = os.open(scratch, os.O_RDWR | os.O_CREAT)
    for _ in range(times):
        with suppress(OSError):
            match call:
                case "fsync":
                    os.fsync(descriptor)
                case "write":
                    os.write(descriptor, b"")
                case "link":
                    os.link(scratch, scratch)
                case "rename":
                    os.replace(scratch, scratch)  # noqa: PTH105
                case "unlink":
                    os.unlink(scratch.parent / "none")  # noqa: PTH108


def publish(raw: bytes, order: dict[str, str]) -> int:
    def at_step(reached: str) -> None:
        if order.get("step") == reached:
            os.kill(os.getpid(), signal.SIGKILL)
        if order.get("pause") == reached:
            Path(order["scratch"]).with_suffix(".pid").write_text(f"{os.getpid()}\n")
            os.kill(os.getpid(), signal.SIGSTOP)

    folder, version = Path(order["folder"]), order["version"]
    verify = verify_file if order.get("real") else trusting
    try:
        candidate = stage(folder, MODEL, version, raw, at_step=at_step, verify=verify)
        registry = ModelRegistry(folder, None, SystemClock(), verify=verify)
        registry.publish(MODEL, candidate, expected_active=order["expected"], at_step=at_step)
    except TransientError:
        return 7
    except PublishRefusedError:
        return 8
    except BgpdriftError:
        return 9
    return 0


def main() -> None:
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())  # a line would count as a call
    base = Path(sys.argv[1])
    artifact = from_bytes(base.read_bytes(), "base", MODEL)
    for line in iter(sys.stdin.readline, ""):
        order = json.loads(line)
        raw = to_bytes(replace(artifact, version=order["version"]))
        child = os.fork()
        if child == 0:
            call_often(order.get("call", ""), order.get("calls", 0), Path(order["scratch"]))
            os._exit(publish(raw, order))
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


if __name__ == "__main__":
    main()
