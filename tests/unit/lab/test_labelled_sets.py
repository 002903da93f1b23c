"""Labelled minutes: the real SFU files, windows of bgpdrift, and the errors about damage in either."""

import gzip
import json
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest

from bgpdrift.errors import InputError
from bgpdrift.lab.labelled_sets.reading import read_labelled

SFU = {"Slammer": (7200, 3211, 4079), "Code_Red_I": (7200, 3680, 4279), "RIPE_regular": (7196, 0, -1)}


def sfu_line(time: str = "12:00", label: object = -1, columns: Mapping[int, object] | None = None) -> str:
    hour, minute = time.split(":")
    fields: list[object] = [0] * 42
    for column, value in {1: f"{hour}{minute}", 2: int(hour), 3: int(minute), 42: label, **(columns or {})}.items():
        fields[column - 1] = value
    return ",".join(map(str, fields))


@pytest.fixture
def written(tmp_path: Path) -> Callable[..., Path]:
    def write(*lines: object, name: str = "minutes.csv") -> Path:
        path = tmp_path / name
        text = "\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines)
        path.write_text(text + "\n")
        return path

    return write


def window(minute: int, **columns: object) -> dict[str, object]:
    return {"window_start": 60 * minute, "collector": "rrc00", "announced": minute, "feed_gap": 0, **columns}


@pytest.mark.shared_data
@pytest.mark.parametrize("name", SFU)
def test_the_real_files_are_read_minute_by_minute_with_their_labels(shared_data: Path, name: str) -> None:
    rows, first, last = SFU[name]

    (windows,) = read_labelled(shared_data / "labelled" / f"{name}.csv.gz")

    assert len(windows) == rows
    assert (np.diff(windows.window_start) == 60).all()
    labelled = np.flatnonzero(windows.truth)
    assert labelled.tolist() == list(range(first, last + 1))


@pytest.mark.shared_data
@pytest.mark.parametrize("name", SFU)
def test_ratios_of_the_real_files_come_out_as_ratios(shared_data: Path, name: str) -> None:
    """Origins are counted by message and prefixes by prefix; on one footing the shares add up to one."""
    (windows,) = read_labelled(shared_data / "labelled" / f"{name}.csv.gz")
    columns = windows.features

    origins = columns["origin_igp"] + columns["origin_egp"] + columns["origin_incomplete"]
    assert origins == pytest.approx(columns["announced"])
    assert 5.0 < np.median(columns["path_length_sum"] / columns["announced"]) < 8.0
    assert (columns["duplicate"] <= columns["announced"]).all()


@pytest.mark.shared_data
def test_the_first_line_of_slammer_is_what_it_says(shared_data: Path) -> None:
    (windows,) = read_labelled(shared_data / "labelled" / "Slammer.csv.gz")

    first = {name: float(values[0]) for name, values in windows.features.items()}

    assert first["messages"] == 50
    assert (first["announced"], first["withdrawn"], first["path_length_sum"]) == (88, 13, 6 * 88)
    assert (first["implicit_withdrawal"], first["edit_distance_sum"]) == (54, 6 * 54)
    assert first["origin_igp"] == pytest.approx(88 * 41 / 46)


def test_after_midnight_comes_the_next_day(written: Callable[..., Path]) -> None:
    (windows,) = read_labelled(written(sfu_line("23:59"), sfu_line("00:00"), sfu_line("00:02")))

    assert np.diff(windows.window_start).tolist() == [60, 120]


def test_a_missing_minute_stays_missing(written: Callable[..., Path]) -> None:
    (windows,) = read_labelled(written(sfu_line("12:00"), sfu_line("12:03")))

    assert np.diff(windows.window_start).tolist() == [180]


def test_a_minute_that_comes_twice_keeps_the_later_word(written: Callable[..., Path]) -> None:
    (windows,) = read_labelled(written(sfu_line("12:00", columns={7: 1}), sfu_line("12:00", 1, {7: 5})))

    assert (windows.features["announced"].tolist(), windows.truth.tolist()) == ([5.0], [True])


def test_a_header_somebody_added_is_no_minute(written: Callable[..., Path]) -> None:
    (windows,) = read_labelled(written(",".join(f"c{number}" for number in range(42)), sfu_line()))

    assert len(windows) == 1


def test_compression_is_told_by_content(tmp_path: Path) -> None:
    path = tmp_path / "minutes.csv"
    path.write_bytes(gzip.compress(sfu_line().encode()))

    assert len(read_labelled(path)[0]) == 1


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("1,2,3", r"minutes.csv, line 2: expected 42 comma-separated numbers, found 3 fields"),
        (sfu_line(columns={7: "x"}), r"line 2: column 7: expected a finite number, found 'x'"),
        (sfu_line(columns={7: "nan"}), r"line 2: column 7: expected a finite number, found 'nan'"),
        (sfu_line(columns={8: -4}), r"line 2: column 8: expected a count of at least 0, or -1 .*, found -4"),
        (sfu_line(label=7), r"line 2: label \(column 42\): expected 1 \(anomaly\) or -1 \(normal\), found 7"),
        (sfu_line(columns={2: 24}), r"line 2: expected hour 0 to 23 and minute 0 to 59 .* found 24:0"),
        (sfu_line("11:58"), r"line 2: expected minutes in order, found 11:58 after 12:00"),
        ("route\x00\xff", r"line 2: expected numbers or a JSON object, found bytes"),
    ],
    ids=["fields", "text", "nan", "negative", "label", "hour", "order", "bytes"],
)
def test_damage_in_an_sfu_file_is_named_with_its_line(written: Callable[..., Path], line: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_labelled(written(sfu_line("12:00"), line))


def test_a_minute_with_a_value_that_is_not_known_is_missing_and_counted(written: Callable[..., Path]) -> None:
    """One -1 among the counts of the second minute; the label of -1 is a label."""
    lines = [sfu_line("12:00", columns={7: 10}), sfu_line("12:01", columns={7: -1}), sfu_line("12:02", columns={7: 30})]

    (windows,) = read_labelled(written(*lines))

    assert windows.features["announced"].tolist() == [10, 30]
    assert np.diff(windows.window_start).tolist() == [120]
    assert windows.missing == 1


def test_a_repeated_minute_is_missing_only_if_its_last_line_says_so(written: Callable[..., Path]) -> None:
    known, unknown = sfu_line("12:00", columns={9: 4}), sfu_line("12:00", columns={9: -1})
    after = sfu_line("12:01")
    assert [
        read_labelled(written(*lines))[0].missing for lines in ((known, unknown, after), (unknown, known, after))
    ] == [1, 0]


def test_a_file_without_a_known_minute_is_refused(written: Callable[..., Path]) -> None:
    with pytest.raises(InputError, match="all 1 minutes have a value that is not known"):
        read_labelled(written(sfu_line(columns={41: -1})))


def test_a_line_of_our_own_with_a_value_that_is_not_known_is_a_missing_minute(written: Callable[..., Path]) -> None:
    (windows,) = read_labelled(written(window(1), window(2, announced=-1), window(3)))
    assert (windows.features["announced"].tolist(), windows.missing) == ([1, 3], 1)
    with pytest.raises(InputError, match=r"line 1: announced: expected at least 0, or -1 if it is not known, found -2"):
        read_labelled(written(window(2, announced=-2)))


def test_a_file_cut_short_is_no_smaller_file(tmp_path: Path) -> None:
    path = tmp_path / "half.csv.gz"
    lines = "\n".join(sfu_line(f"{hour:02d}:{minute:02d}") for hour in range(24) for minute in range(60))
    path.write_bytes(gzip.compress(lines.encode())[:-20])

    with pytest.raises(InputError, match=r"half\.csv\.gz: gzip data is truncated, after"):
        read_labelled(path)


def test_an_empty_or_absent_file_says_so(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()

    with pytest.raises(InputError, match=r"expected SFU columns or lines .* found an empty file"):
        read_labelled(tmp_path / "empty")
    with pytest.raises(InputError, match="cannot be read: No such file"):
        read_labelled(tmp_path / "absent")


@pytest.mark.parametrize(("label", "truth"), [(1, True), (True, True), (-1, False), (False, False), (0, False)])
def test_our_own_lines_carry_their_label(written: Callable[..., Path], label: object, truth: bool) -> None:
    (windows,) = read_labelled(written(window(7, label=label), name="lines.ndjson"))

    assert (windows.window_start.tolist(), windows.truth.tolist()) == ([420], [truth])
    assert (windows.features["announced"].tolist(), windows.quality["feed_gap"].tolist()) == ([7.0], [0.0])


def test_lines_of_several_collectors_and_peers_are_told_apart(written: Callable[..., Path]) -> None:
    lines = [window(2), window(1), window(1, collector="rrc01"), window(1, peer="192.0.2.1")]

    groups = read_labelled(written(*lines))

    assert [(group.collector, group.peer, len(group)) for group in groups] == [
        ("rrc00", "", 2),
        ("rrc00", "192.0.2.1", 1),
        ("rrc01", "", 1),
    ]
    assert groups[0].window_start.tolist() == [60, 120]


def test_lines_without_labels_are_minutes_nothing_is_wrong_with(written: Callable[..., Path]) -> None:
    (windows,) = read_labelled(written(window(1), window(2)))

    assert not windows.truth.any()


def test_the_ground_truth_of_a_simulation_labels_those_who_see_it(written: Callable[..., Path]) -> None:
    """An incident from second 150 to 240 touches minutes 2 and 3, at its collector and its peers only."""
    incident = {"kind": "leak", "start": 150.0, "end": 240.0, "collectors": ["rrc00"], "peers": ["192.0.2.1"]}
    truth = written({"incidents": [incident]}, name="truth.json")
    groups = [{"collector": "rrc00"}, {"collector": "rrc01"}, {"peer": "192.0.2.1"}, {"peer": "192.0.2.2"}]
    lines = [window(minute, **group) for minute in range(1, 6) for group in groups]

    found = read_labelled(written(*lines), truth)

    labelled = {(group.collector, group.peer): (group.window_start[group.truth] // 60).tolist() for group in found}
    assert labelled == {
        ("rrc00", ""): [2, 3],
        ("rrc00", "192.0.2.1"): [2, 3],
        ("rrc00", "192.0.2.2"): [],
        ("rrc01", ""): [],
    }


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", r"line 2: expected a JSON object"),
        ("[1]", r"line 2: expected a JSON object, found list"),
        (window(2, window_start=61), r"line 2: expected window_start in whole minutes of epoch seconds, found 61"),
        (window(2, collector=None), r"line 2: collector: expected a text, found None"),
        (window(2, announced="many"), r"line 2: announced: expected a number, found 'many'"),
        (window(2, withdrawn=3), r"line 2: expected the columns of the lines before, found others in withdrawn"),
        (window(2, label="bad"), r"line 2: label: expected 1 or true \(anomaly\), -1 or false \(normal\), found 'bad'"),
        ({"window_start": 60, "collector": "rrc00"}, r"line 2: expected a window of `bgpdrift features`"),
    ],
    ids=["json", "list", "minute", "collector", "number", "columns", "label", "window"],
)
def test_damage_in_our_own_lines_is_named_with_its_line(
    written: Callable[..., Path], line: object, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        read_labelled(written(window(1, label=-1), line))


def test_labels_on_some_lines_only_are_refused(written: Callable[..., Path]) -> None:
    with pytest.raises(InputError, match="line 2: expected a `label` on every line or on none, found none here"):
        read_labelled(written(window(1, label=-1), window(2)))


def test_a_ground_truth_that_is_none_is_refused(written: Callable[..., Path]) -> None:
    lines = written(window(1))

    with pytest.raises(InputError, match="simulate --truth`, found `incidents` that cannot be read"):
        read_labelled(lines, written({"events": []}, name="truth.json"))
    with pytest.raises(InputError, match="simulate --truth`, found no JSON"):
        read_labelled(lines, written("no", name="truth.json"))


def test_a_ground_truth_beside_a_file_with_its_own_labels_is_refused(written: Callable[..., Path]) -> None:
    csv = written(sfu_line())

    with pytest.raises(InputError, match="found a file with labels of its own"):
        read_labelled(csv, written({"incidents": []}, name="truth.json"))
