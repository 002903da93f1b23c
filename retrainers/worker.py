"""The work of a retrainer's worker process: opens the store, runs the phases, reports the result.

Everything large is imported here, after the process was created and given its priority. This module decides which error is
which exit code.
"""

from collections.abc import Mapping
from typing import Any

from bgpdrift import logs
from bgpdrift.clock import SystemClock
from bgpdrift.errors import BgpdriftError, InputError, NotEnoughDataError, PublishRefusedError, SettingsError
from bgpdrift.models import flags
from bgpdrift.models.flags import Claim
from bgpdrift.process.limited_worker import Report
from bgpdrift.settings import Settings
from bgpdrift.store import open_store
from retrainers.exits import Exit
from retrainers.phases import Options, Run, Train
from retrainers.training import train


def work(
    settings: Settings,
    model: str,
    options: Mapping[str, Any],
    claim: Claim | None,
    quiet: bool,
    report: Report,
    train: Train = train,
) -> int:
    """Train a model; returns the exit code.

    Parameters
    ----------
    settings : Settings
        All settings.
    model : str
        The model.
    options : mapping
        Fields of `Options`.
    claim : Claim or None
        The claim of the retraining request that this run answers.
    quiet : bool
        Whether only warnings are logged, because a progress bar is shown.
    report : callable
        Reports a line; see `bgpdrift.process.limited_worker`.
    train : callable
        `retrainers.training.train`.
    """
    logs.configure("warning" if quiet else settings.logs.level, settings.logs.form, service=f"retrain_{model}")

    def guard() -> None:
        if claim is not None and not flags.is_held(settings.artifacts_path, claim):
            raise PublishRefusedError(f"{model}: another process has taken the request that this run answers")

    try:
        with open_store(settings.store_url, busy_timeout_s=settings.store.busy_timeout_s) as store:
            result = Run(settings, store, SystemClock(), model, Options(**options), report, guard, train)()
    except BgpdriftError as error:
        report({"event": "retrain.result", "outcome": "failed", "reason": str(error)})
        return int(choose_exit(error))
    names = ("f1", "auc", "injected_mean", "alarms_per_day", "drift_psi", "forced")
    figures = {name: result.figures[name] for name in names if name in result.figures}
    result_fields = {"outcome": result.outcome, "reason": result.reason, "version": result.version}
    report(
        {
            "event": "retrain.result",
            **result_fields,
            **figures,
            "checks": result.figures.get("gate", {}).get("checks", []),
        }
    )
    return int(result.exit)


def choose_exit(error: BgpdriftError) -> Exit:
    """Return the exit code of an error.

    Examples
    --------
    >>> choose_exit(NotEnoughDataError("nothing yet")), choose_exit(SettingsError("no such key"))
    (<Exit.NOT_ENOUGH_DATA: 4>, <Exit.USAGE: 2>)
    """
    if isinstance(error, NotEnoughDataError):
        return Exit.NOT_ENOUGH_DATA
    if isinstance(error, PublishRefusedError):
        return Exit.REJECTED
    return Exit.USAGE if isinstance(error, SettingsError | InputError) else Exit.INTERNAL
