"""The LSTM autoencoder, run in numpy: the reconstruction error of the last hour, by a network trained on calm hours.

An encoder reads the hour before a minute in steps of five minutes and compresses it to a few bounded numbers, the latent
vector. A decoder reconstructs the latest steps from it, newest first. torch trains both (`retrainers.fit_lstm`); the
results here equal torch's to 1e-6. An autoencoder that also reconstructs anomalies finds none. Two measures prevent that:
the input is clipped but the error is taken against the unclipped values, and the input is clipped earlier above the
baseline than below it, since a persistent excess is a worm and a persistent lull is a quiet weekend.

The score is the error beyond a dead zone, over signals, time scales and steps. It has no upper bound: a storm twice as
large scores about twice as high. The calibration turns a score into a p-value.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from bgpdrift.detectors.interface import WARMING, BoolArray, FloatArray, IntArray, ModelContent, Scores, WindowFrame
from bgpdrift.detectors.preparation import Preparation, Prepared, list_abstentions
from bgpdrift.detectors.smoothing import SCALES_MIN
from bgpdrift.errors import ArtifactError

NAME = "lstm"
STEPS = 12
"""Steps of the input. With `STRIDE_MIN` they cover an hour, long enough to show a break of the daily rhythm."""
STRIDE_MIN = 5
DECODED_STEPS = 8
"""Latest steps that are reconstructed and compared; older steps would hardly count (`FADE_MIN`)."""
FADE_MIN = 15.0
"""A step this many minutes older has the weight 1/e: one minute alone is noise, and an hour would react late."""
FILL_MIN = STRIDE_MIN - 1
"""A step on a missing minute uses an earlier minute, at most this many back."""
CLIP_BELOW, CLIP_ABOVE = 4.0, 1.0
"""Bounds of the network's input, in spreads below and above the baseline; see the module docstring."""
DEAD_ZONE = 1.0
"""Spreads of error that are noise; without the dead zone sixty calm channels hide a few that are not."""
SIGNAL_EXPONENT = 4.0
"""Exponent of the mean over signals: above 2, so that one signal among many raises the score."""
MIN_KNOWN_STEPS = 0.6
"""Share of known steps below which a minute is `warming`."""
TOP_FEATURES = 5
MAX_UNITS = 512
_WINDOWS_AT_ONCE = 256


@dataclass(frozen=True, slots=True)
class Layer:
    """An LSTM layer. The columns of the weights follow torch's order of gates: input, forget, cell, output.

    Attributes
    ----------
    input, hidden : ndarray, shape (n_inputs, 4 n_hidden) and (n_hidden, 4 n_hidden)
        Transposed weights.
    bias : ndarray, shape (4 n_hidden,)
        Sum of torch's two biases.

    The cell gate's columns are doubled, since tanh(x) = 2 sigmoid(2x) − 1: one function then serves all gates.
    """

    input: FloatArray
    hidden: FloatArray
    bias: FloatArray

    @classmethod
    def of(cls, weights: Mapping[str, Any], name: str) -> "Layer":
        """Take the weights of one layer from those of a network."""
        parts = [np.array(weights[f"{name}.{part}"], np.float64) for part in _LAYER]
        n = len(parts[1])
        for array in parts:
            array[..., 2 * n : 3 * n] *= 2.0
        return cls(*parts)

    @property
    def size(self) -> int:
        """Number of hidden units."""
        return len(self.hidden)

    def step(self, drive: FloatArray, h: FloatArray, c: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Run one step for a batch; ``drive`` is the part of the gates that comes from input and bias."""
        n = self.size
        gates = _sigmoid(drive + h @ self.hidden)
        c = gates[:, n : 2 * n] * c + gates[:, :n] * (2.0 * gates[:, 2 * n : 3 * n] - 1.0)
        return gates[:, 3 * n :] * (2.0 * _sigmoid(2.0 * c) - 1.0), c


def _sigmoid(x: FloatArray) -> FloatArray:
    # exp is several times as fast as tanh. Beyond ±60 the result does not change, and exp does not overflow.
    x = np.clip(x, -60.0, 60.0)
    np.negative(x, out=x)
    np.exp(x, out=x)
    x += 1.0
    return np.asarray(np.reciprocal(x, out=x))


@dataclass(frozen=True, slots=True)
class Reconstruction:
    """Reconstruction of some windows.

    Attributes
    ----------
    error : ndarray, shape (n, DECODED_STEPS, channels)
        Present minus reconstructed, newest step first, in spreads; 0 where unknown.
    newest : ndarray, shape (n, channels)
        The newest step as reconstructed.
    latent : ndarray, shape (n, n_latent)
        Each within −1 and 1.
    """

    error: FloatArray
    newest: FloatArray
    latent: FloatArray


def clip(z: FloatArray) -> FloatArray:
    """Clip prepared values to the input of the network, which is also the target of its training.

    Examples
    --------
    >>> clip(np.array([-9.0, -2.0, 0.5, 9.0]))
    array([-4. , -2. ,  0.5,  1. ])
    """
    return np.asarray(np.clip(z, -CLIP_BELOW, CLIP_ABOVE))


def step_weights() -> FloatArray:
    """Weight of each reconstructed step, newest first; the weights sum to 1."""
    weights = np.exp(-STRIDE_MIN * np.arange(DECODED_STEPS) / FADE_MIN)
    return np.asarray(weights / weights.sum())


def steps_before(rows: IntArray, steps: int = STEPS) -> IntArray:
    """List the rows of the steps of each window, oldest first, shape (n, steps).

    Examples
    --------
    >>> steps_before(np.array([60]), 3).tolist()
    [[50, 55, 60]]
    """
    return np.asarray(rows)[:, None] - STRIDE_MIN * np.arange(steps)[::-1][None, :]


def fill_missing(prepared: Prepared) -> tuple[FloatArray, BoolArray]:
    """Fill missing minutes from the `FILL_MIN` before; return the values and where they are known."""
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
        Prepares the windows.
    arrays : mapping
        Weights by name; see `retrainers.fit_lstm`.
    explain_above : float
        Score from which the signals with the largest error are listed.
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
        """Build the detector; raises `ArtifactError` for weights of wrong shapes or with NaN."""
        preparation = Preparation.from_content(content.arrays, content.hyper_parameters, NAME)
        arrays = _check_arrays(content.arrays, preparation.channels)
        for name, expected in SEQUENCE_SHAPE.items():
            if content.hyper_parameters.get(name) != expected:
                raise ArtifactError(f"{NAME}: {name}: expected {expected}, found {content.hyper_parameters.get(name)}")
        try:
            explain_above = float(content.hyper_parameters["explain_above"])
        except (KeyError, TypeError, ValueError) as error:
            raise ArtifactError(f"{NAME}: a hyper-parameter is missing or no number: {error}") from error
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
        return Scores.join([self._score_part(part) for part in windows.split_at_gaps(self.history_minutes)])

    def reconstruct(self, z: FloatArray, known: BoolArray, rows: IntArray) -> Reconstruction:
        """Read the hour before each row of ``z`` and reconstruct its latest steps."""
        read = steps_before(rows)
        # A minute is a step of up to twelve windows; its part of the gates is computed once.
        first, last = int(read.min()), int(read.max()) + 1
        drive = clip(z[first:last]) @ self._encoder.input + self._encoder.bias
        h, c = np.zeros((len(read), self._encoder.size)), np.zeros((len(read), self._encoder.size))
        for step in range(STEPS):
            h, c = self._encoder.step(drive[read[:, step] - first], h, c)
        latent = np.tanh(h @ self._latent + self._latent_bias)
        drive = latent @ self._decoder.input + self._decoder.bias
        h, c = np.zeros((len(read), self._decoder.size)), np.zeros((len(read), self._decoder.size))
        error = np.empty((len(read), DECODED_STEPS, z.shape[1]))
        newest = np.empty((len(read), z.shape[1]))
        for step in range(DECODED_STEPS):
            h, c = self._decoder.step(drive, h, c)
            decoded = h @ self._out + self._out_bias
            at = read[:, STEPS - 1 - step]
            np.multiply(z[at] - decoded, known[at], out=error[:, step])
            if step == 0:
                newest = decoded
        return Reconstruction(error, newest, latent)

    def _score_part(self, frame: WindowFrame) -> Scores:
        prepared = self.preparation.prepare(frame, lead=LEAD_MIN)
        abstained = np.array(list_abstentions(frame, prepared), object)
        score = np.zeros(len(abstained))
        latent = np.zeros((len(abstained), self._latent.shape[1]))
        top: list[list[dict[str, Any]]] = [[] for _ in abstained]
        if prepared is not None:
            z, known = fill_missing(prepared)
            is_known: BoolArray = np.asarray(known.any(axis=1))
            known_share = is_known[steps_before(prepared.row_of)].mean(axis=1)
            abstained[(known_share < MIN_KNOWN_STEPS) & (abstained == "")] = WARMING
            to_score = np.flatnonzero(abstained == "")
            for first in range(0, len(to_score), _WINDOWS_AT_ONCE):
                batch = to_score[first : first + _WINDOWS_AT_ONCE]
                rows = prepared.row_of[batch]
                result = self.reconstruct(z, known, rows)
                parts = signal_errors(result.error, known[steps_before(rows, DECODED_STEPS)[:, ::-1]])
                score[batch] = pool(parts)
                latent[batch] = result.latent
                for at in np.flatnonzero(score[batch] >= self._explain_above):
                    top[batch[at]] = self._top_features(frame, z[rows[at]], result.newest[at], parts[at])
        return Scores(
            frame.to_score, score, tuple(abstained.tolist()), tuple([] for _ in abstained), tuple(top), latent
        )

    def _top_features(
        self, frame: WindowFrame, z: FloatArray, decoded: FloatArray, parts: FloatArray
    ) -> list[dict[str, Any]]:
        """List the signals with the largest error; the baseline is the value that the network reconstructs."""
        preparation, signals = self.preparation, len(self.preparation.signals)
        error = np.abs(z - decoded).reshape(-1, signals)
        share = parts**SIGNAL_EXPONENT / max(float((parts**SIGNAL_EXPONENT).sum()), 1e-300)
        features = []
        for index in np.argsort(-parts)[:TOP_FEATURES]:
            if parts[index] <= 0.0:
                break
            channel = int(error[:, index].argmax()) * signals + int(index)
            signal, minutes = preparation.channel(channel)
            features.append(
                {
                    "feature": signal.name,
                    "baseline": preparation.present_value(frame, channel, float(decoded[channel])),
                    "present": preparation.present_value(frame, channel, float(z[channel])),
                    "weight": round(float(share[index]), 4),
                    "minutes": minutes,
                }
            )
        return features


def signal_errors(error: FloatArray, known: BoolArray) -> FloatArray:
    """Compute the error of each signal beyond the dead zone, over time scales and steps, shape (n, n_signals)."""
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


def pool(parts: FloatArray) -> FloatArray:
    """Compute the score of windows from the errors of their signals, as a power mean.

    Examples
    --------
    >>> pool(np.array([[2.0, 2.0], [0.0, 0.0]]))
    array([2., 0.])
    """
    return np.asarray(np.mean(parts**SIGNAL_EXPONENT, axis=1) ** (1.0 / SIGNAL_EXPONENT))


LEAD_MIN = (STEPS - 1) * STRIDE_MIN + FILL_MIN
SEQUENCE_SHAPE: Mapping[str, Any] = {"steps": STEPS, "stride_min": STRIDE_MIN, "decoded_steps": DECODED_STEPS}
_LAYER = ("input", "hidden", "bias")


def _check_arrays(arrays: Mapping[str, Any], channels: int) -> dict[str, Any]:
    """Check shapes and finiteness of the weights before they are used."""
    try:
        hidden, latent = len(arrays["encoder.hidden"]), len(arrays["latent.bias"])
        decoded = len(arrays["decoder.hidden"])
    except (KeyError, TypeError) as error:
        raise ArtifactError(f"{NAME}: an array is missing or has no size: {error}") from error
    if min(hidden, latent, decoded) < 1 or max(hidden, latent, decoded) > MAX_UNITS:
        raise ArtifactError(
            f"{NAME}: expected layers of 1 to {MAX_UNITS} units, found {hidden}, {latent} and {decoded}"
        )
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
    checked = {}
    for name, shape in shapes.items():
        if name not in arrays:
            raise ArtifactError(f"{NAME}: no array {name}")
        array = np.asarray(arrays[name])
        if array.dtype.kind != "f" or array.shape != shape:
            raise ArtifactError(f"{NAME}: {name}: expected float {shape}, found {array.dtype} {array.shape}")
        if not np.isfinite(array).all():
            raise ArtifactError(f"{NAME}: {name} holds a NaN or an infinity")
        checked[name] = array
    return checked


def build(content: ModelContent, *, history_minutes: int) -> Lstm:  # noqa: ARG001 - its time scales are fixed
    """Build the detector; the registry names this function."""
    return Lstm.from_content(content)
