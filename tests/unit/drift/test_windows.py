"""Which hours a check compares: clean hours of one version, without flagged hours in a rolling reference."""

from typing import get_args

import numpy as np

from bgpdrift.drift.hours import Hours
from bgpdrift.drift.windows import (
    PRESETS,
    DetectorHours,
    collect_history,
    list_hours,
    pair_pinned,
    pair_rolling,
    pair_windows,
    split_windows,
)
from bgpdrift.settings_sections import DriftSettings, WindowPresetName

HOUR, DAY = 3_600, 86_400


def hours(first: int, end: int, level: float = 1.0) -> Hours:
    times = np.arange(first, end) * HOUR
    return Hours.from_rows(times, np.full(len(times), level))


def known(days: float, **columns: object) -> DetectorHours:
    return DetectorHours(int(days * DAY), {"a": hours(0, int(24 * days))}, **columns)  # type: ignore[arg-type]


def test_a_day_is_compared_with_the_seven_before_it() -> None:
    pair = pair_rolling(known(20), "24h/7d")
    assert pair.current_span == (19 * DAY, 20 * DAY)
    assert pair.reference_span == (12 * DAY, 19 * DAY)
    assert len(list_hours(pair.reference)) == 168


def test_a_week_is_compared_with_the_days_30_to_60_ago() -> None:
    pair = pair_rolling(known(70), "7d/30d")
    assert pair.current_span == (63 * DAY, 70 * DAY)
    assert pair.reference_span == (10 * DAY, 40 * DAY)


def test_flagged_hours_leave_the_reference_and_older_ones_replace_them() -> None:
    flagged = frozenset(range(15 * DAY, 19 * DAY, HOUR))
    pair = pair_rolling(known(20, flagged=flagged), "24h/7d")
    assert pair.reference_span == (8 * DAY, 15 * DAY)
    assert len(list_hours(pair.current)) == 24
    assert [(one.window, one.hours, one.reason) for one in pair.left_out] == [("reference", 96, "flagged as drift")]
    some = pair_rolling(known(20, flagged=frozenset({18 * DAY})), "24h/7d")
    assert [(one.window, one.hours, one.reason) for one in some.left_out] == [("reference", 1, "flagged as drift")]


def test_a_young_version_uses_the_hours_of_its_artifact_until_it_has_a_week_of_its_own() -> None:
    profile, born = {"a": hours(0, 200, 5.0)}, 100 * DAY
    young = DetectorHours(born + 2 * DAY, {"a": hours(2_400, 2_448)}, profile)
    pair = pair_rolling(young, "24h/7d")
    assert len(list_hours(pair.reference)) == 168
    assert int((list_hours(pair.reference) < born).sum()) == 144
    old = DetectorHours(born + 9 * DAY, {"a": hours(2_400, 2_616)}, profile)
    assert (list_hours(pair_rolling(old, "24h/7d").reference) >= born).all()
    creeping = pair_pinned(old, 72, 12, 3)
    assert creeping is not None
    assert (list_hours(creeping.reference) < born).all()


def test_a_version_without_artifact_hours_is_pinned_to_its_first_clean_week() -> None:
    live = {"a": hours(0, 12 * 24)}
    out = {"": dict.fromkeys(range(0, DAY, HOUR), "incident 1")}
    late = DetectorHours(12 * DAY, live, first=live, out=out)
    pair = pair_pinned(late, 24, 12, 3)
    assert pair is not None
    assert pair.reference_span == (DAY, 8 * DAY)
    early = DetectorHours(8 * DAY, {"a": hours(0, 8 * 24)}, first={"a": hours(0, 8 * 24)}, out=out)
    assert pair_pinned(early, 24, 12, 3) is None


def test_the_first_days_of_a_version_complete_a_short_pinned_reference() -> None:
    profile, born = {"a": hours(2_370, 2_400)}, 2_400 * HOUR

    def after(lived: int) -> DetectorHours:
        live = {"a": hours(2_400, 2_400 + lived)}
        return DetectorHours(born + lived * HOUR, live, profile, first=live)

    assert pair_pinned(after(60), 24, 12, 3) is None
    young, grown = pair_pinned(after(66), 24, 12, 3), pair_pinned(after(400), 24, 12, 3)
    assert young is not None
    assert grown is not None
    assert len(list_hours(young.reference)) == 72
    assert len(list_hours(grown.reference)) == 168
    assert grown.reference_span[0] == 2_370 * HOUR


def test_a_window_that_is_less_than_half_full_is_not_compared() -> None:
    young = DetectorHours(100 * DAY + 36 * HOUR, {"a": hours(2_400, 2_436)}, {"a": hours(0, 200)})
    assert [pair.window for pair in pair_windows(young, DriftSettings())] == ["24h/7d", "24h/pinned", "72h/pinned"]


def test_incident_hours_are_excluded_at_their_collector_only() -> None:
    live = {"a": hours(0, 240), "b": hours(0, 240)}
    out = {"a": {9 * DAY + HOUR: "incident 1", 5 * DAY: "incident 2"}}
    pair = pair_rolling(DetectorHours(10 * DAY, live, out=out), "24h/7d")
    assert (len(pair.current["a"]), len(pair.current["b"])) == (23, 24)
    assert 5 * DAY not in pair.reference["a"].starts
    assert {one.reason for one in pair.left_out} == {"incident 1", "incident 2"}


def test_a_history_holds_all_clean_hours_by_version() -> None:
    young = DetectorHours(
        30 * DAY,
        {"a": hours(20 * 24, 30 * 24)},
        profile={"a": hours(18 * 24, 21 * 24, 2.0)},
        earlier=[{"a": hours(0, 20 * 24)}],
        out={"": {3 * DAY: "incident 3", 25 * DAY: "incident 4"}},
        flagged=frozenset({27 * DAY}),
    )
    older, active = collect_history(young)
    assert len(list_hours(older)) == 20 * 24 - 1
    assert len(list_hours(active)) == 12 * 24 - 1, "includes the hours of the artifact and hours called drift"
    assert active["a"].between(20 * DAY, 20 * DAY + HOUR).totals.tolist() == [1.0], (
        "live hours replace those of the artifact"
    )


def test_every_preset_of_the_settings_is_in_the_table() -> None:
    assert tuple(PRESETS) == get_args(WindowPresetName)


def test_a_file_and_the_monitor_use_the_same_windows_of_a_preset() -> None:
    for name in PRESETS:
        pair = pair_rolling(known(70), name)
        assert split_windows(name, 70 * DAY) == (pair.current_span, pair.reference_span)
