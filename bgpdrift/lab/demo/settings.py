"""Settings that a demo changes so that hours show what otherwise takes a month, and the message about these changes.

Only times are shortened, and in the short demo the share of the history that evaluates a new model. All thresholds, the gate,
the safeguards and the definition of drift stay as they are.
"""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ChangedSetting:
    """A setting of the demo.

    Attributes
    ----------
    name : str
        Environment variable without ``BGPDRIFT_``.
    value : str
        Value in the demo.
    description : str
        The difference from the default; empty if services only poll more often.
    """

    name: str
    value: str
    description: str = ""


_POLL_OFTEN = (
    ChangedSetting("DRIFT__POLL_S", "0.5"),
    ChangedSetting("DETECTORS__POLL_S", "1.5"),
    ChangedSetting("SPOOL__SEGMENT_S", "0.25"),
)

_FIRST = ChangedSetting(
    "RETRAIN__FIRST", "off", "the first models are trained when the history ends (as soon as there is enough data)"
)
WEEK = (
    _FIRST,
    ChangedSetting("DRIFT__MIN_REFERENCE_DAYS", "2", "a reference needs 2 days (default 3)"),
    ChangedSetting("DRIFT__PERSISTENCE_CHECKS", "4", "drift must persist for 4 hourly checks (6)"),
    ChangedSetting(
        "DRIFT__MAX_HOLD_H", "4", "an incident that does not end becomes an approval request after 4 h (12)"
    ),
    ChangedSetting("DRIFT__UNANSWERED_H", "2", "an approval request waits 2 h for an answer (12)"),
    ChangedSetting("RETRAIN__COOLDOWN_H", "6", "a model is trained again after 6 h at the earliest (24)"),
    ChangedSetting("RETRAIN__PROBATION_H", "8", "probation takes 8 h (24)"),
    *_POLL_OFTEN,
)
SHORT = (
    _FIRST,
    ChangedSetting("DRIFT__MIN_REFERENCE_DAYS", "2", "a reference needs 2 days (default 3)"),
    ChangedSetting("DRIFT__PERSISTENCE_CHECKS", "2", "drift must persist for 2 hourly checks (6)"),
    ChangedSetting(
        "DRIFT__MAX_HOLD_H", "2", "an incident that does not end becomes an approval request after 2 h (12)"
    ),
    ChangedSetting("DRIFT__UNANSWERED_H", "1", "an approval request waits 1 h for an answer (12)"),
    ChangedSetting("RETRAIN__COOLDOWN_H", "2", "a model is trained again after 2 h at the earliest (24)"),
    ChangedSetting("RETRAIN__PROBATION_H", "6", "probation takes 6 h (24)"),
    ChangedSetting("RETRAIN__HELD_OUT_SHARE", "0.1", "a tenth of the history evaluates a new model (a fifth)"),
    *_POLL_OFTEN,
)


def describe(settings: Iterable[ChangedSetting]) -> str:
    """Describe the changes in one sentence."""
    changes = "; ".join(one.description for one in settings if one.description)
    return f"Settings are changed for this demo, so that it takes minutes: {changes}."
