"""The recall a successor is compared with: the best of a model and its ancestors, reduced over time. Pure.

Each version may be a little worse than the one before it, because figures of a few dozen anomalies scatter. If every
version were compared with its predecessor alone, the recall could fall step by step, for example while an attacker
poisons the history slowly. Therefore a version inherits the best recall of its ancestors. The inherited part shrinks by a quarter
a month: if the data change so that fewer anomalies can be found, the requirement follows. `bgpdrift.models.gate` has the
thresholds.
"""

from collections.abc import Mapping
from typing import Final

MONTHLY_DECAY: Final = 0.25
"""Share of the anomalies by which an inherited recall shrinks in a month."""
MONTH_S: Final = 30 * 86_400.0


def compute_record(own: Mapping[str, float], inherited: Mapping[str, float], age_s: float) -> dict[str, float]:
    """Compute the recall that a successor of a model is compared with.

    Parameters
    ----------
    own : mapping of str to float
        Recall of the model at its training, by kind of injected anomaly.
    inherited : mapping of str to float
        The best of that and of its ancestors at that time.
    age_s : float
        Seconds since the training.

    Returns
    -------
    dict of str to float
        By kind: its own recall, or what is left of the inherited one if that is more.

    Examples
    --------
    >>> own, inherited = {"leak": 0.6, "worm": 0.9}, {"leak": 0.8, "worm": 0.9}
    >>> compute_record(own, inherited, 0.0), compute_record(own, inherited, MONTH_S)
    ({'leak': 0.8, 'worm': 0.9}, {'leak': 0.6, 'worm': 0.9})
    """
    decay = MONTHLY_DECAY * max(0.0, age_s) / MONTH_S
    return {kind: round(max(share, inherited.get(kind, 0.0) - decay), 6) for kind, share in own.items()}


def inherit_record(own: Mapping[str, float], record: Mapping[str, float]) -> dict[str, float]:
    """Compute the recall that a version passes on: by kind, the better of its own and its predecessor's record.

    Examples
    --------
    >>> inherit_record({"leak": 0.7, "worm": 0.9}, {"leak": 0.8, "session_loss": 0.5})
    {'leak': 0.8, 'worm': 0.9}
    """
    return {kind: max(share, record.get(kind, 0.0)) for kind, share in own.items()}
