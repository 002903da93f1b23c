"""Which candidate is published when several wait; a pure choice, carried out by `bgpdrift.models.model_registry`.

Eligible is a candidate that can be read, was never in force, is later than the version that is, and whose drift figures
are known and at most ``max_drift``. The best of them has the best of the first figure in `QUALITY` that all of them
have; then the least drift; then the latest version. Every other is skipped, with the reason.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from bgpdrift.models.model_files import ModelFile, ModelFiles
from bgpdrift.models.sidecars import drift_figures

QUALITY = ("f1", "auc", "injected_mean")
"""Figures of an evaluation that are better when larger, in the order they count."""
PAST = frozenset({"active", "accepted", "retired", "rolled_back", "rejected"})


@dataclass(frozen=True, slots=True)
class Skipped:
    """A candidate that was not chosen, and why."""

    version: str
    reason: str


@dataclass(frozen=True, slots=True)
class Promotion:
    """What to publish, if anything."""

    chosen: ModelFile | None
    skipped: tuple[Skipped, ...]


def choose_promotion(
    files: ModelFiles,
    states: Mapping[str, str],
    max_drift: float,
    why_unusable: Callable[[ModelFile], str] = lambda _: "",
) -> Promotion:
    """Choose the best candidate.

    Parameters
    ----------
    files : ModelFiles
        What lies in the artifact directory.
    states : mapping of str to str
        State by version, as far as the store knows.
    max_drift : float
        Largest drift figure allowed, in the unit of the figure (PSI in nats).
    why_unusable : callable
        Says why this program cannot run a candidate, empty if it can; asked of the best one first.
    """
    skipped: list[Skipped] = []
    eligible: list[ModelFile] = []
    past = {file.version for file in (*files.backups, *((files.current,) if files.current else ()))}
    for file in files.candidates:
        reason = _why_not(file, past, states, max_drift) or _older(file.version, files.active_version)
        if reason:
            skipped.append(Skipped(file.version, reason))
        else:
            eligible.append(file)
    figure = next((name for name in QUALITY if all(_number(file.metrics.get(name)) for file in eligible)), None)

    def rank(file: ModelFile) -> tuple[float, float, int]:
        quality = float(file.metrics[figure]) if figure else 0.0
        return (
            -quality,
            max(drift_figures(file.metrics).values()),
            -int(file.version) if file.version.isdecimal() else 0,
        )

    chosen: ModelFile | None = None
    for file in sorted(eligible, key=rank):
        if chosen is not None:
            skipped.append(Skipped(file.version, _worse(file, chosen, figure)))
        elif reason := why_unusable(file):
            skipped.append(Skipped(file.version, reason))
        else:
            chosen = file
    return Promotion(chosen, tuple(skipped))


def _why_not(file: ModelFile, past: set[str], states: Mapping[str, str], max_drift: float) -> str:
    if file.problem:
        return f"damaged: {file.problem}"
    if file.version in past or states.get(file.version) in PAST:
        return f"was decided on before ({states.get(file.version, 'in force once')})"
    drift = drift_figures(file.metrics)
    if not drift:
        return "no drift figures in its evaluation"
    over = [f"{name} {value:.3g}" for name, value in drift.items() if not value <= max_drift]
    return f"{', '.join(over)} over {max_drift:g}" if over else ""


def _older(version: str, active: str) -> str:
    known = version.isdecimal() and active.isdecimal()
    return f"older than version {active}, which is in force" if known and int(version) < int(active) else ""


def _worse(file: ModelFile, chosen: ModelFile, figure: str | None) -> str:
    if figure and file.metrics[figure] != chosen.metrics[figure]:
        return f"{figure} {file.metrics[figure]:.3g}, version {chosen.version} has {chosen.metrics[figure]:.3g}"
    ours, theirs = (max(drift_figures(one.metrics).values()) for one in (file, chosen))
    if ours != theirs:
        return f"drift {ours:.3g}, version {chosen.version} has {theirs:.3g}"
    return f"version {chosen.version} is later"


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
