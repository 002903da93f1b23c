"""Training of the rules: `bgpdrift.detectors.rule_learning` learns thresholds and the baseline of each collector."""

from collections.abc import Callable, Sequence

from bgpdrift.detectors.heuristic import NAME
from bgpdrift.detectors.interface import ModelContent, WindowFrame
from bgpdrift.detectors.rule_learning import MeasuredStretch, learn_rules, measure_stretches
from bgpdrift.errors import NotEnoughDataError

MIN_CLEAN_MINUTES = 1_000
"""Clean minutes from which the tail of a rule can be learned."""


def share(frames: Sequence[WindowFrame], *, history_minutes: int) -> list[list[MeasuredStretch]]:
    """Smooth the minutes and compare them with their rolling baseline, once for all fits of a run."""
    return measure_stretches(frames, history_minutes)


def fit(
    frames: Sequence[WindowFrame],
    *,
    history_minutes: int,
    seed: int = 0,  # noqa: ARG001 - nothing here is random
    progress: Callable[[str, float], None] | None = None,
    draft: bool = False,  # noqa: ARG001 - there is no cheaper way
    shared: Sequence[Sequence[MeasuredStretch]] | None = None,
) -> ModelContent:
    """Learn the rules from the clean windows of some frames; see `retrainers.training.Trainer`."""
    clean = sum(int(frame.clean.sum()) for frame in frames)
    if clean < MIN_CLEAN_MINUTES:
        raise NotEnoughDataError(f"{NAME}: expected {MIN_CLEAN_MINUTES} clean windows, found {clean}")
    content = learn_rules(frames, history_minutes, with_baseline=True, measured=shared)
    if progress is not None:
        progress("fit", 1.0)
    return content
