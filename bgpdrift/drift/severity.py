"""The severity of a drift: none, low, medium, high or critical, by tables in the settings.

The rule or a policy decides whether there is drift. The monitor's safeguards decide what follows from a severity.
"""

import bisect
from collections.abc import Sequence

from bgpdrift.drift.report import SEVERITIES, Severity, max_severity
from bgpdrift.settings_sections import DriftSettings


def rank_severity(p_value: float | None, psi_excess: float | None, settings: DriftSettings) -> Severity:
    """Rank a change by how certain and how large it is; a change that is not significant has no severity.

    Parameters
    ----------
    p_value : float or None
        Family-wise; None if nothing was tested.
    psi_excess : float or None
        PSI less its value by chance, in nats.
    settings : DriftSettings
        ``severity_p`` (low, medium, high), ``psi_threshold`` and ``severity_factors`` (medium, high, critical).

    Examples
    --------
    >>> settings = DriftSettings()
    >>> rank_severity(0.2, 5.0, settings), rank_severity(0.03, 0.01, settings), rank_severity(0.0005, 0.01, settings)
    ('none', 'low', 'high')
    >>> rank_severity(0.009, 0.31, settings), rank_severity(0.009, 0.4, settings)
    ('high', 'critical')
    """
    by_p = rank_p_value(p_value, settings)
    return "none" if by_p == "none" else max_severity(by_p, rank_factor(psi_excess, settings.psi_threshold, settings))


def rank_p_value(p_value: float | None, settings: DriftSettings) -> Severity:
    """Rank a p-value: at most ``high``, because a p-value measures how certain a change is, not how large it is.

    Examples
    --------
    >>> [rank_p_value(p, DriftSettings()) for p in (None, 0.05, 0.049, 0.009, 1e-9)]
    ['none', 'none', 'low', 'medium', 'high']
    """
    return "none" if p_value is None else SEVERITIES[sum(p_value < bound for bound in settings.severity_p)]


def rank_factor(value: float | None, threshold: float, settings: DriftSettings) -> Severity:
    """Rank a measure by multiples of its threshold: ``medium`` from the first of ``severity_factors``.

    Examples
    --------
    >>> [rank_factor(value, 0.2, DriftSettings()) for value in (None, 0.1, 0.2, 0.3, 0.4)]
    ['none', 'none', 'medium', 'high', 'critical']
    """
    if value is None:
        return "none"
    passed = _count_reached(value / threshold, settings.severity_factors)
    return SEVERITIES[passed + 1] if passed else "none"


def rank_accuracy_drop(drop: float | None, settings: DriftSettings) -> Severity:
    """Rank a drop of accuracy, in shares: from .90 to .85 is 0.05.

    Examples
    --------
    >>> [rank_accuracy_drop(drop, DriftSettings()) for drop in (None, -0.1, 0.02, 0.90 - 0.85, 0.10, 0.2)]
    ['none', 'none', 'low', 'medium', 'high', 'critical']
    """
    return "none" if drop is None else SEVERITIES[_count_reached(drop, settings.severity_accuracy_drop)]


def _count_reached(value: float, bounds: Sequence[float]) -> int:
    """Count the bounds that are reached; a difference by rounding is none."""
    return bisect.bisect_right(sorted(bounds), value * (1 + 1e-9))
