"""`bgpdrift evaluate` as a program: files in, table, JSON, Markdown and picture out."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from bgpdrift.commands.evaluate import command
from bgpdrift.errors import InputError
from bgpdrift.lab.evaluation.evaluation import ROWS
from bgpdrift.lab.evaluation.labelled_files import labelled_files, truth_beside

Evaluate = Callable[..., Result]
COUNTER = ("--detector", "announcements_counter", "--train-minutes", "720")


@pytest.fixture
def evaluate() -> Evaluate:
    return lambda *words: CliRunner().invoke(command, [str(word) for word in words], standalone_mode=False)


@pytest.fixture
def lines(tmp_path: Path) -> Path:
    """A day of generated windows with a storm of an hour in the second half, labelled."""
    rng = np.random.default_rng(3)
    path = tmp_path / "storm.ndjson"
    with path.open("w") as file:
        for minute in range(1440):
            storm = 1000 <= minute < 1060
            announced = int(rng.poisson(100)) * (40 if storm else 1)
            row = {"window_start": 60 * minute, "collector": "rrc00", "announced": announced, "label": storm}
            file.write(json.dumps(row) + "\n")
    return path


def test_json_is_one_object_with_the_figures(evaluate: Evaluate, lines: Path) -> None:
    document = json.loads(evaluate("--labelled", lines, "--json", *COUNTER).stdout)

    assert (document["file"], document["train_minutes"], document["minutes"]) == (str(lines), 720, 720)
    figures = document["detectors"]["announcements_counter"]
    assert figures["auc"] > 0.99
    assert (figures["spans"], figures["spans_alarmed"]) == (1, 1)


def test_the_table_has_a_row_for_each_detector(evaluate: Evaluate, lines: Path) -> None:
    shown = evaluate("--labelled", lines, *COUNTER).stdout

    assert "announcements_counter" in shown
    assert "trained on 720 minutes, evaluated on 720, 60 of them labelled" in shown


def test_minutes_with_a_value_that_is_not_known_are_missing_and_counted(evaluate: Evaluate, lines: Path) -> None:
    text = lines.read_text().splitlines()
    cells = [json.loads(line) for line in text]
    cells[900]["announced"] = cells[901]["announced"] = -1
    lines.write_text("\n".join(map(json.dumps, cells)) + "\n")

    shown = evaluate("--labelled", lines, *COUNTER).stdout
    document = json.loads(evaluate("--labelled", lines, "--json", *COUNTER).stdout)

    assert "storm: 2 minutes are missing: a value in them is -1, not known" in shown
    assert (document["minutes"], document["missing_minutes"]) == (718, 2)


def test_all_makes_one_table_and_names_the_file_that_cannot_be_read(evaluate: Evaluate, lines: Path) -> None:
    (lines.parent / "broken.csv").write_text("1,2,3\n")

    done = evaluate("--all", lines.parent, "--markdown", *COUNTER)

    assert isinstance(done.exception, SystemExit)
    assert done.exception.code == 1
    assert "| storm | `announcements_counter` |" in done.stdout
    assert "broken.csv, line 1: expected 42 comma-separated numbers" in done.stdout


def test_all_as_json_is_a_list(evaluate: Evaluate, lines: Path) -> None:
    (document,) = json.loads(evaluate("--all", lines.parent, "--json", *COUNTER).stdout)

    assert document["file"] == str(lines)


def test_a_picture_is_drawn_on_request(evaluate: Evaluate, lines: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")

    evaluate("--labelled", lines, "--plot", tmp_path / "storm.png", *COUNTER)

    assert (tmp_path / "storm.png").read_bytes().startswith(b"\x89PNG")


def test_a_picture_that_cannot_be_written_is_said(evaluate: Evaluate, lines: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")

    done = evaluate("--labelled", lines, "--plot", tmp_path / "absent" / "storm.png", *COUNTER)

    assert isinstance(done.exception, InputError)
    assert "cannot be written: No such file" in str(done.exception)


def test_the_ground_truth_beside_a_file_is_found(tmp_path: Path) -> None:
    (tmp_path / "world.truth.json").touch()

    assert truth_beside(tmp_path / "world.ndjson.gz") == tmp_path / "world.truth.json"
    assert truth_beside(tmp_path / "other.ndjson") is None


def test_files_of_a_folder_are_told_by_their_endings(tmp_path: Path) -> None:
    for name in ("b.csv.gz", "a.ndjson", "a.truth.json", "README.md"):
        (tmp_path / name).touch()

    assert [path.name for path in labelled_files(tmp_path)] == ["a.ndjson", "b.csv.gz"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "expected exactly one of --labelled FILE, --all DIR and --kinds"),
        (["--labelled", "a.csv", "--all", "."], "expected exactly one of --labelled FILE, --all DIR and --kinds"),
        (["--all", ".", "--plot", "a.png"], "--plot and --truth are allowed only with --labelled FILE"),
        (["--all", "absent"], "--all absent: no such folder"),
        (["--all", "."], "--all .: no file that ends in .csv"),
        (["--labelled", "absent.csv"], "absent.csv: cannot be read: No such file"),
    ],
)
def test_what_makes_no_sense_is_refused(evaluate: Evaluate, words: list[str], message: str) -> None:
    done = evaluate(*words)

    assert isinstance(done.exception, InputError)
    assert message in str(done.exception)


def test_the_command_line_prints_json_and_exits_2_on_a_file_that_cannot_be_read(lines: Path) -> None:
    bgpdrift = [sys.executable, "-m", "bgpdrift.cli", "evaluate"]

    done = subprocess.run([*bgpdrift, "--labelled", str(lines), "--json", *COUNTER], capture_output=True, text=True)
    wrong = subprocess.run([*bgpdrift, "--labelled", "absent.csv"], capture_output=True, text=True)

    assert done.returncode == 0, done.stderr
    assert list(json.loads(done.stdout)["detectors"]) == ["announcements_counter"]
    assert (wrong.returncode, wrong.stderr) == (2, "bgpdrift: absent.csv: cannot be read: No such file or directory\n")


@pytest.mark.shared_data
@pytest.mark.parametrize(("name", "auc"), [("Slammer", 0.9985), ("Code_Red_I", 0.9653)])
def test_the_plain_counter_reaches_what_it_is_known_to_reach(
    evaluate: Evaluate, shared_data: Path, name: str, auc: float
) -> None:
    """The figures of the counter, which every quality table contains, equal those of an independent computation."""
    file = shared_data / "labelled" / f"{name}.csv.gz"

    document = json.loads(evaluate("--labelled", file, "--json", "--detector", ROWS[0]).stdout)

    assert document["detectors"][ROWS[0]]["auc"] == pytest.approx(auc, abs=5e-5)
