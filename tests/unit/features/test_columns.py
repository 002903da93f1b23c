"""The declaration of the window columns and the code that fills them."""

from typing import Any

import pytest

from bgpdrift.bgp.messages import Announcement, Message
from bgpdrift.detectors.signals import SIGNALS
from bgpdrift.features.aggregator import Aggregator
from bgpdrift.features.window import Window
from bgpdrift.settings import WindowSettings
from bgpdrift.store.schema import feature_windows
from bgpdrift.store.window_columns import FEATURE_NAMES, FEATURES, QUALITY, QUALITY_NAMES

T0 = 1_700_000_040
HOUR = 3600.0
COLUMNS = (*FEATURES, *QUALITY)
KEY_AND_REST = {"id", "window_start", "collector", "peer", "evidence", "written_at"}


def update(time: float, path: Any, *announced: str, peer: str = "a", origin: str = "IGP", gone: tuple[str, ...] = ()):
    groups = [Announcement("n", list(announced))] if announced else []
    return Message(
        time,
        peer=peer,
        host="rrc00",
        type="UPDATE",
        path=path,
        origin=origin,
        announcements=groups,
        withdrawals=list(gone),
    )


def session(time: float, state: str) -> Message:
    return Message(time, peer="z", host="rrc00", type="STATE", state=state)


def stream_that_fills_every_column() -> list[dict[str, Any]]:
    """Rows of a stream in which every column is above 0 at least once."""
    aggregator = Aggregator(WindowSettings(max_state_bytes=4_000_000), deduplicate=False)
    net, sub = "8.8.0.0/16", "8.8.8.0/24"
    rows = aggregator.add(
        [
            update(T0, (1, 2, 3), net, "2a00::/16", "9.9.9.0/25", "not a prefix"),
            update(T0 + 1, (1, 2, 3), net),  # duplicate
            update(T0 + 2, (1, 2, 2, 4, 3), net),  # longer, prepended
            update(T0 + 3, (1, 5), net),  # shorter, another origin
            update(T0 + 4, (1, 2, 1, (7, 8)), sub, origin="EGP"),  # sub-prefix, loop, AS_SET
            update(T0 + 5, (1, 64512, 6), "10.1.0.0/16", origin="INCOMPLETE"),  # bogons
            update(T0 + 6, (), gone=(net, net, "7.7.7.0/24")),
            update(T0 + 7, (1, 5), net),  # readvertised, same path
            update(T0 + 8, (), gone=(net,)),
            update(T0 + 9, (1, 2, 9), net),  # readvertised, another path
            *(update(T0 + 10, (1, 2, 9), net, peer=peer) for peer in "bcd"),
            session(T0 + 11, "up"),
            session(T0 + 11, "down"),
        ],
        arrived_at=T0 + 20.0,
    )
    nets = [f"30.{n}.0.0/16" for n in range(8)]
    for after_s, path in ((1200, (4, 5)), (1300, (4, 99, 5))):  # eight networks behind AS 5 move together to AS 99
        rows += aggregator.add(
            [update(T0 + after_s, (*path, 40 + n), name, peer=p) for n, name in enumerate(nets) for p in "efgh"]
        )
    rows += aggregator.add([update(T0 + 1400, (), peer=peer, gone=tuple(nets)) for peer in "efgh"])
    rows += aggregator.add([update(T0 + HOUR + n, (), gone=(net,), peer=peer) for n, peer in enumerate("abc")])
    aggregator.note_reconnect()
    aggregator.note_dropped(None, None, frames=3)
    late = update(T0, (1, 2, 3), sub)
    rows += aggregator.add([*(update(T0 + HOUR + 200, (1, 2, 3), sub, peer=peer) for peer in "ab"), late])
    many = [f"{20 + n // 65_536}.{n // 256 % 256}.{n % 256}.0/24" for n in range(200_000)]
    for part in range(20):
        rows += aggregator.add([update(T0 + HOUR + 201 + part, (1, 2, 3), *many[10_000 * part : 10_000 * (part + 1)])])
    return rows + aggregator.flush()


@pytest.fixture(scope="module")
def rows() -> list[dict[str, Any]]:
    return stream_that_fills_every_column()


def test_every_declared_column_is_filled(rows: list[dict[str, Any]]) -> None:
    never = [column.name for column in COLUMNS if not any(row[column.name] for row in rows)]

    assert never == []


def test_a_row_has_the_declared_columns_with_the_declared_types_and_no_others(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        assert set(row) == {column.name for column in COLUMNS} | KEY_AND_REST - {"id", "written_at"}
        assert {name for name in (c.name for c in COLUMNS if c.kind is int) if type(row[name]) is not int} == set()
        assert {name for name in (c.name for c in COLUMNS if c.kind is float) if type(row[name]) is not float} == set()


def test_nothing_is_accumulated_without_a_declared_column(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every name in an accumulator of a closed window belongs to a column."""
    windows: list[Window] = []
    build_row = Window.row
    monkeypatch.setattr(Window, "row", lambda window, *key: (windows.append(window), build_row(window, *key))[1])

    stream_that_fills_every_column()

    summed = {column.name for column in COLUMNS if column.aggregate in ("sum", "flag", "common")}
    maxima = {column.name for column in COLUMNS if column.aggregate == "maximum"}
    tallied = {column.accumulator for column in COLUMNS} | {"withdrawn_origins"}
    assert {name for window in windows for name in window.sums} == summed
    assert {name for window in windows for name in window.maxima} == maxima
    assert {name for window in windows for name in window.tallies} <= tallied


def test_the_table_has_the_declared_columns_and_no_others() -> None:
    assert {column.name for column in feature_windows.columns} == {column.name for column in COLUMNS} | KEY_AND_REST


def test_a_column_is_either_a_feature_or_a_quality_mark() -> None:
    assert len({*FEATURE_NAMES, *QUALITY_NAMES}) == len(FEATURE_NAMES) + len(QUALITY_NAMES)


def test_every_signal_of_the_detectors_is_computed_from_declared_features() -> None:
    assert {name for signal in SIGNALS for name in signal.needs} <= set(FEATURE_NAMES)
