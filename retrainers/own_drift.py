"""How far a candidate's own scores moved between training and held-out windows: a model that drifts at birth will not last.

Measured on log-spaced histograms with the measures of live drift. Decides nothing: the gate and ``promote --max-drift``
compare.
"""

from bgpdrift.drift import measures
from bgpdrift.drift.histogram import Histogram


def drift_figures(reference: Histogram, current: Histogram) -> dict[str, float]:
    """Divergences of the current histogram from the reference, each 0 where they agree.

    Returns
    -------
    dict
        ``drift_psi`` and ``drift_kl`` in nats, ``drift_js`` in bits (at most 1), ``drift_ks`` the largest difference of
        the distribution functions; empty if one histogram is.

    Examples
    --------
    >>> calm = Histogram.of([0.1 * i for i in range(1, 200)])
    >>> drift_figures(calm, calm)
    {'drift_psi': 0.0, 'drift_kl': 0.0, 'drift_js': 0.0, 'drift_ks': 0.0}
    >>> moved = drift_figures(calm, Histogram.of([0.1 * i + 9.0 for i in range(1, 200)]))
    >>> moved["drift_psi"] > 0.5, 0.4 < moved["drift_ks"] < 0.5
    (True, True)
    """
    if not reference.n or not current.n:
        return {}
    now, before, _ = measures.aligned(current, reference)
    groups = measures.grouped(now, before)
    figures = {
        "drift_psi": measures.psi(*groups),
        "drift_kl": measures.kl(*groups),
        "drift_js": measures.js(*groups),
        "drift_ks": measures.ks(now, before),
    }
    return {name: round(max(value, 0.0), 6) for name, value in figures.items()}
