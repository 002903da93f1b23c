"""How the rules are trained: thresholds and the usual of each collector, all of it in `bgpdrift.detectors.rule_learning`."""

from collections.abc import Callable, Sequence

from bgpdrift.detectors.heuristic import NAME
from bgpdrift.detectors.interface import ModelContent, WindowFrame
from bgpdrift.detectors.rule_learning import Watched, learn, watch
from bgpdrift.errors import NotEnoughDataError

LEAST_MINUTES = 1_000
"""Clean minutes from which the tail of a rule can be learned."""


share = watch
"""What all fits on parts of the same frames have in common: the smoothed minutes beside their own last hours."""


def fit(
    frames: Sequence[WindowFrame],
    *,
    seed: int = 0,  # noqa: ARG001 - every trainer takes one; nothing here is random
    progress: Callable[[str, float], None] | None = None,
    draft: bool = False,  # noqa: ARG001 - there is no cheaper way
    shared: Sequence[Sequence[Watched]] | None = None,
) -> ModelContent:
    """Learn the rules from the clean windows of some frames."""
    clean = sum(int(frame.clean.sum()) for frame in frames)
    if clean < LEAST_MINUTES:
        raise NotEnoughDataError(f"{NAME}: {clean} clean windows, {LEAST_MINUTES} expected")
    content = learn(frames, pin=True, watched=shared)
    if progress is not None:
        progress("fit", 1.0)
    return content
