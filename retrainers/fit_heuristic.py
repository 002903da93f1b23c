"""How the rules are trained: thresholds and the usual of each collector; all of it is `bgpdrift.detectors.heuristic.learn`."""

from collections.abc import Callable, Sequence

from bgpdrift.detectors.heuristic import NAME, learn
from bgpdrift.detectors.interface import ModelContent, WindowFrame
from bgpdrift.errors import NotEnoughDataError

LEAST_MINUTES = 1_000
"""Clean minutes from which the tail of a rule can be learned."""


def fit(
    frames: Sequence[WindowFrame],
    *,
    seed: int = 0,  # noqa: ARG001 - every trainer takes one; nothing here is random
    progress: Callable[[str, float], None] | None = None,
) -> ModelContent:
    """Learn the rules from the clean windows of some frames."""
    clean = sum(int(frame.clean.sum()) for frame in frames)
    if clean < LEAST_MINUTES:
        raise NotEnoughDataError(f"{NAME}: {clean} clean windows, {LEAST_MINUTES} expected")
    content = learn(frames, pin=True)
    if progress is not None:
        progress("fit", 1.0)
    return content
