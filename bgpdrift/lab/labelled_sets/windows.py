"""The type of labelled windows, which the readers return and the evaluation uses."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

NOT_KNOWN: Final = -1
"""Value of a count that the source does not know. Its minute is missing: no other value in its place would be true."""


@dataclass(frozen=True, slots=True)
class LabelledWindows:
    """Minutes of one (collector, peer) in time order, each with the truth about it.

    Attributes
    ----------
    collector, peer : str
        The group; peer "" is the whole collector.
    window_start : ndarray of int, shape (n,)
        Epoch seconds, strictly increasing, multiples of 60. Minutes may be missing.
    features, quality : mapping of str to ndarray of float, shape (n,)
        Columns of a window, those the source has.
    truth : ndarray of bool, shape (n,)
        Labelled anomalous.
    missing : int
        Minutes left out because the source marks a value in them as not known.
    """

    collector: str
    peer: str
    window_start: npt.NDArray[np.int64]
    features: Mapping[str, npt.NDArray[np.float64]]
    quality: Mapping[str, npt.NDArray[np.float64]]
    truth: npt.NDArray[np.bool_]
    missing: int = 0

    def __len__(self) -> int:
        return len(self.window_start)
