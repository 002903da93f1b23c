"""Simulated worlds as feature windows, cached because the simulation takes longest and a world is used many times.

A world passes through the real frames, decoder and aggregator. Its windows are cached in the temporary directory under a hash of
the scenario and of the code that computes them.
"""

import hashlib
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import msgspec

import bgpdrift
from bgpdrift.bgp.messages import Message
from bgpdrift.bgp.ris_frames import FrameDecoder
from bgpdrift.features.aggregator import Aggregator
from bgpdrift.lab.simulation.engine import Simulation
from bgpdrift.lab.simulation.scenario import Scenario
from bgpdrift.lab.simulation.truth import Truth, decode_truth, encode_truth
from bgpdrift.settings import WindowSettings

CACHE = Path(tempfile.gettempdir()) / "bgpdrift-worlds"
HOUR_S, DAY_S = 3600, 86_400
MESSAGES_AT_ONCE = 16_384
CODE = ("lab/simulation", "features", "bgp/ris_frames.py", "bgp/messages.py", "bgp/prefixes.py")
"""Code on which the windows of a scenario depend, relative to the package."""
Row = dict[str, Any]
Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class World:
    """A simulated world.

    Attributes
    ----------
    scenario : Scenario
        The scenario.
    truth : Truth
        What really happens in it.
    folder : Path
        Windows by day.
    """

    scenario: Scenario
    truth: Truth
    folder: Path

    @property
    def start(self) -> int:
        """Epoch seconds."""
        return int(self.scenario.start)

    @property
    def end(self) -> int:
        """Epoch seconds."""
        return int(self.scenario.end)

    @property
    def messages(self) -> int:
        """UPDATE messages in it."""
        return self.truth.totals.updates

    def hours(self) -> Iterator[tuple[int, list[Row]]]:
        """Event time at the end of each hour and the windows that began in it, in the order they closed."""
        for path in sorted(self.folder.glob("day-*.msgpack")):
            rows: list[Row] = msgspec.msgpack.decode(path.read_bytes())
            by_hour: dict[int, list[Row]] = {}
            for row in rows:
                by_hour.setdefault(int(row["window_start"]) // HOUR_S * HOUR_S, []).append(row)
            for hour in sorted(by_hour):
                yield hour + HOUR_S, by_hour[hour]


def world_of(scenario: Scenario, tell: Tell = lambda _: None, cache: Path = CACHE) -> World:
    """Read a world from the cache, or simulate it.

    Parameters
    ----------
    scenario : Scenario
        What happens.
    tell : callable
        Called with a message for each simulated day.
    cache : Path
        Directory of the cache; its content may be deleted at any time.
    """
    folder = cache / _name(scenario)
    if not (folder / "truth.json").exists():
        cache.mkdir(parents=True, exist_ok=True)
        staged = Path(tempfile.mkdtemp(dir=cache, prefix="making-"))
        try:
            _make(scenario, staged, tell)
            shutil.rmtree(folder, ignore_errors=True)
            staged.rename(folder)
        finally:
            shutil.rmtree(staged, ignore_errors=True)
    return World(scenario, decode_truth((folder / "truth.json").read_bytes()), folder)


def _make(scenario: Scenario, folder: Path, tell: Tell) -> None:
    simulation, decoder, aggregator = Simulation(scenario), FrameDecoder(), Aggregator(WindowSettings())
    start, days = int(scenario.start), 0
    pending: list[Row] = []
    messages: list[Message] = []

    def save(until: int | None) -> None:
        nonlocal pending, days
        ready = [row for row in pending if until is None or row["window_start"] < until]
        if ready:
            (folder / f"day-{days:04}.msgpack").write_bytes(msgspec.msgpack.encode(ready, enc_hook=_plain))
            pending = [row for row in pending if until is not None and row["window_start"] >= until]
            days += 1

    for frame in simulation.frames():
        decoded = decoder.decode_line(frame.text)
        if isinstance(decoded, Message):
            messages.append(decoded)
        if len(messages) >= MESSAGES_AT_ONCE:
            pending += aggregator.add(messages)
            messages = []
            if aggregator.closed_before_s >= start + (days + 1) * DAY_S:
                save(start + (days + 1) * DAY_S)
                tell(f"simulated {days:g} of {scenario.duration_s / DAY_S:g} days")
    pending += aggregator.add(messages) + aggregator.flush()
    save(None)
    (folder / "truth.json").write_bytes(encode_truth(simulation.truth()))


def _plain(value: Any) -> Any:
    return value.item()  # numbers of numpy


def _name(scenario: Scenario) -> str:
    package = Path(bgpdrift.__file__).parent
    digest = hashlib.sha256(msgspec.json.encode(asdict(scenario)))
    for path in _sources(package):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:24]


def _sources(package: Path) -> Sequence[Path]:
    found = [package / name for name in CODE]
    return [path for place in found for path in ([place] if place.is_file() else sorted(place.glob("*.py")))]
