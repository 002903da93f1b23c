"""The settings a demo changes so that a week shows what otherwise takes a month, and the words it says so in.

Only how long things take is shortened: thresholds, gate, safeguards and what counts as drift stay as they are. Decides
nothing else.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Shortened:
    """A setting of the demo.

    Attributes
    ----------
    name : str
        Environment variable without ``BGPDRIFT_``.
    value : str
        As it is set.
    words : str
        What is different, and what it is otherwise; "" where it only makes services look more often.
    """

    name: str
    value: str
    words: str = ""


SHORTENED: tuple[Shortened, ...] = (
    Shortened("DRIFT__MIN_BASELINE_DAYS", "2", "2 days are a baseline (not 3)"),
    Shortened("DRIFT__LASTING_CHECKS", "4", "drift must last 4 hourly checks (not 6)"),
    Shortened("DRIFT__MAX_HOLD_H", "4", "an incident that never ends becomes a question after 4 h (not 12)"),
    Shortened("DRIFT__UNANSWERED_H", "2", "a question that nobody answers waits 2 h (not 12)"),
    Shortened("RETRAIN__COOLDOWN_H", "6", "a model rests 6 h after a training (not 24)"),
    Shortened("RETRAIN__PROBATION_H", "8", "probation takes 8 h (not 24)"),
    Shortened("DRIFT__POLL_S", "0.5"),
    Shortened("DETECTORS__POLL_S", "1.5"),
    Shortened("SPOOL__SEGMENT_S", "0.25"),
)


def told() -> str:
    """One sentence for a person."""
    return "to show in a week what takes a month: " + "; ".join(one.words for one in SHORTENED if one.words)
