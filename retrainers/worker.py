"""The worker process of a retrainer: opens the store, runs the phases, reports the result.

Large modules are imported here, after the process was created and given its priority. This module decides which error is
which exit code.
"""

from typing import Any

import msgspec

from bgpdrift import logs
from bgpdrift.clock import SystemClock
from bgpdrift.errors import BgpdriftError, InputError, NotEnoughDataError, PublishRefusedError, SettingsError
from bgpdrift.models import flags
from bgpdrift.models.flags import Claim
from bgpdrift.settings import Settings
from bgpdrift.store import open_store
from retrainers.exits import Exit
from retrainers.run_options import RunOptions
from retrainers.training import train
from retrainers.training_run import Emit, Train, TrainingRun

RESULT_FIGURES = ("f1", "auc", "injected_mean", "alarms_per_day", "drift_psi", "forced")


def work(
    settings: Settings,
    model: str,
    options: RunOptions,
    claim: Claim | None,
    quiet: bool,
    emit: Emit,
    train: Train = train,
) -> int:
    """Train a model; the exit code.

    Parameters
    ----------
    settings : Settings
        All settings.
    model : str
        The model to train.
    options : RunOptions
        Options of the run.
    claim : Claim or None
        The request that this run answers.
    quiet : bool
        Log warnings only, because a progress bar is shown.
    emit : callable
        Sends a line to the parent.
    train : callable
        `retrainers.training.train`.
    """
    logs.configure("warning" if quiet else settings.logs.level, settings.logs.form, service=f"retrain_{model}")

    def require_claim() -> None:
        if claim is not None and not flags.is_held(settings.artifacts_path, claim):
            raise PublishRefusedError(f"{model}: this run no longer holds the claim of its request")

    try:
        with open_store(settings.store_url, busy_timeout_s=settings.store.busy_timeout_s) as store:
            result = TrainingRun(settings, store, SystemClock(), model, options, emit, require_claim, train).run()
    except BgpdriftError as error:
        emit({"event": "retrain.result", "outcome": "failed", "reason": str(error)})
        return int(exit_code_of(error))
    line: dict[str, Any] = {"outcome": result.outcome, "reason": result.reason, "version": result.version, "checks": []}
    if result.metrics is not None:
        line |= {name: getattr(result.metrics, name) for name in RESULT_FIGURES}
        line["checks"] = msgspec.to_builtins(result.metrics.gate.checks) if result.metrics.gate else []
    emit({"event": "retrain.result", **line})
    return int(result.exit)


def exit_code_of(error: BgpdriftError) -> Exit:
    """Choose the exit code of an error.

    Examples
    --------
    >>> exit_code_of(NotEnoughDataError("nothing yet")), exit_code_of(SettingsError("no such key"))
    (<Exit.NOT_ENOUGH_DATA: 4>, <Exit.USAGE: 2>)
    """
    if isinstance(error, NotEnoughDataError):
        return Exit.NOT_ENOUGH_DATA
    if isinstance(error, PublishRefusedError):
        return Exit.REJECTED
    return Exit.USAGE if isinstance(error, SettingsError | InputError) else Exit.INTERNAL
