"""How the rules are trained: thresholds and the baseline of each collector, with `bgpdrift.detectors.rule_learning`."""

from collections.abc import Callable, Sequence

from bgpdrift.detectors.heuristic import NAME
from bgpdrift.detectors.interface import ModelContent, WindowFrame
from bgpdrift.detectors.rule_learning import Watched, learn, watch
from bgpdrift.errors import NotEnoughDataError

MIN_CLEAN_MINUTES = 1_000
"""Clean minutes from which the tail of a rule can be learned."""


def share(frames: Sequence[WindowFrame], *, history_minutes: int) -> list[list[Watched]]:
    """Compute what all fits on parts of the same frames share: the smoothed minutes beside their recent baseline."""
    return watch(frames, history_minutes)


def fit(
    frames: Sequence[WindowFrame],
    *,
    history_minutes: int,
    seed: int = 0,  # noqa: ARG001 - every trainer takes one; nothing here is random
    progress: Callable[[str, float], None] | None = None,
    draft: bool = False,  # noqa: ARG001 - there is no cheaper way
    shared: Sequence[Sequence[Watched]] | None = None,
) -> ModelContent:
    """Learn the rules from the clean windows of some frames."""
    clean = sum(int(frame.clean.sum()) for frame in frames)
    if clean < MIN_CLEAN_MINUTES:
        raise NotEnoughDataError(f"{NAME}: {clean} clean windows, {MIN_CLEAN_MINUTES} expected")
    content = learn(frames, history_minutes, pin=True, watched=shared)
    if progress is not None:
        progress("fit", 1.0)
    return content
