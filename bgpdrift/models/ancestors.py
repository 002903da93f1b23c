"""What a model and its ancestors found of injected anomalies: the measure a successor is held to, fading with time. Pure.

Each version may be a little worse than the one before it, since figures of a few dozen anomalies scatter. Held to its
predecessor alone, a line of models could so become deaf step by step: a history poisoned slowly. So a version inherits the
best that was found, and that fades by a quarter a month: a world in which less can be found is forgiven in time. Decides no
threshold; the gate has those.
"""

from collections.abc import Mapping
from typing import Any, Final

FADES_A_MONTH: Final = 0.25
"""Share of the anomalies."""
MONTH_S: Final = 30 * 86_400.0
INHERITED: Final = "injected_record"
"""Name in an artifact's metrics."""


def record_of(metrics: Mapping[str, Any], age_s: float) -> dict[str, float]:
    """Read from a model's metrics what its successor is held to.

    Parameters
    ----------
    metrics : mapping
        ``injected``: what it found itself when it was judged, by kind of anomaly. `INHERITED`: the best of that and of its
        ancestors at that time; absent in older artifacts.
    age_s : float
        Seconds since then.

    Returns
    -------
    dict
        Share by kind: its own, or what is left of the inherited one if that is more.

    Examples
    --------
    >>> metrics = {"injected": {"leak": 0.6, "worm": 0.9}, INHERITED: {"leak": 0.8, "worm": 0.9}}
    >>> record_of(metrics, 0.0), record_of(metrics, MONTH_S)
    ({'leak': 0.8, 'worm': 0.9}, {'leak': 0.6, 'worm': 0.9})
    >>> record_of({}, 0.0)
    {}
    """
    own, inherited = _shares(metrics.get("injected")), _shares(metrics.get(INHERITED))
    faded = FADES_A_MONTH * max(0.0, age_s) / MONTH_S
    return {kind: round(max(share, inherited.get(kind, 0.0) - faded), 6) for kind, share in own.items()}


def inherit(own: Mapping[str, float], record: Mapping[str, float]) -> dict[str, float]:
    """Give what a version hands on: of each kind the better of its own and the record of the version it follows.

    Examples
    --------
    >>> inherit({"leak": 0.7, "worm": 0.9}, {"leak": 0.8, "session_loss": 0.5})
    {'leak': 0.8, 'worm': 0.9}
    """
    return {kind: max(share, record.get(kind, 0.0)) for kind, share in own.items()}


def _shares(found: object) -> dict[str, float]:
    if not isinstance(found, Mapping):
        return {}
    return {str(kind): float(share) for kind, share in found.items() if isinstance(share, int | float)}
