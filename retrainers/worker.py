"""What the worker process does: open the store, run the phases, say what came of it.

Everything large is imported here, after the process was made and given its priority. Decides only which error is which
exit code.
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
    asked: Mapping[str, Any],
    claim: Claim | None,
    quiet: bool,
    say: Report,
    train: Train = train,
) -> int:
    """Train a model; the exit code.

    Parameters
    ----------
    settings : Settings
        All of them.
    model : str
        Which one.
    asked : mapping
        Fields of `Options`.
    claim : Claim or None
        The request this run answers.
    quiet : bool
        Only warnings are logged: somebody looks at a progress bar.
    say : callable
        See `bgpdrift.process.limited_worker`.
    train : callable
        `retrainers.training.train`.
    """
    logs.configure("warning" if quiet else settings.logs.level, settings.logs.form, service=f"retrain_{model}")

    def guard() -> None:
        if claim is not None and not flags.is_held(settings.artifacts_path, claim):
            raise PublishRefusedError(f"{model}: the request this run answers was taken by another")

    try:
        with open_store(settings.store_url, busy_timeout_s=settings.store.busy_timeout_s) as store:
            result = Run(settings, store, SystemClock(), model, Options(**asked), say, guard, train)()
    except BgpdriftError as error:
        say({"event": "retrain.result", "outcome": "failed", "reason": str(error)})
        return int(exit_of(error))
    shown = ("f1", "auc", "injected_mean", "alarms_per_day", "drift_psi", "forced")
    figures = {name: result.figures[name] for name in shown if name in result.figures}
    said = {"outcome": result.outcome, "reason": result.reason, "version": result.version}
    say({"event": "retrain.result", **said, **figures, "checks": result.figures.get("gate", {}).get("checks", [])})
    return int(result.exit)


def exit_of(error: BgpdriftError) -> Exit:
    """Which exit code an error is.

    Examples
    --------
    >>> exit_of(NotEnoughDataError("nothing yet")), exit_of(SettingsError("no such key"))
    (<Exit.NOT_ENOUGH_DATA: 4>, <Exit.USAGE: 2>)
    """
    if isinstance(error, NotEnoughDataError):
        return Exit.NOT_ENOUGH_DATA
    if isinstance(error, PublishRefusedError):
        return Exit.REJECTED
    return Exit.USAGE if isinstance(error, SettingsError | InputError) else Exit.INTERNAL
