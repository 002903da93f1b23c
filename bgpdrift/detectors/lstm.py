"""The LSTM autoencoder, run in numpy: how badly the last hour is told by a network that only knows the usual.

An encoder reads the hour before a minute in steps of five minutes and keeps it in a few bounded numbers, the latent
vector; a decoder tells its latest steps from them, newest first. torch trains both (`retrainers.fit_lstm`); what is
computed here equals it to 1e-6. Two things keep the network from telling an anomaly as well as it tells the usual, which
is how autoencoders go blind: it is fed clipped values but judged by the whole ones, and it is clipped sooner above
usual than below, since what lasts above usual is what a worm is and what lasts below is a quiet weekend.

The score is what is left of the error beyond a dead zone, over signals, time scales and steps. It has no largest value: a
storm twice as large scores about twice as high. What a score is worth the calibration decides.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from bgpdrift.detectors.interface import WARMING, FloatArray, ModelContent, Scores, WindowFrame
from bgpdrift.detectors.preparation import SCALES_MIN
from bgpdrift.detectors.prepared import Preparation, Prepared, reasons
from bgpdrift.detectors.splitting import joined, parts_of
from bgpdrift.errors import ArtifactError

NAME = "lstm"
STEPS = 12
"""Steps that are read. With `STRIDE_MIN` they reach back an hour: long enough to see a rhythm break."""
STRIDE_MIN = 5
TOLD_STEPS = 8
"""Latest steps that are told again and judged; what is older counts hardly (`FADE_MIN`)."""
FADE_MIN = 15.0
"""A step this many minutes older counts 1/e: one minute alone is noise, and an hour would be late."""
FILL_MIN = STRIDE_MIN - 1
"""A step that falls on a missing minute takes the minute before, up to this many back."""
CLIP_BELOW, CLIP_ABOVE = 4.0, 1.0
"""What the network is fed, in spreads below and above usual; see the module's docstring."""
DEAD_ZONE = 1.0
"""Spreads of error that are noise: without it sixty calm channels drown a few that are not."""
PEAK = 4.0
"""Exponent of the mean over signals: above 2, so that one signal among many is heard."""
LEAST_STEPS = 0.6
"""A minute with a smaller share of its steps known is `warming`."""
TOP_FEATURES = 5
LARGEST_SIZE = 512
_WINDOWS_AT_ONCE = 256


@dataclass(frozen=True, slots=True)
class Layer:
    """An LSTM layer; columns of the weights in torch's order of gates: input, forget, cell, output.

    Attributes
    ----------
    input, hidden : ndarray, shape (n_inputs, 4 n_hidden) and (n_hidden, 4 n_hidden)
        Transposed weights.
    bias : ndarray, shape (4 n_hidden,)
        Sum of torch's two.

    The cell gate's columns are doubled, since tanh(x) = 2 sigmoid(2x) − 1: one function then serves all gates.
    """

    input: FloatArray
    hidden: FloatArray
    bias: FloatArray

    @classmethod
    def of(cls, weights: Mapping[str, Any], name: str) -> "Layer":
        """Take the weights of a layer from those of a network."""
        found = [np.array(weights[f"{name}.{part}"], np.float64) for part in _LAYER]
        n = len(found[1])
        for array in found:
            array[..., 2 * n : 3 * n] *= 2.0
        return cls(*found)

    @property
    def size(self) -> int:
        """Hidden units."""
        return len(self.hidden)

    def step(self, drive: FloatArray, h: FloatArray, c: FloatArray) -> tuple[FloatArray, FloatArray]:
        """One step for a batch; ``drive`` is the input's part of the gates, bias included."""
        n = self.size
        gates = _sigmoid(drive + h @ self.hidden)
        c = gates[:, n : 2 * n] * c + gates[:, :n] * (2.0 * gates[:, 2 * n : 3 * n] - 1.0)
        return gates[:, 3 * n :] * (2.0 * _sigmoid(2.0 * c) - 1.0), c


def _sigmoid(x: FloatArray) -> FloatArray:
    # exp alone is several times as fast as tanh; beyond ±60 nothing changes and nothing overflows.
    x = np.clip(x, -60.0, 60.0)
    np.negative(x, out=x)
    np.exp(x, out=x)
    x += 1.0
    return np.asarray(np.reciprocal(x, out=x))


@dataclass(frozen=True, slots=True)
class Told:
    """What the network made of some windows.

    Attributes
    ----------
    error : ndarray, shape (n, TOLD_STEPS, channels)
        Present minus told, newest step first, in spreads; 0 where unknown.
    told : ndarray, shape (n, channels)
        The newest step as told.
    latent : ndarray, shape (n, n_latent)
        Each within −1 and 1.
    """

    error: FloatArray
    told: FloatArray
    latent: FloatArray


def clipped(z: FloatArray) -> FloatArray:
    """What the network is fed and trained to tell.

    Examples
    --------
    >>> clipped(np.array([-9.0, -2.0, 0.5, 9.0]))
    array([-4. , -2. ,  0.5,  1. ])
    """
    return np.asarray(np.clip(z, -CLIP_BELOW, CLIP_ABOVE))


def step_weights() -> FloatArray:
    """How much each told step counts, newest first; they sum to 1."""
    weights = np.exp(-STRIDE_MIN * np.arange(TOLD_STEPS) / FADE_MIN)
    return np.asarray(weights / weights.sum())


def steps_before(rows: Any, steps: int = STEPS) -> Any:
    """Rows of the steps of each window, oldest first, shape (n, steps).

    Examples
    --------
    >>> steps_before(np.array([60]), 3).tolist()
    [[50, 55, 60]]
    """
    return np.asarray(rows)[:, None] - STRIDE_MIN * np.arange(steps)[::-1][None, :]


def filled(prepared: Prepared) -> tuple[FloatArray, Any]:
    """Values and knowledge by minute, with minutes that are missing taken from the few before."""
    z, known = prepared.z.copy(), prepared.known.copy()
    for back in range(1, FILL_MIN + 1):
        take = np.zeros(len(z), bool)
        take[back:] = ~known[back:].any(axis=1) & prepared.known[:-back].any(axis=1)
        z[take], known[take] = prepared.z[np.flatnonzero(take) - back], prepared.known[np.flatnonzero(take) - back]
    return z, known


class Lstm:
    """The trained network.

    Parameters
    ----------
    preparation : Preparation
        How windows become numbers.
    arrays : mapping
        Weights by name; see `fit_lstm`.
    explain_above : float
        Score from which on it is worth saying which signals speak for it.
    """

    def __init__(self, preparation: Preparation, arrays: Mapping[str, Any], explain_above: float) -> None:
        self.preparation = preparation
        self._encoder, self._decoder = Layer.of(arrays, "encoder"), Layer.of(arrays, "decoder")
        self._latent, self._latent_bias, self._out, self._out_bias = (
            np.asarray(arrays[name], np.float64) for name in ("latent.weight", "latent.bias", "out.weight", "out.bias")
        )
        self._explain_above = explain_above

    @classmethod
    def from_content(cls, content: ModelContent) -> "Lstm":
        """Build the detector; raises `ArtifactError` for weights that do not fit together or are no numbers."""
        preparation = Preparation.from_content(content.arrays, content.hyper_parameters, NAME)
        arrays = _checked(content.arrays, preparation.channels)
        for name, expected in SHAPE_OF_SEQUENCE.items():
            if content.hyper_parameters.get(name) != expected:
                raise ArtifactError(f"{NAME}: {name} {content.hyper_parameters.get(name)}, {expected} expected")
        try:
            explain_above = float(content.hyper_parameters["explain_above"])
        except (KeyError, TypeError, ValueError) as error:
            raise ArtifactError(f"{NAME}: hyper-parameter missing or no number: {error}") from error
        return cls(preparation, arrays, explain_above)

    @property
    def name(self) -> str:
        """``lstm``."""
        return NAME

    @property
    def history_minutes(self) -> int:
        """Minutes before a window that its score depends on."""
        return self.preparation.history_minutes + LEAD_MIN

    def score(self, windows: WindowFrame) -> Scores:
        """Score every window from ``windows.first`` on."""
        return joined([self._score_part(part) for part in parts_of(windows, self.history_minutes)])

    def tell(self, z: FloatArray, known: Any, rows: Any) -> Told:
        """Read the hour before each row of ``z`` and tell its latest steps again."""
        read = steps_before(rows)
        # Each minute is a step of up to twelve windows: its part of the gates is computed once.
        first, last = int(read.min()), int(read.max()) + 1
        drive = clipped(z[first:last]) @ self._encoder.input + self._encoder.bias
        h, c = np.zeros((len(read), self._encoder.size)), np.zeros((len(read), self._encoder.size))
        for step in range(STEPS):
            h, c = self._encoder.step(drive[read[:, step] - first], h, c)
        latent = np.tanh(h @ self._latent + self._latent_bias)
        same = latent @ self._decoder.input + self._decoder.bias
        h, c = np.zeros((len(read), self._decoder.size)), np.zeros((len(read), self._decoder.size))
        error = np.empty((len(read), TOLD_STEPS, z.shape[1]))
        newest = np.empty((len(read), z.shape[1]))
        for step in range(TOLD_STEPS):
            h, c = self._decoder.step(same, h, c)
            told = h @ self._out + self._out_bias
            at = read[:, STEPS - 1 - step]
            np.multiply(z[at] - told, known[at], out=error[:, step])
            if step == 0:
                newest = told
        return Told(error, newest, latent)

    def _score_part(self, frame: WindowFrame) -> Scores:
        prepared = self.preparation.prepare(frame, lead=LEAD_MIN)
        abstained = np.array(reasons(frame, prepared), object)
        score = np.zeros(len(abstained))
        latent = np.zeros((len(abstained), self._latent.shape[1]))
        top: list[list[dict[str, Any]]] = [[] for _ in abstained]
        if prepared is not None:
            z, known = filled(prepared)
            seen = known.any(axis=1)[steps_before(prepared.row_of)].mean(axis=1)
            abstained[(seen < LEAST_STEPS) & (abstained == "")] = WARMING
            spoken = np.flatnonzero(abstained == "")
            for first in range(0, len(spoken), _WINDOWS_AT_ONCE):
                batch = spoken[first : first + _WINDOWS_AT_ONCE]
                rows = prepared.row_of[batch]
                found = self.tell(z, known, rows)
                parts = signal_errors(found.error, known[steps_before(rows, TOLD_STEPS)[:, ::-1]])
                score[batch] = pooled(parts)
                latent[batch] = found.latent
                for at in np.flatnonzero(score[batch] >= self._explain_above):
                    top[batch[at]] = self._explain(frame, z[rows[at]], found.told[at], parts[at])
        return Scores(
            frame.to_score, score, tuple(abstained.tolist()), tuple([] for _ in abstained), tuple(top), latent
        )

    def _explain(self, frame: WindowFrame, z: FloatArray, told: FloatArray, parts: FloatArray) -> list[dict[str, Any]]:
        """The signals with the largest error; "usual" is what the network expected of this very minute."""
        preparation, signals = self.preparation, len(self.preparation.signals)
        error = np.abs(z - told).reshape(-1, signals)
        share = parts**PEAK / max(float((parts**PEAK).sum()), 1e-300)
        found = []
        for index in np.argsort(-parts)[:TOP_FEATURES]:
            if parts[index] <= 0.0:
                break
            channel = int(error[:, index].argmax()) * signals + int(index)
            signal, minutes = preparation.channel(channel)
            found.append(
                {
                    "feature": signal.name,
                    "usual": preparation.present(frame, channel, float(told[channel])),
                    "present": preparation.present(frame, channel, float(z[channel])),
                    "weight": round(float(share[index]), 4),
                    "minutes": minutes,
                }
            )
        return found


def signal_errors(error: FloatArray, known: Any) -> FloatArray:
    """Error of each signal beyond the dead zone, over time scales and steps, shape (n, n_signals)."""
    n, channels = error.shape[0], error.shape[2]
    signals = channels // len(SCALES_MIN)
    beyond = np.abs(error)
    beyond -= DEAD_ZONE
    np.maximum(beyond, 0.0, out=beyond)
    beyond *= beyond
    weights = step_weights()
    total = np.einsum("nsc,s->nc", beyond, weights).reshape(n, -1, signals).sum(axis=1)
    weight = np.einsum("nsc,s->nc", known.astype(np.float64), weights).reshape(n, -1, signals).sum(axis=1)
    return np.asarray(np.sqrt(total / np.maximum(weight, 1e-9)))


def pooled(parts: FloatArray) -> FloatArray:
    """Score of windows from the errors of their signals: a power mean.

    Examples
    --------
    >>> pooled(np.array([[2.0, 2.0], [0.0, 0.0]]))
    array([2., 0.])
    """
    return np.asarray(np.mean(parts**PEAK, axis=1) ** (1.0 / PEAK))


LEAD_MIN = (STEPS - 1) * STRIDE_MIN + FILL_MIN
SHAPE_OF_SEQUENCE: Mapping[str, Any] = {"steps": STEPS, "stride_min": STRIDE_MIN, "told_steps": TOLD_STEPS}
_LAYER = ("input", "hidden", "bias")


def _checked(arrays: Mapping[str, Any], channels: int) -> dict[str, Any]:
    """Shapes and finite numbers before anything is multiplied."""
    try:
        hidden, latent = len(arrays["encoder.hidden"]), len(arrays["latent.bias"])
        decoded = len(arrays["decoder.hidden"])
    except (KeyError, TypeError) as error:
        raise ArtifactError(f"{NAME}: array missing or of no size: {error}") from error
    if min(hidden, latent, decoded) < 1 or max(hidden, latent, decoded) > LARGEST_SIZE:
        raise ArtifactError(f"{NAME}: layers of {hidden}, {latent} and {decoded} units, 1 to {LARGEST_SIZE} expected")
    shapes = {
        "encoder.input": (channels, 4 * hidden),
        "encoder.hidden": (hidden, 4 * hidden),
        "encoder.bias": (4 * hidden,),
        "latent.weight": (hidden, latent),
        "latent.bias": (latent,),
        "decoder.input": (latent, 4 * decoded),
        "decoder.hidden": (decoded, 4 * decoded),
        "decoder.bias": (4 * decoded,),
        "out.weight": (decoded, channels),
        "out.bias": (channels,),
    }
    found = {}
    for name, shape in shapes.items():
        if name not in arrays:
            raise ArtifactError(f"{NAME}: no array {name}")
        array = np.asarray(arrays[name])
        if array.dtype.kind != "f" or array.shape != shape:
            raise ArtifactError(f"{NAME}: {name} of shape {array.shape} and {array.dtype}, float {shape} expected")
        if not np.isfinite(array).all():
            raise ArtifactError(f"{NAME}: {name} holds a NaN or an infinity")
        found[name] = array
    return found


def build(content: ModelContent, *, history_minutes: int) -> Lstm:  # noqa: ARG001 - its time scales are fixed
    """Build the detector, as the registry asks for it."""
    return Lstm.from_content(content)
