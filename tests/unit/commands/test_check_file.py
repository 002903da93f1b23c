"""`bgpdrift check-file`, as a user types it."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

from bgpdrift.commands.check_file import EXIT_DRIFT, EXIT_NOT_ENOUGH, command
from bgpdrift.drift.report_json import decode
from bgpdrift.errors import InputError
from bgpdrift.lab import score_log

T = 1_767_225_600
DAY = 1_440


@pytest.fixture
def run():
    def invoke(*words):
        done = CliRunner().invoke(command, [str(word) for word in words])
        if isinstance(done.exception, InputError):
            raise done.exception
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        return done

    return invoke


@pytest.fixture
def scores(tmp_path):
    """A file of so many days of minutes; from ``since`` days on everything is larger by a factor."""

    def write(name="s.csv", days=8, since=7.0, factor=1.0, begin=T, labelled=False):
        random = np.random.default_rng(days)
        minutes = np.arange(days * DAY)
        found = random.gamma(2.0, 1.0, len(minutes)) * (1 + 0.4 * np.sin(2 * np.pi * minutes / DAY))
        found[minutes >= since * DAY] *= factor
        alarms = found > 7.0
        lines = [
            f"{begin + 60 * k},{score:.6f},{int(alarm)}"
            for k, (score, alarm) in enumerate(zip(found, alarms, strict=True))
        ]
        header = "time,score,is_anomaly"
        if labelled:
            header += ",label"
            lines = [
                f"{line},{int(alarm and (k < since * DAY or k % 5 == 0))}"
                for k, (line, alarm) in enumerate(zip(lines, alarms, strict=True))
            ]
        path = tmp_path / name
        path.write_text("\n".join([header, *lines]))
        return path

    return write


def test_no_drift_exits_0_and_shows_the_smallest_detectable_shift(run, scores):
    done = run(scores())
    assert done.exit_code == 0
    assert "no drift" in done.stdout
    assert "smallest detectable shift" in done.stdout
    assert "11,520 rows read, times from 'time', scores from 'score'" in done.stdout


def test_drift_exits_10_and_its_report_can_be_decoded(run, scores):
    done = run(scores(factor=1.5), "--json")
    report = decode(done.stdout_bytes)
    assert done.exit_code == EXIT_DRIFT
    assert (report.verdict, report.policy) == ("drift", "rule")
    assert report.measure("anomaly_rate").effect > 0


def test_a_short_log_exits_4_and_says_what_is_missing(run, scores):
    done = run(scores(days=2))
    assert done.exit_code == EXIT_NOT_ENOUGH
    assert "not enough data" in done.stdout


def test_a_current_file_is_compared_with_a_reference_of_another_month(run, scores):
    reference = scores("r.csv", days=7)
    same = scores("c.csv", days=1, begin=T + 30 * 86_400)
    other = scores("o.csv", days=1, since=0, factor=1.6, begin=T + 30 * 86_400)
    assert run("--reference", reference, "--current", same).exit_code == 0
    assert run("--reference", reference, "--current", other).exit_code == EXIT_DRIFT


@pytest.mark.parametrize("policy", ["psi", "ks", "kl_psi_accuracy", "score_shift", "pvalue"])
def test_a_textbook_policy_decides_if_it_is_given(run, scores, policy):
    done = run(scores(factor=2.5), "--policy", policy, "--json")
    report = json.loads(done.stdout)
    assert (done.exit_code, report["policy"], report["verdict"]) == (EXIT_DRIFT, policy, "drift")


def test_labels_give_accuracy_and_the_fall_of_it(run, scores):
    report = decode(run(scores(factor=2.0, labelled=True), "--policy", "kl_psi_accuracy", "--json").stdout_bytes)
    accuracy = report.measure("accuracy")
    assert accuracy.effect < -0.02
    assert accuracy.severity != "none"
    assert "accuracy" in report.reason


def test_a_feature_without_alarms_has_no_anomaly_rate(run, tmp_path):
    path = tmp_path / "f.csv"
    path.write_text("window_start,withdrawals\n" + "".join(f"{T + 60 * k},{k % 50}\n" for k in range(8 * DAY)))
    report = decode(run(path, "--json").stdout_bytes)
    assert report.measure("anomaly_rate") is None
    assert report.measure("volume").value == pytest.approx(1)


def test_a_page_is_written_too(run, scores, tmp_path):
    done = run(scores(factor=1.5), "--html", tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert done.exit_code == EXIT_DRIFT
    assert "Drift of s.csv" in page
    assert len(page) < 300_000


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ((), "expected one file of SCORES, or both"),
        (("--reference", "r.csv"), "expected one file of SCORES, or both"),
        (("s.csv", "--reference", "r.csv", "--current", "c.csv"), "expected one file of SCORES, or both"),
        (
            ("--reference", "r.csv", "--current", "c.csv", "--preset", "7d/7d"),
            "--preset: expected one file of SCORES, found --reference and --current",
        ),
        (("none.csv",), r"none\.csv: cannot be read: No such file"),
    ],
)
def test_invalid_arguments_are_refused(run, words, why):
    with pytest.raises(InputError, match=why):
        run(*words)


def test_a_page_that_cannot_be_written_is_an_error(run, scores, tmp_path):
    with pytest.raises(InputError, match="cannot be written: No such file or directory"):
        run(scores(), "--html", tmp_path / "none" / "page.html")


def test_a_threshold_that_the_policy_does_not_use_is_noted(run, scores, monkeypatch):
    monkeypatch.setenv("BGPDRIFT_DRIFT__MEDIAN_SHIFT", "0.01")
    done = run(scores())
    assert done.exit_code == 0
    assert "drift.median_shift is set, but the policy rule does not use it" in done.stderr
    assert "drift.median_shift" not in run(scores(), "--policy", "score_shift").stderr


@pytest.mark.parametrize("offset", [0, 1_000_000])
def test_the_level_of_a_reference_file_does_not_hide_a_change(run, tmp_path, offset):
    """The map is decided by the reference file and used for both files."""
    random = np.random.default_rng(5)
    values = random.normal(5, 0.7, 9 * DAY)
    values[8 * DAY :] += 1.0

    def write(name, days):
        rows = (f"{T + 60 * k},{offset + values[k]:.6f}" for k in range(days.start * DAY, days.stop * DAY))
        (tmp_path / name).write_text("\n".join(["time,score", *rows]))
        return tmp_path / name

    reference, same, other = write("r.csv", range(7)), write("c.csv", range(7, 8)), write("o.csv", range(8, 9))
    assert run("--reference", reference, "--current", same).exit_code == 0
    done = run("--reference", reference, "--current", other, "--html", tmp_path / "page.html")
    assert done.exit_code == EXIT_DRIFT
    assert f"median {offset + 6:,}" in (tmp_path / "page.html").read_text() or offset == 0


def test_the_rows_that_decide_the_map_may_be_the_first_part_of_a_file(run, scores, monkeypatch):
    monkeypatch.setattr(score_log, "BUFFER_ROWS", 2_000)
    monkeypatch.setattr(score_log, "CHUNK_ROWS", 1_000)
    path = scores(factor=1.5)
    header, *rows = path.read_text().split("\n")
    moved = (row.split(",") for row in rows)
    path.write_text("\n".join([header, *(f"{at},{float(score) + 5_000},{alarm}" for at, score, alarm in moved)]))
    assert run(path).exit_code == EXIT_DRIFT


@pytest.mark.parametrize("factor", [1.0, 1e290])
def test_no_cell_is_cut_at_80_columns(run, tmp_path, monkeypatch, factor):
    """Notes follow the table there, one line for all measures with the same note."""
    monkeypatch.setenv("COLUMNS", "80")
    random, path = np.random.default_rng(3), tmp_path / "s.csv"
    rows = enumerate(random.gamma(2.0, 1.0, 8 * DAY) * np.where(np.arange(8 * DAY) >= 7 * DAY, 2.0, 1.0) * factor)
    lines = [f"{T + 60 * minute},{float(score)!r},{int(score > 7 * factor)},0" for minute, score in rows]
    path.write_text("\n".join(["time,score,is_anomaly,label", *lines]))

    shown = run(path).stdout

    table = shown[shown.index("\nmeasure ") :].splitlines()
    assert "…" not in shown
    assert max(map(len, table[:-1])) <= 80
    words = " ".join(shown.split())
    for cell in ("share of scores", "Wasserstein", "< 0.0001", "high", "too few labels: 0 anomalous and 1440 normal"):
        assert cell in words


def test_a_wide_terminal_has_the_notes_in_the_table(run, scores, monkeypatch):
    monkeypatch.setenv("COLUMNS", "140")
    shown = run(scores()).stdout
    assert "note" in shown[shown.index("\nmeasure ") :].splitlines()[1]
