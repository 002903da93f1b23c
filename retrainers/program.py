"""The command of a retrainer: options, run lock, claim of the flag file, worker, exit code.

This process stays small: large modules are imported in the worker. It takes the lock, claims the request
(``--from-flag``), forks the worker, enforces its limits, then releases both and reports the end. This module decides what
an end means; the worker trains.
"""

import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bgpdrift.terminal import echo
from retrainers.exits import Exit

if TYPE_CHECKING:
    from bgpdrift.clock import Clock
    from bgpdrift.models.flags import Claim
    from bgpdrift.process.limited_worker import Limits, WorkerEnd
    from bgpdrift.process.limited_worker import Report as Emit
    from bgpdrift.settings import Settings
    from retrainers.reporting import Reporter
    from retrainers.run_options import CommandLine

EPILOG = (
    "Exit codes: 0 published (or a candidate or dry run that passed), 1 internal error or too much memory, 2 wrong "
    "arguments or settings, 3 rejected by the gate, 4 not enough clean data, 5 another run holds the lock, 6 timed out."
)


def _work(*arguments: Any) -> int:
    """Import and call `retrainers.worker.work` in the worker process."""
    from retrainers.worker import work

    return work(*arguments)


def program(model: str, work: Callable[..., int] = _work) -> click.Command:
    """Build the command of one model's retrainer. Tests pass another ``work``."""

    @click.command(f"retrain_{model}", context_settings={"help_option_names": ["-h", "--help"]}, epilog=EPILOG)
    @click.option(
        "--days",
        type=click.IntRange(1, 365),
        help="Days of data before the newest window to train on; default: retrain.days.",
    )
    @click.option("--dry-run", is_flag=True, help="Run all phases and write nothing.")
    @click.option(
        "--candidate-only", is_flag=True, help="Do not publish; keep the model in candidates/ for `bgpdrift promote`."
    )
    @click.option("--force", is_flag=True, help="Publish also if the gate refuses the quality of the model.")
    @click.option(
        "--seed",
        type=int,
        default=0,
        show_default=True,
        help="Seed of all random numbers; equal seeds and data give equal models.",
    )
    @click.option(
        "--json", "as_json", is_flag=True, help="Print one JSON line per phase and a final one, also on a terminal."
    )
    @click.option("--from-flag", is_flag=True, help=f"Run for the flag file retrain_{model}.flag; exit 2 without one.")
    def command(**options: Any) -> None:
        from retrainers.run_options import CommandLine

        command_line = CommandLine(**options)
        if command_line.dry_run and (command_line.from_flag or command_line.candidate_only):
            raise click.UsageError(
                "--dry-run writes nothing and cannot be combined with --from-flag or --candidate-only"
            )
        sys.exit(run(model, command_line, work))

    command.help = (
        f"Train the {model} model on the newest days in the store, compare it with the active model, and publish it if it "
        "is no worse."
    )
    return command


def run(model: str, command_line: "CommandLine", work: Callable[..., int] = _work) -> int:
    """Run once; the exit code."""
    from bgpdrift import settings as all_settings
    from bgpdrift.clock import SystemClock
    from bgpdrift.errors import AlreadyRunningError, BgpdriftError, SettingsError
    from bgpdrift.models.run_lock import RunLock
    from bgpdrift.process.limited_worker import Limits
    from bgpdrift.process.signals import StopSignal, ignore_unknown_signals
    from retrainers.reporting import choose_reporter
    from retrainers.run_options import RunOptions

    from_flag, clock, lock = command_line.from_flag, SystemClock(), None
    reporter = choose_reporter(model, command_line.as_json, report_progress=from_flag)
    begun = clock.monotonic()

    def finish(exit_code: int, outcome: str, reason: str, **figures: Any) -> int:
        line = {"outcome": outcome, "reason": reason, "exit_code": exit_code, **figures}
        reporter.finish({**line, "seconds": round(clock.monotonic() - begun, 3)})
        if exit_code:
            echo(f"retrain_{model}: {outcome}: {reason}", err=True)
        return exit_code

    try:
        ignore_unknown_signals()
        settings = all_settings.load_existing()
        stop = StopSignal(ends_at_second=False)  # the worker has a grace period, at whose end it is killed
        lock = RunLock(settings.artifacts_path, model, clock.now(), read_only=command_line.dry_run)
        claim = _claim(settings.artifacts_path, model) if from_flag else None
        if from_flag and claim is None:
            return finish(Exit.USAGE, "no_flag", f"there is no retrain_{model}.flag in {settings.artifacts_path}")
        limits = Limits(settings.retrain.time_limit_s, settings.retrain.memory_limit_bytes)
        if from_flag:
            limits = replace(limits, nice=settings.retrain.niceness)
        options = RunOptions.of(command_line, settings, claim.flag if claim else None)
        quiet = sys.stdout.isatty() and not command_line.as_json
        task = partial(work, settings, model, options, claim, quiet)
        worker_end, result = _run_worker(task, limits, reporter, stop, clock)
        exit_code, outcome, reason = interpret_end(worker_end, result, limits)
        if worker_end.exit_code is None and not command_line.dry_run:
            _clean_up(settings, clock, exit_code, reason)
        if claim is not None:
            was_stopped = worker_end.reason == "stop_request" and worker_end.exit_code is None
            _end_claim(settings.artifacts_path, claim, give_back=was_stopped)
        return finish(exit_code, outcome, reason, **result, peak_bytes=worker_end.peak_bytes)
    except AlreadyRunningError as error:
        return finish(Exit.LOCKED, "locked", str(error))
    except SettingsError as error:
        return finish(Exit.USAGE, "failed", str(error))
    except BgpdriftError as error:
        return finish(Exit.INTERNAL, "failed", str(error))
    finally:
        if lock is not None:
            lock.close()


def interpret_end(worker_end: "WorkerEnd", result: dict[str, Any], limits: "Limits") -> tuple[int, str, str]:
    """Return exit code, outcome and reason of an end; removes outcome and reason from the worker's result."""
    outcome, reason = str(result.pop("outcome", "failed")), str(result.pop("reason", ""))
    peak = f"{worker_end.peak_bytes / 2**20:,.0f} MiB"
    # A worker that exits by itself while it is being ended has finished its work.
    match worker_end.reason if worker_end.exit_code is None else "":
        case "time":
            return Exit.TIMED_OUT, "timed_out", f"the run took longer than {limits.seconds:g} s (retrain.time_limit_s)"
        case "memory":
            allowed = f"{limits.memory_bytes / 2**20:,.0f} MiB (retrain.memory_limit_bytes)"
            return Exit.INTERNAL, "out_of_memory", f"the run used {peak}; at most {allowed} is allowed"
        case "stop_request":
            return 128 + worker_end.signal, "interrupted", f"stopped by signal {worker_end.signal}"
        case "foreign_signal":
            return Exit.INTERNAL, "killed", f"killed by signal {worker_end.signal} at {peak}"
    assert worker_end.exit_code is not None
    return worker_end.exit_code, outcome, reason or ("see standard error" if worker_end.exit_code else "")


def _run_worker(
    work: "Callable[[Emit], int]", limits: "Limits", reporter: "Reporter", stop: Any, clock: "Clock"
) -> "tuple[WorkerEnd, dict[str, Any]]":
    from bgpdrift.process.limited_worker import run_limited

    result: dict[str, Any] = {}

    def handle_line(line: dict[str, Any]) -> None:
        if line.get("event") == "retrain.result":
            result.update({name: value for name, value in line.items() if name != "event"})
        reporter.report(line)

    return run_limited(work, limits, handle_line, stop, clock), result


def _claim(folder: Path, model: str) -> "Claim | None":
    from bgpdrift.models import flags
    from bgpdrift.process.identity import identify_self

    return flags.claim(folder, model, identify_self())


def _end_claim(folder: Path, claim: "Claim", give_back: bool) -> None:
    from bgpdrift.models import flags

    (flags.give_back if give_back else flags.release)(folder, claim)


def _clean_up(settings: "Settings", clock: "Clock", exit_code: int, reason: str) -> None:
    """Clean up after a killed worker; if that fails, the next run does it."""
    from bgpdrift.errors import BgpdriftError
    from bgpdrift.store import open_store
    from retrainers.unfinished_runs import close_unfinished_runs

    try:
        with open_store(settings.store_url, busy_timeout_s=settings.store.busy_timeout_s) as store:
            close_unfinished_runs(settings, store, clock, exit_code, reason)
    except BgpdriftError as error:
        echo(f"retrain: the files of the killed run are not removed yet: {error}", err=True)
