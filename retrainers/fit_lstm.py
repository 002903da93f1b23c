"""Training of the LSTM autoencoder: torch learns to reconstruct calm hours, and the weights become flat arrays.

The network must learn calm hours and nothing else. Noise is added to the input and parts of it are hidden, so that the
network derives signals from one another instead of copying them. Half of the sequences are reduced, since two days contain
no weekend, and a weekend must not become an incident. Equal seeds give equal weights: one thread, deterministic algorithms,
and a generator of its own.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch

from bgpdrift.detectors.interface import BoolArray, FloatArray, ModelContent, WindowFrame
from bgpdrift.detectors.lstm import (
    CLIP_ABOVE,
    CLIP_BELOW,
    DECODED_STEPS,
    LEAD_MIN,
    NAME,
    SEQUENCE_SHAPE,
    STEPS,
    Lstm,
    fill_missing,
    steps_before,
)
from bgpdrift.detectors.preparation import Preparation, group_key, list_abstentions
from bgpdrift.detectors.smoothing import SCALES_MIN
from bgpdrift.errors import NotEnoughDataError

HIDDEN, LATENT = 24, 6
"""Units of each layer; size of the latent vector."""
BATCH = 96
LEARNING_RATE, WEIGHT_DECAY = 5e-3, 1e-4
UPDATES, DRAFT_UPDATES = (700, 1_000), (400, 500)
"""Fewest and most updates of the weights; between them one for every `ROWS_PER_UPDATE` sequences. A draft has fewer, so that
the calibration can fit more often in the same time."""
ROWS_PER_UPDATE = 20
NOISE = 0.7
"""Standard deviation of the noise that is added to the input, in spreads."""
HIDE_SIGNAL, HIDE_STEP = 0.2, 0.05
"""Share of signals, and of steps, that are hidden from the network in training."""
REDUCED_SHARE, MIN_TRAFFIC_SHARE = 0.5, 0.5
"""Share of the sequences whose traffic is reduced, and the smallest share of the traffic that remains."""
MIN_SEQUENCES = 256
EXPLAINED_SHARE = 0.02
"""Share of the training minutes with the highest scores; from their lowest score on, the top features are listed."""
_STEPS_BACK = torch.from_numpy(-steps_before(np.zeros(1, np.int64)))
_LEVELS = frozenset({"path_length_max", "edit_distance_max", "peers"})
"""Counts that do not fall with the traffic."""


class Autoencoder(torch.nn.Module):
    """The network in torch; `bgpdrift.detectors.lstm.Lstm` runs the same network in numpy."""

    def __init__(self, channels: int, hidden: int, latent: int) -> None:
        super().__init__()
        self.encoder = torch.nn.LSTM(channels, hidden, batch_first=True)
        self.latent = torch.nn.Linear(hidden, latent)
        self.decoder = torch.nn.LSTM(latent, hidden, batch_first=True)
        self.out = torch.nn.Linear(hidden, channels)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Map sequences (n, STEPS, channels) to the reconstructed steps, newest first, and the latent vectors."""
        read, _ = self.encoder(x)
        latent = torch.tanh(self.latent(read[:, -1]))
        decoded, _ = self.decoder(latent[:, None, :].expand(-1, DECODED_STEPS, -1))
        return self.out(decoded), latent


@dataclass(frozen=True, slots=True)
class Sequences:
    """Prepared minutes of all frames, one frame after another, and the rows at which sequences end.

    Attributes
    ----------
    z, known : tensor, shape (n_minutes, channels)
        Unclipped values, and 1 where they are known.
    rows : tensor of int, shape (n_sequences,)
        Last minute of each sequence.
    group : tensor of int, shape (n_sequences,)
        Group of each sequence.
    level : tensor, shape (n_groups, channels)
        Baseline of the channels that fall with the traffic, on their log scale; 0 for the others.
    spread : tensor, shape (n_groups, channels)
        Spread of each channel.
    """

    z: torch.Tensor
    known: torch.Tensor
    rows: torch.Tensor
    group: torch.Tensor
    level: torch.Tensor
    spread: torch.Tensor


def build_sequences(preparation: Preparation, frames: Sequence[WindowFrame]) -> Sequences:
    """Build the sequences that end in a clean minute."""
    z, rows, group = [np.zeros((0, preparation.channels))], [], []
    known: list[BoolArray] = [np.zeros((0, preparation.channels), bool)]
    for frame in frames:
        prepared = preparation.prepare(frame, lead=LEAD_MIN, training=True)
        if prepared is None:
            continue
        values, is_known = fill_missing(prepared)
        keep = frame.clean[frame.first :] & np.array([not reason for reason in list_abstentions(frame, prepared)], bool)
        rows.append(prepared.row_of[keep] + sum(len(part) for part in z))
        group.append(np.full(len(rows[-1]), preparation.groups.index(group_key(frame))))
        z.append(values)
        known.append(is_known)
    falls = np.tile([s.form == "count" and s.name not in _LEVELS for s in preparation.signals], len(SCALES_MIN))
    groups = len(preparation.groups)
    level = np.where(falls, preparation.centre.reshape(groups, -1), 0.0)
    none = np.zeros(0, np.int64)
    return Sequences(
        _tensor(np.concatenate(z)),
        _tensor(np.concatenate(known)),
        torch.from_numpy(np.concatenate([none, *rows])),
        torch.from_numpy(np.concatenate([none, *group])),
        _tensor(level),
        _tensor(preparation.spread.reshape(groups, -1)),
    )


def _tensor(array: FloatArray) -> torch.Tensor:
    return torch.from_numpy(array.astype(np.float32))


def fit(
    frames: Sequence[WindowFrame],
    *,
    history_minutes: int = 0,  # noqa: ARG001 - its time scales are fixed
    seed: int = 0,
    progress: Callable[[str, float], None] = lambda *_: None,
    draft: bool = False,
    shared: object = None,  # noqa: ARG001 - the fits of a run share nothing
) -> ModelContent:
    """Train on the clean windows of some frames; see `retrainers.training.Trainer`. A ``draft`` has fewer updates.

    Raises
    ------
    NotEnoughDataError
        Fewer than `MIN_SEQUENCES` sequences end in a clean window.
    """
    preparation = Preparation.fit(frames)
    given = build_sequences(preparation, frames)
    if len(given.rows) < MIN_SEQUENCES:
        raise NotEnoughDataError(f"{NAME}: expected {MIN_SEQUENCES} clean windows, found {len(given.rows)}")
    progress("prepare", 0.05)
    with reproducible(seed):
        network, loss = train_network(
            given, seed, lambda share: progress("fit", share), DRAFT_UPDATES if draft else UPDATES
        )
    parameters = {
        **preparation.as_parameters(),
        **SEQUENCE_SHAPE,
        "hidden": HIDDEN,
        "latent": LATENT,
        "seed": seed,
        "sequences": len(given.rows),
        "loss": loss,
        "explain_above": 1e9,
    }
    arrays = {**preparation.as_arrays(), **as_arrays(network)}
    content = ModelContent(NAME, preparation.feature_names, arrays, parameters)
    detector = Lstm.from_content(content)
    scores = np.concatenate([detector.score(frame).score[frame.clean[frame.first :]] for frame in frames])
    parameters["explain_above"] = float(np.quantile(scores, 1.0 - EXPLAINED_SHARE))
    progress("fit", 1.0)
    return content


def train_network(
    given: Sequences, seed: int, progress: Callable[[float], None], limits: tuple[int, int] = UPDATES
) -> tuple[Autoencoder, float]:
    """Train a network; return it and its last loss."""
    network = Autoencoder(given.z.shape[1], HIDDEN, LATENT)
    updates = int(np.clip(len(given.rows) // ROWS_PER_UPDATE, *limits))
    optimiser = torch.optim.AdamW(network.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, LEARNING_RATE, total_steps=updates, pct_start=0.2)
    draw = torch.Generator().manual_seed(seed)
    loss_value = math.nan
    for update in range(updates):
        inputs, target, weight = _draw_batch(given, draw)
        decoded, _ = network(inputs)
        loss = (weight * (decoded - target) ** 2).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        if update % 50 == 49:
            loss_value = float(loss.detach())
            progress(0.05 + 0.9 * (update + 1) / updates)
    return network.eval(), loss_value


def _draw_batch(given: Sequences, draw: torch.Generator) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Draw the input, the latest steps to reconstruct (newest first), and 1 where those are known."""
    pick = torch.randint(len(given.rows), (BATCH,), generator=draw)
    read = given.rows[pick][:, None] - _STEPS_BACK
    z, known = given.z[read], given.known[read]
    is_reduced = torch.rand(BATCH, 1, generator=draw) < REDUCED_SHARE
    share = torch.where(
        is_reduced, MIN_TRAFFIC_SHARE + (1.0 - MIN_TRAFFIC_SHARE) * torch.rand(BATCH, 1, generator=draw), 1.0
    )
    # log1p of a count falls less where the count is small.
    level, spread = given.level[given.group[pick]], given.spread[given.group[pick]]
    fall = (level - torch.log1p(torch.expm1(level) * share)) / spread
    clear = (z - fall[:, None, :]).clamp(-CLIP_BELOW, CLIP_ABOVE) * known
    scales = len(SCALES_MIN)
    shown = torch.rand(BATCH, 1, clear.shape[2] // scales, generator=draw) >= HIDE_SIGNAL
    inputs = (clear + NOISE * torch.randn(clear.shape, generator=draw)) * known * shown.repeat(1, 1, scales)
    inputs *= torch.rand(BATCH, STEPS, 1, generator=draw) >= HIDE_STEP
    return inputs, clear[:, -DECODED_STEPS:].flip(1), known[:, -DECODED_STEPS:].flip(1)


def as_arrays(network: Autoencoder) -> dict[str, FloatArray]:
    """Return the weights as the detector reads them: transposed, with torch's two biases added."""
    weights = {name: value.detach().numpy() for name, value in network.state_dict().items()}
    arrays = {}
    for layer in ("encoder", "decoder"):
        arrays[f"{layer}.input"] = weights[f"{layer}.weight_ih_l0"].T
        arrays[f"{layer}.hidden"] = weights[f"{layer}.weight_hh_l0"].T
        arrays[f"{layer}.bias"] = weights[f"{layer}.bias_ih_l0"] + weights[f"{layer}.bias_hh_l0"]
    for layer in ("latent", "out"):
        arrays[f"{layer}.weight"] = weights[f"{layer}.weight"].T
        arrays[f"{layer}.bias"] = weights[f"{layer}.bias"]
    return {name: np.ascontiguousarray(array, np.float32) for name, array in arrays.items()}


@contextmanager
def reproducible(seed: int) -> Iterator[None]:
    """Run with one thread, deterministic algorithms and a seed; restore the previous state afterwards."""
    threads, deterministic = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    state = torch.random.get_rng_state()
    torch.manual_seed(seed)
    try:
        yield
    finally:
        torch.random.set_rng_state(state)
        torch.use_deterministic_algorithms(deterministic)
        torch.set_num_threads(threads)
