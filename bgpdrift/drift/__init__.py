"""The drift decision: hourly histograms, drift measures and the drift rule.

`check_scores` checks any scores. It is loaded on first use and needs numpy only.
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
