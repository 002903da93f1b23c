"""Selects the next active version: the best candidate in a promotion, the newest usable backup in a rollback.

The choices are pure functions of the files and the recorded states. `bgpdrift.models.model_registry` carries them out.

A promotion takes a candidate that can be read, was never active, is later than the active version, and whose drift
figures are known and at most ``max_drift``. The best has the best value of the first figure of `QUALITY_FIGURES` that all
of them have, then the least drift, then the latest version. The others are skipped, each with its reason.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from bgpdrift.errors import InputError
from bgpdrift.models.model_files import ModelFile, ModelFiles

QUALITY_FIGURES = ("f1", "auc", "injected_mean")
"""Figures that are better when larger, in the order in which they are compared."""
DECIDED_STATES = frozenset({"active", "accepted", "retired", "rolled_back", "rejected"})
"""Versions in these states are not promoted again."""
ROLLED_BACK_NOTE = "rolled back: "
"""Beginning of the note of a rolled-back file; notes of the gate begin differently."""
NEVER_RESTORED_STATES = frozenset({"rolled_back", "rejected"})
"""Versions in these states become active again only if a person names them."""


@dataclass(frozen=True, slots=True)
class Skipped:
    """A candidate that was not chosen, and the reason."""

    version: str
    reason: str


@dataclass(frozen=True, slots=True)
class Promotion:
    """The candidate to publish, if any, and those that were skipped."""

    chosen: ModelFile | None
    skipped: tuple[Skipped, ...]


def choose_promotion(
    files: ModelFiles,
    states: Mapping[str, str],
    max_drift: float,
    find_problem: Callable[[ModelFile], str] = lambda _: "",
) -> Promotion:
    """Choose the best candidate.

    Parameters
    ----------
    files : ModelFiles
        All files of the model.
    states : mapping of str to str
        State by version, as far as the store knows it.
    max_drift : float
        Largest drift figure allowed, in the unit of the figure (PSI in nats).
    find_problem : callable
        Returns why this program cannot run a candidate, "" if it can. Called for the best candidate first.
    """
    skipped: list[Skipped] = []
    eligible: list[ModelFile] = []
    published = {file.version for file in (*files.backups, *((files.current,) if files.current else ()))}
    for file in files.candidates:
        reason = _find_obstacle(file, files.active_version, published, states, max_drift)
        if reason:
            skipped.append(Skipped(file.version, reason))
        else:
            eligible.append(file)
    figure = next(
        (name for name in QUALITY_FIGURES if all(getattr(file.metrics, name) is not None for file in eligible)), None
    )

    def rank(file: ModelFile) -> tuple[float, float, int]:
        quality = float(getattr(file.metrics, figure)) if figure else 0.0
        return -quality, _largest_drift(file), -int(file.version) if file.version.isdecimal() else 0

    chosen: ModelFile | None = None
    for file in sorted(eligible, key=rank):
        if chosen is not None:
            skipped.append(Skipped(file.version, _compare(file, chosen, figure)))
        elif reason := find_problem(file):
            skipped.append(Skipped(file.version, reason))
        else:
            chosen = file
    return Promotion(chosen, tuple(skipped))


def choose_rollback(files: ModelFiles, states: Mapping[str, str], to: str | None = None) -> Sequence[ModelFile]:
    """Choose the files to restore, the best first; the next is tried if one does not run.

    Without ``to`` these are the backups, the newest first, except the active version and versions that were rolled back
    or rejected. A person may name any backup, also a version that was rolled back; never one that the gate rejected.

    Parameters
    ----------
    files : ModelFiles
        All files of the model.
    states : mapping of str to str
        State by version, as far as the store knows it.
    to : str, optional
        A version.

    Raises
    ------
    InputError
        There is no such version; the message names the versions there are.
    """
    backups = [file for file in files.backups if not file.problem and file.version != files.active_version]
    rolled_back = [file for file in files.rejected if not file.problem and file.reason.startswith(ROLLED_BACK_NOTE)]
    if to is None:
        chosen = [file for file in backups if states.get(file.version) not in NEVER_RESTORED_STATES]
        if not chosen:
            raise InputError(f"{files.model}: no version to roll back to; {_describe_versions(backups, rolled_back)}")
        return chosen
    if to == files.active_version:
        raise InputError(f"{files.model}: version {to} is active already")
    chosen = [file for file in (*backups, *rolled_back) if file.version == to and states.get(to) != "rejected"]
    if not chosen:
        raise InputError(f"{files.model}: no backup of version {to}; {_describe_versions(backups, rolled_back)}")
    return chosen


def _find_obstacle(
    file: ModelFile, active: str, published: set[str], states: Mapping[str, str], max_drift: float
) -> str:
    if file.problem:
        return f"unreadable: {file.problem}"
    if file.version in published or states.get(file.version) in DECIDED_STATES:
        return f"decided on before ({states.get(file.version, 'it was active')})"
    drift = file.metrics.drift_figures
    if not drift:
        return "its evaluation has no drift figures"
    if unusable := [name for name, value in drift.items() if math.isnan(value)]:
        return f"{', '.join(unusable)} is not a number"
    exceeding = [f"{name} {value:.3g}" for name, value in drift.items() if value > max_drift]
    if exceeding:
        return f"{', '.join(exceeding)}, at most {max_drift:g} allowed"
    if file.version.isdecimal() and active.isdecimal() and int(file.version) < int(active):
        return f"older than the active version {active}"
    return ""


def _compare(file: ModelFile, chosen: ModelFile, figure: str | None) -> str:
    if figure:
        quality, best = getattr(file.metrics, figure), getattr(chosen.metrics, figure)
        if quality != best:
            return f"{figure} {quality:.3g}, version {chosen.version} has {best:.3g}"
    drift, least = _largest_drift(file), _largest_drift(chosen)
    if drift != least:
        return f"drift {drift:.3g}, version {chosen.version} has {least:.3g}"
    return f"version {chosen.version} is later"


def _largest_drift(file: ModelFile) -> float:
    return max(file.metrics.drift_figures.values())


def _describe_versions(backups: Sequence[ModelFile], rolled_back: Sequence[ModelFile]) -> str:
    text = "backups of other versions: " + (", ".join(dict.fromkeys(file.version for file in backups)) or "none")
    versions = ", ".join(dict.fromkeys(file.version for file in rolled_back))
    return text + (f"; rolled back before: {versions}" if versions else "")
