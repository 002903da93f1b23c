"""The signals of the trained detectors: how each is computed from the columns of a window, and on which scale.

A count becomes its ``log1p``, a mean or a ratio its logarithm, an entropy stays as it is: a step of 0.7 is then a factor
of two whatever the size of the collector. Means and ratios are computed from stored sums, so that windows can be merged. A
data source without a column has no signals of that column, and a model trained without them runs without them.
`bgpdrift.detectors.preparation` smooths and scales the signals.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from bgpdrift.detectors.interface import FloatArray

Columns = Mapping[str, FloatArray]
Form = Literal["count", "mean", "odds", "plain"]


@dataclass(frozen=True, slots=True)
class Signal:
    """One signal.

    Attributes
    ----------
    name : str
        Name in ``top_features`` and in artifacts.
    needs : tuple of str
        Columns: the count itself; the sum and the number of a mean; the two counts of odds.
    form : Form
        count: ``log1p``. mean: log of sum / number, unknown where the number is 0. odds: log of (a + 1) / (b + 1).
        plain: as stored.
    min_spread : float
        Smallest spread on the signal's own scale; a smaller one is counting noise.
    """

    name: str
    needs: tuple[str, ...]
    form: Form = "count"
    min_spread: float = 0.10

    def values(self, columns: Columns) -> FloatArray:
        """Compute the signal; NaN where it is undefined.

        Examples
        --------
        >>> path = Signal("path_length", ("path_length_sum", "announced"), "mean")
        >>> path.values({"path_length_sum": np.array([8.0, 0.0]), "announced": np.array([2.0, 0.0])}).round(3)
        array([1.386,   nan])
        """
        first = columns[self.needs[0]]
        if self.form == "count":
            return np.asarray(np.log1p(first))
        if self.form == "plain":
            return np.asarray(first, np.float64)
        second = columns[self.needs[1]]
        if self.form == "odds":
            return np.asarray(np.log((first + 1.0) / (second + 1.0)))
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where((second > 0) & (first > 0), np.log(first / second), np.nan)

    def to_unit(self, value: float) -> float:
        """Convert a value from the signal's scale to the unit of its column, with four digits."""
        if self.form == "count":
            value = max(float(np.expm1(min(value, 50.0))), 0.0)
        elif self.form in ("mean", "odds"):
            value = float(np.exp(min(value, 50.0)))
        return float(f"{value:.4g}")


def _counts(*names: str, min_spread: float = 0.10) -> tuple[Signal, ...]:
    return tuple(Signal(name, (name,), "count", min_spread) for name in names)


SIGNALS: tuple[Signal, ...] = (
    *_counts("messages", "announced", "withdrawn", "announced_prefixes", "withdrawn_prefixes", "origins", "peers"),
    *_counts("new", "duplicate", "implicit_withdrawal", "readvertised_same", "readvertised_different"),
    *_counts("duplicate_withdrawal", "unknown_withdrawal", "longer", "shorter", "prepended", "ipv6", "max_per_second"),
    *_counts("origin_change", "edge_new", "origin_incomplete", min_spread=0.20),
    *_counts("moas_new", "subprefix_new", "visibility_loss", "session_down", "bogon", "too_specific", min_spread=0.30),
    Signal("withdrawal_ratio", ("withdrawn", "announced"), "odds"),
    Signal("duplicate_ratio", ("duplicate", "announced"), "odds"),
    Signal("path_change_ratio", ("implicit_withdrawal", "announced"), "odds"),
    Signal("path_length", ("path_length_sum", "announced"), "mean", 0.03),
    Signal("unique_path_length", ("unique_path_length_sum", "announced"), "mean", 0.03),
    Signal("path_length_max", ("path_length_max",), "count", 0.10),
    Signal("edit_distance", ("edit_distance_sum", "implicit_withdrawal"), "mean", 0.05),
    Signal("edit_distance_max", ("edit_distance_max",), "count", 0.10),
    Signal("origin_entropy", ("origin_entropy",), "plain", 0.10),
    Signal("peer_entropy", ("peer_entropy",), "plain", 0.05),
    Signal("top_origin_share", ("top_origin_share",), "plain", 0.02),
)
SIGNAL_BY_NAME: Mapping[str, Signal] = {signal.name: signal for signal in SIGNALS}


def available_signals(columns: Iterable[str]) -> tuple[Signal, ...]:
    """Signals that can be computed from some columns, in the order of `SIGNALS`.

    Examples
    --------
    >>> [signal.name for signal in available_signals(["announced", "withdrawn"])]
    ['announced', 'withdrawn', 'withdrawal_ratio']
    """
    known = set(columns)
    return tuple(signal for signal in SIGNALS if known.issuperset(signal.needs))
