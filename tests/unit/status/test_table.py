"""The table fits the terminal, lists what needs a person first, and needs no colour."""

import io

import pytest
from rich.console import Console

from bgpdrift.status.sparkline import ASCII_BLOCKS, draw_sparkline
from bgpdrift.status.table import draw


def shown(status, width=80, only="", **options):
    stream = io.StringIO()
    draw(status, Console(file=stream, width=width, highlight=False, **options), only)
    return stream.getvalue()


def one_line(text):
    return " ".join(text.split())


@pytest.mark.parametrize("width", [80, 100, 120, 200])
def test_no_line_is_wider_than_the_terminal(night, constants, width):
    for model in ("", "lstm"):
        lines = shown(night.status(constants.NOW, model), width, model).splitlines()
        assert max(map(len, lines)) <= width


def test_nothing_is_cut_at_eighty_columns(night, constants):
    text = shown(night.status(constants.NOW))
    assert "…" not in text
    for word in ("isolation_forest", "probation", "DRIFT 6 of 6", "critical", "accepted", "published 7", "rejected"):
        assert word in text, word


def test_what_needs_a_person_comes_first_with_commands(night, constants):
    lines = shown(night.status(constants.NOW)).splitlines()
    assert lines[0].startswith("2 things need you.")  # no service runs in this test, and an approval request waits
    text = "\n".join(lines[:12])
    assert "python run_all_services.py start" in text
    assert "bgpdrift approve 1" in text
    assert "bgpdrift reject 1" in text


def test_the_text_is_the_same_without_colour(night, constants):
    coloured = shown(night.status(constants.NOW), force_terminal=True, color_system="truecolor")
    plain = shown(night.status(constants.NOW))
    assert "\x1b[" in coloured
    assert "\x1b" not in plain
    import re

    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == plain


def test_an_empty_directory_is_named_with_the_command_to_start(settings, constants):
    from bgpdrift.status.program import read_status

    text = one_line(shown(read_status(settings, constants.NOW)))
    assert "no service ran here" in text
    assert "python run_all_services.py start" in text
    assert "train one with retrain_lstm" in text


def test_a_running_retrainer_is_drawn_with_phase_and_progress(night, constants):
    night.claim("heuristic")
    night.log_lines("heuristic", {"event": "retrain.progress", "phase": "fit", "share": 0.5, "done": 0.3})
    text = shown(night.status(constants.NOW))
    assert "retrain_heuristic runs" in text
    assert "██████░░░░░░░░░░░░░░ 30% fit" in text


def test_a_waiting_flag_file_is_drawn(night, constants):
    (night.settings.artifacts_path / "retrain_lstm.flag").touch()
    assert "retrain_lstm.flag waits for a retrainer" in shown(night.status(constants.NOW))


def test_all_measures_are_drawn_for_one_model_by_window(night, constants):
    text = shown(night.status(constants.NOW, "lstm"), only="lstm")
    for word in ("24h/7d", "168h/pinned", "tail_95", "volume", "feature:withdrawals", "1 more without drift"):
        assert word in text, word
    assert "heuristic" not in text


def test_series_are_drawn_in_ascii_on_an_ascii_terminal(night, constants):
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii", errors="replace")
    draw(night.status(constants.NOW), Console(file=stream, width=80, highlight=False))
    stream.flush()
    text = stream.buffer.getvalue().decode("ascii")
    assert "_" * 5 in text
    assert "%" in text


def test_a_short_peak_is_visible_at_any_width():
    values = [0.0] * 168
    values[100] = 1.0
    assert all("█" in draw_sparkline(values, width) for width in (1, 8, 60, 168, 300))


def test_an_empty_series_is_blank_and_zeros_are_flat():
    assert draw_sparkline([], 4) == "    "
    assert draw_sparkline([None, None], 4) == "    "
    assert draw_sparkline([0.0, 0.0], 4) == "▁▁▁▁"
    assert draw_sparkline([1.0], 2, blocks=ASCII_BLOCKS) == "##"


def test_text_from_outside_cannot_control_the_terminal(system, constants):
    system.data_until(constants.NOW)
    system.incident(1, constants.CHECKED, summary="Surge [/x] at \x1b[2J rrc00.")

    text = shown(system.status(constants.NOW))

    assert "\x1b" not in text
    assert "Surge [/x] at \\x1b[2J rrc00." in one_line(text)
