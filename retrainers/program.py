"""The program around a training run: what it is asked, the lock, the request it answers, the worker, the exit code.

This process stays small. It takes the lock, takes the request (``--from-flag``), forks the worker and holds it to its
limits, then gives both back and says how it ended. Decides what an end means; the training is the worker's.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from retrainers.exits import Exit

if TYPE_CHECKING:
    from bgpdrift.clock import Clock
    from bgpdrift.models.flags import Claim
    from bgpdrift.process.limited_worker import Limits, WorkerEnd
    from bgpdrift.process.limited_worker import Report as ReportLine
    from bgpdrift.settings import Settings
    from retrainers.reporting import Report

EPILOG = (
    "Exit codes: 0 promoted (or a candidate or dry run that passed), 1 internal error or too much memory, 2 bad usage "
    "or settings, 3 rejected by the gate, 4 not enough clean data, 5 another run holds the lock, 6 timed out."
)


@dataclass(frozen=True, slots=True)
class Asked:
    """The command line."""

    days: int | None = None
    dry_run: bool = False
    candidate_only: bool = False
    force: bool = False
    seed: int = 0
    as_json: bool = False
    from_flag: bool = False


def _work(*arguments: Any) -> int:
    """Do `retrainers.worker.work`, which imports everything large, in the worker."""
    from retrainers.worker import work

    return work(*arguments)


def program(model: str, work: Callable[..., int] = _work) -> click.Command:
    """Make the entry point of one model's retrainer; tests hand over another ``work``."""

    @click.command(f"retrain_{model}", context_settings={"help_option_names": ["-h", "--help"]}, epilog=EPILOG)
    @click.option(
        "--days", type=click.IntRange(1, 365), help="Training span back from the newest window; default: retrain.days."
    )
    @click.option("--dry-run", is_flag=True, help="Do everything, write nothing.")
    @click.option("--candidate-only", is_flag=True, help="Leave the model in candidates/ for `bgpdrift promote`.")
    @click.option("--force", is_flag=True, help="Publish although the gate refuses its quality; never a broken model.")
    @click.option("--seed", type=int, default=0, show_default=True, help="Equal seeds and data give equal models.")
    @click.option("--json", "as_json", is_flag=True, help="One JSON line a phase and a final one, also on a terminal.")
    @click.option("--from-flag", is_flag=True, help=f"Answer the request retrain_{model}.flag; 2 if there is none.")
    def command(**options: Any) -> None:
        asked = Asked(**options)
        if asked.dry_run and (asked.from_flag or asked.candidate_only):
            raise click.UsageError("--dry-run writes nothing: neither --from-flag nor --candidate-only goes with it")
        sys.exit(run(model, asked, work))

    command.help = (
        f"Train the {model} model on the newest days in the store, judge it beside the active one, and publish it if it "
        "is no worse."
    )
    return command


def run(model: str, asked: Asked, work: Callable[..., int] = _work) -> int:
    """Run once; the exit code."""
    from bgpdrift import settings as all_settings
    from bgpdrift.clock import SystemClock
    from bgpdrift.errors import AlreadyRunningError, BgpdriftError, SettingsError
    from bgpdrift.process.limited_worker import Limits, StopRequest
    from retrainers.reporting import report_for
    from retrainers.run_lock import RunLock

    report, clock, lock = report_for(model, asked.as_json, tell_progress=asked.from_flag), SystemClock(), None
    begun = clock.monotonic()

    def end(exit_code: int, outcome: str, reason: str, **figures: Any) -> int:
        said = {"outcome": outcome, "reason": reason, "exit_code": exit_code, **figures}
        report.finish({**said, "seconds": round(clock.monotonic() - begun, 3)})
        if exit_code:
            click.echo(f"retrain_{model}: {outcome}: {reason}", err=True)
        return exit_code

    try:
        settings = all_settings.load()
        stop = StopRequest()
        lock = RunLock(settings.artifacts_path, model, clock.now(), leave_no_trace=asked.dry_run)
        claim = _claim(settings.artifacts_path, model) if asked.from_flag else None
        if asked.from_flag and claim is None:
            return end(Exit.USAGE, "no_flag", f"no flag of {model} lies in {settings.artifacts_path}")
        limits = Limits(settings.retrain.time_limit_s, settings.retrain.memory_limit_bytes)
        if asked.from_flag:
            limits = replace(limits, nice=settings.retrain.low_priority)
        options, quiet = _options(asked, settings, claim), sys.stdout.isatty() and not asked.as_json
        task = partial(work, settings, model, options, claim, quiet)
        ended, heard = _supervised(task, limits, report, stop, clock)
        exit_code, outcome, reason = meaning(ended, heard, limits)
        if ended.exit_code is None and not asked.dry_run:
            _tidy(settings, clock, exit_code, reason)
        if claim is not None:
            _give_up(
                settings.artifacts_path, claim, put_back=ended.reason == "stop_request" and ended.exit_code is None
            )
        return end(exit_code, outcome, reason, **heard, peak_bytes=ended.peak_bytes)
    except AlreadyRunningError as error:
        return end(Exit.LOCKED, "locked", str(error))
    except SettingsError as error:
        return end(Exit.USAGE, "failed", str(error))
    except BgpdriftError as error:
        return end(Exit.INTERNAL, "failed", str(error))
    finally:
        if lock is not None:
            lock.close()


def meaning(ended: "WorkerEnd", heard: dict[str, Any], limits: "Limits") -> tuple[int, str, str]:
    """Exit code, word and reason of an end; takes the worker's own word out of what was heard."""
    outcome, reason = str(heard.pop("outcome", "failed")), str(heard.pop("reason", ""))
    peak = f"{ended.peak_bytes / 2**20:,.0f} MiB"
    # One that came to its own end while it was being ended has done its work.
    match ended.reason if ended.exit_code is None else "":
        case "time":
            return Exit.TIMED_OUT, "timed_out", f"ran longer than {limits.seconds:g} s (retrain.time_limit_s)"
        case "memory":
            most = f"{limits.memory_bytes / 2**20:,.0f} MiB (retrain.memory_limit_bytes)"
            return Exit.INTERNAL, "out_of_memory", f"held {peak}, at most {most} allowed"
        case "stop_request":
            return 128 + ended.signal, "interrupted", f"asked to stop by signal {ended.signal}"
        case "foreign_signal":
            return Exit.INTERNAL, "killed", f"killed by signal {ended.signal} at {peak}"
    assert ended.exit_code is not None
    return ended.exit_code, outcome, reason or ("see standard error" if ended.exit_code else "")


def _supervised(
    work: "Callable[[ReportLine], int]", limits: "Limits", report: "Report", stop: Any, clock: "Clock"
) -> "tuple[WorkerEnd, dict[str, Any]]":
    from bgpdrift.process.limited_worker import run_limited

    heard: dict[str, Any] = {}

    def hear(line: dict[str, Any]) -> None:
        if line.get("event") == "retrain.result":
            heard.update({name: value for name, value in line.items() if name != "event"})
        report.hear(line)

    return run_limited(work, limits, hear, stop, clock), heard


def _options(asked: Asked, settings: "Settings", claim: "Claim | None") -> dict[str, Any]:
    import msgspec

    flag = msgspec.to_builtins(claim.flag) if claim else {"requested_by": "command line", "reason": "manual"}
    if claim and "request_id" in claim.flag.details:
        flag["request_id"] = claim.flag.details["request_id"]
    return {
        "days": asked.days or settings.retrain.days,
        "dry_run": asked.dry_run,
        "candidate_only": asked.candidate_only,
        "force": asked.force or bool(claim and claim.flag.force),
        "seed": asked.seed,
        "since_change": asked.days is None,
        "reason": flag,
    }


def _claim(folder: Path, model: str) -> "Claim | None":
    from bgpdrift.models import flags
    from bgpdrift.process.identity import identify_self

    return flags.claim(folder, model, identify_self())


def _give_up(folder: Path, claim: "Claim", put_back: bool) -> None:
    from bgpdrift.models import flags

    (flags.give_back if put_back else flags.release)(folder, claim)


def _tidy(settings: "Settings", clock: "Clock", exit_code: int, reason: str) -> None:
    """Clear away after a worker that was killed; whatever fails here the next run does."""
    from bgpdrift.errors import BgpdriftError
    from bgpdrift.store import open_store
    from retrainers.aftermath import tidy

    try:
        with open_store(settings.store_url, busy_timeout_s=settings.store.busy_timeout_s) as store:
            tidy(settings, store, clock, exit_code, reason)
    except BgpdriftError as error:
        click.echo(f"cannot clear away yet: {error}", err=True)
