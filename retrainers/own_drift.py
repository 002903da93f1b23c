"""How far a candidate's own scores moved between training and held-out windows: a model that drifts at birth will not last.

Measured on log-spaced histograms, as live drift is. Decides nothing: the gate and ``promote --max-drift`` compare.
"""

import math
from collections.abc import Iterable, Sequence

from bgpdrift.drift.histogram import Histogram

BINS = 10
"""Quantile bins of the reference."""


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
    edges = _quantile_edges(reference)
    expected, observed = _shares(reference, edges), _shares(current, edges)
    middle = [(p + q) / 2 for p, q in zip(expected, observed, strict=True)]
    figures = {
        "drift_psi": _divergence(expected, observed) + _divergence(observed, expected),
        "drift_kl": _divergence(observed, expected),
        "drift_js": (_divergence(expected, middle) + _divergence(observed, middle)) / (2 * math.log(2)),
        "drift_ks": _largest_difference(reference, current),
    }
    return {name: round(max(value, 0.0), 6) for name, value in figures.items()}


def _quantile_edges(histogram: Histogram) -> list[int]:
    """Last bin of each quantile group; a value that several quantiles share gets one group of its own."""
    edges: list[int] = []
    seen, n = 0, histogram.n
    for number, count in sorted(histogram.counts.items()):
        before, seen = seen, seen + count
        if before * BINS // n != seen * BINS // n and seen < n:
            edges.append(number)
    return edges


def _shares(histogram: Histogram, edges: Sequence[int]) -> list[float]:
    """Share of each group, none quite 0: half a value is added to every one."""
    counts = [0.5] * (len(edges) + 1)
    for number, count in histogram.counts.items():
        counts[sum(number > edge for edge in edges)] += count
    total = sum(counts)
    return [count / total for count in counts]


def _divergence(p: Iterable[float], q: Iterable[float]) -> float:
    return sum(a * math.log(a / b) for a, b in zip(p, q, strict=True))


def _largest_difference(one: Histogram, other: Histogram) -> float:
    largest = so_far = 0.0
    for number in sorted({*one.counts, *other.counts}):
        so_far += one.counts.get(number, 0) / one.n - other.counts.get(number, 0) / other.n
        largest = max(largest, abs(so_far))
    return largest
