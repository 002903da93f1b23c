"""How the LSTM autoencoder is trained: torch learns to tell the usual hour, this file lays the weights out as arrays.

The network must learn the usual and no more. What is fed is blurred and parts of it are hidden, so that signals are told
from one another and not copied; half of the sequences are made quieter, since two days hold no weekend, and a model
must not take one for an incident. The same seed gives the same weights: one thread, deterministic algorithms, own generator.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch

from bgpdrift.detectors.interface import FloatArray, ModelContent, WindowFrame
from bgpdrift.detectors.lstm import (
    CLIP_ABOVE,
    CLIP_BELOW,
    LEAD_MIN,
    NAME,
    SHAPE_OF_SEQUENCE,
    STEPS,
    TOLD_STEPS,
    Lstm,
    filled,
    steps_before,
)
from bgpdrift.detectors.preparation import SCALES_MIN
from bgpdrift.detectors.prepared import Preparation, group_key, reasons
from bgpdrift.errors import NotEnoughDataError

HIDDEN, LATENT = 24, 6
"""Units of each layer; numbers that an hour is kept in."""
BATCH = 96
LEARNING_RATE, WEIGHT_DECAY = 5e-3, 1e-4
UPDATES, DRAFT_UPDATES = (700, 1_000), (400, 500)
"""Fewest and most updates of the weights; between them one for every `ROWS_PER_UPDATE` sequences. A draft has fewer: time
is better spent on fitting more often for the calibration."""
ROWS_PER_UPDATE = 20
NOISE = 0.7
"""Standard deviation, spreads, of what blurs the input."""
HIDE_SIGNAL, HIDE_STEP = 0.2, 0.05
"""Share of signals, and of steps, that are hidden from the network in training."""
QUIETER, QUIETEST = 0.5, 0.5
"""Share of the sequences that are made quieter, and the least share of the traffic they are left with."""
LEAST_SEQUENCES = 256
EXPLAIN_SHARE = 0.02
"""Share of the training minutes that are unusual enough to be explained."""
_STEPS_BACK = torch.from_numpy(-steps_before(np.zeros(1, np.int64)))
_LEVELS = frozenset({"path_length_max", "edit_distance_max", "peers"})
"""Counts that do not fall with the traffic."""


def no_progress(phase: str, share: float) -> None:
    """Tell nobody."""


class Autoencoder(torch.nn.Module):
    """The network as torch trains it; `bgpdrift.detectors.lstm.Lstm` runs the same in numpy."""

    def __init__(self, channels: int, hidden: int, latent: int) -> None:
        super().__init__()
        self.encoder = torch.nn.LSTM(channels, hidden, batch_first=True)
        self.latent = torch.nn.Linear(hidden, latent)
        self.decoder = torch.nn.LSTM(latent, hidden, batch_first=True)
        self.out = torch.nn.Linear(hidden, channels)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Sequences (n, STEPS, channels) to the latest steps told, newest first, and the latent vectors."""
        read, _ = self.encoder(x)
        latent = torch.tanh(self.latent(read[:, -1]))
        told, _ = self.decoder(latent[:, None, :].expand(-1, TOLD_STEPS, -1))
        return self.out(told), latent


@dataclass(frozen=True, slots=True)
class Sequences:
    """Prepared minutes of all frames one after the other, and where sequences end.

    Attributes
    ----------
    z, known : tensor, shape (n_minutes, channels)
        Unclipped values, and 1 where they are more than a stand-in.
    rows : tensor of int, shape (n_sequences,)
        Last minute of each sequence.
    group : tensor of int, shape (n_sequences,)
        Of each sequence.
    level : tensor, shape (n_groups, channels)
        Usual value of what falls with the traffic, on its log scale; 0 for what does not.
    spread : tensor, shape (n_groups, channels)
        Scale of each channel.
    """

    z: torch.Tensor
    known: torch.Tensor
    rows: torch.Tensor
    group: torch.Tensor
    level: torch.Tensor
    spread: torch.Tensor


def sequences(preparation: Preparation, frames: Sequence[WindowFrame]) -> Sequences:
    """Lay out the sequences that end in a clean minute."""
    z, known, rows, group = [np.zeros((0, preparation.channels))], [np.zeros((0, preparation.channels))], [], []
    for frame in frames:
        prepared = preparation.prepare(frame, lead=LEAD_MIN, training=True)
        if prepared is None:
            continue
        values, is_known = filled(prepared)
        keep = frame.clean[frame.first :] & np.array([not reason for reason in reasons(frame, prepared)], bool)
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
    progress: Callable[[str, float], None] = no_progress,
    draft: bool = False,
    shared: object = None,  # noqa: ARG001 - fits on parts of the frames have nothing in common
) -> ModelContent:
    """Train on the clean windows of some frames; a ``draft``, which only calibrates, with fewer updates.

    Raises
    ------
    NotEnoughDataError
        Fewer than `LEAST_SEQUENCES` sequences end in a clean window.
    """
    preparation = Preparation.fit(frames)
    given = sequences(preparation, frames)
    if len(given.rows) < LEAST_SEQUENCES:
        raise NotEnoughDataError(f"{NAME}: {len(given.rows)} clean windows, {LEAST_SEQUENCES} expected")
    progress("prepare", 0.05)
    with reproducible(seed):
        network, loss = trained(given, seed, lambda share: progress("fit", share), DRAFT_UPDATES if draft else UPDATES)
    parameters = {
        **preparation.as_parameters(),
        **SHAPE_OF_SEQUENCE,
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
    parameters["explain_above"] = float(np.quantile(scores, 1.0 - EXPLAIN_SHARE))
    progress("fit", 1.0)
    return content


def trained(
    given: Sequences, seed: int, progress: Callable[[float], None], limits: tuple[int, int] = UPDATES
) -> tuple[Autoencoder, float]:
    """Train a network; gives it and its last loss."""
    network = Autoencoder(given.z.shape[1], HIDDEN, LATENT)
    updates = int(np.clip(len(given.rows) // ROWS_PER_UPDATE, *limits))
    optimiser = torch.optim.AdamW(network.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, LEARNING_RATE, total_steps=updates, pct_start=0.2)
    draw = torch.Generator().manual_seed(seed)
    loss_value = math.nan
    for update in range(updates):
        fed, target, weight = _batch(given, draw)
        told, _ = network(fed)
        loss = (weight * (told - target) ** 2).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        if update % 50 == 49:
            loss_value = float(loss.detach())
            progress(0.05 + 0.9 * (update + 1) / updates)
    return network.eval(), loss_value


def _batch(given: Sequences, draw: torch.Generator) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Sequences as fed, the latest steps as they should be told (newest first), and 1 where those are known."""
    pick = torch.randint(len(given.rows), (BATCH,), generator=draw)
    read = given.rows[pick][:, None] - _STEPS_BACK
    z, known = given.z[read], given.known[read]
    quiet = torch.rand(BATCH, 1, generator=draw) < QUIETER
    share = torch.where(quiet, QUIETEST + (1.0 - QUIETEST) * torch.rand(BATCH, 1, generator=draw), 1.0)
    # What a collector of this level would show of less traffic: log1p of a count falls less where the count is small.
    level, spread = given.level[given.group[pick]], given.spread[given.group[pick]]
    fall = (level - torch.log1p(torch.expm1(level) * share)) / spread
    clear = (z - fall[:, None, :]).clamp(-CLIP_BELOW, CLIP_ABOVE) * known
    scales = len(SCALES_MIN)
    shown = torch.rand(BATCH, 1, clear.shape[2] // scales, generator=draw) >= HIDE_SIGNAL
    fed = (clear + NOISE * torch.randn(clear.shape, generator=draw)) * known * shown.repeat(1, 1, scales)
    fed *= torch.rand(BATCH, STEPS, 1, generator=draw) >= HIDE_STEP
    return fed, clear[:, -TOLD_STEPS:].flip(1), known[:, -TOLD_STEPS:].flip(1)


def as_arrays(network: Autoencoder) -> dict[str, FloatArray]:
    """Weights as the detector reads them: transposed, and torch's two biases as one."""
    weights = {name: value.detach().numpy() for name, value in network.state_dict().items()}
    found = {}
    for layer in ("encoder", "decoder"):
        found[f"{layer}.input"] = weights[f"{layer}.weight_ih_l0"].T
        found[f"{layer}.hidden"] = weights[f"{layer}.weight_hh_l0"].T
        found[f"{layer}.bias"] = weights[f"{layer}.bias_ih_l0"] + weights[f"{layer}.bias_hh_l0"]
    for layer in ("latent", "out"):
        found[f"{layer}.weight"] = weights[f"{layer}.weight"].T
        found[f"{layer}.bias"] = weights[f"{layer}.bias"]
    return {name: np.ascontiguousarray(array, np.float32) for name, array in found.items()}


@contextmanager
def reproducible(seed: int) -> Iterator[None]:
    """One thread, deterministic algorithms and a seed; what was set before comes back."""
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
