"""Whether a detector still fits: hourly histograms, measures of change and the rule that makes a verdict of them.

`check_scores` is for anybody's scores; it is loaded when it is asked for, and needs numpy only.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bgpdrift.drift.check import check_scores

__all__ = ["check_scores"]


def __getattr__(name: str) -> object:
    if name == "check_scores":
        from bgpdrift.drift.check import check_scores

        return check_scores
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
