"""No name or text from outside controls the terminal, whatever command prints it: tables, lines, JSON and pages.

The store refuses no such text, since an older version or another program may have written it.
"""

import html
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from bgpdrift.cli import COMMANDS as ALL_COMMANDS
from bgpdrift.cli import cli
from bgpdrift.drift.check import check_scores
from bgpdrift.drift.hours import Hours
from bgpdrift.drift.report_page import render_page
from bgpdrift.entry_point import run_program
from bgpdrift.settings import load
from bgpdrift.status.program import run as print_drift_status
from bgpdrift.store import IncidentChanges, Store, migrate, open_store
from bgpdrift.store.model_records import EventReason, RetrainEvent
from bgpdrift.store.outcomes import Outcome
from bgpdrift.store.request_records import ApprovalRequest, RetrainApproval
from supervisor.cli import main as manage
from supervisor.services import BGPDRIFT

NOW = 1_767_225_600
NAMES = (
    "rrc00[/x]",
    "rrc01\x1b[2J",
    "\u202e10crr",
    "rrc02\x9b2J",
    "\u2066rrc03\u2069",
    "=1+1",
    "rrc04\x08",
    "a\rb",
)
"""Markup, escape sequences of 7 and 8 bits, reversal of direction, a formula, a backspace, a return to the margin."""
CONTROLS = frozenset(
    "\x00\x07\x08\x0b\x0c\r\x1b\x7f\x9b\u200e\u200f\u2028\u2029\u202a\u202d\u202e\u2066\u2067\u2068\u2069"
)
TEXT = " ".join(NAMES)


def fill(store: Store) -> None:
    """Write every kind of row that a command prints, with hostile names and texts."""
    windows = [{"window_start": NOW - 60 * m, "collector": "rrc00", "peer": ""} for m in range(1, 60)]
    store.write_windows(windows, None)
    incident = {
        "id": 1, "state": "open", "kind": "surge", "severity": "high", "started_at": NOW - 600, "last_seen_at": NOW - 60,
        "closed_at": None, "peak": 7.5, "collectors": list(NAMES), "peers": list(NAMES), "origins": list(NAMES),
        "prefixes": list(NAMES), "summary": TEXT,
        "explanation": {"rules": [{"rule": name, "fired": 1} for name in NAMES], "collectors": list(NAMES)},
    }  # fmt: skip
    store.apply_incidents(IncidentChanges(inserts=[incident]), None)
    store.record_outcome(
        Outcome(starts_at=NOW - 600, ends_at=NOW, collector="rrc00", label="missed", labelled_by=TEXT[:60], notes=TEXT),
        NOW,
    )
    store.request_approval(
        ApprovalRequest(kind="retrain", subject="lstm", requested_at=NOW, details=RetrainApproval(summary=TEXT))
    )
    store.record_retrain_event(
        RetrainEvent(
            model="lstm",
            version="2",
            started_at=NOW - 90,
            finished_at=NOW,
            exit_code=1,
            reason=EventReason(summary=TEXT, requested_by=TEXT),
            notes=TEXT,
        )
    )


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BGPDRIFT_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("BGPDRIFT_FEED__URL", "ws://127.0.0.1:9/")
    settings = load()
    settings.data_path.mkdir()
    settings.artifacts_path.mkdir(parents=True, exist_ok=True)
    settings.logs_path.mkdir()
    migrate(settings.store_url)
    with open_store(settings.store_url) as store:
        fill(store)
    (settings.artifacts_path / "lstm.safetensors").write_bytes(b"no model \x1b[2J")
    lines = (json.dumps({"event": "feed.lost", "reason": name, "at": "2026-01-01T00:00:00Z"}) for name in NAMES)
    (settings.logs_path / "ris_live_collector.log").write_text("\n".join([*lines, *NAMES[:3]]) + "\n", "utf-8")
    collector = {"at": time.time(), "state": NAMES[0], "url": TEXT, "collectors": dict.fromkeys(NAMES, 1.0)}
    collector |= {"last_error": TEXT, "silent_collectors": NAMES, "frames": 7, "connected": True}
    settings.state_path.mkdir()
    (settings.state_path / "collector.json").write_text(json.dumps(collector), "utf-8")
    write_frames(tmp_path / "frames.jsonl")
    write_scores(tmp_path / "scores\x1b[2J.csv")
    return tmp_path


def write_frames(path: Path) -> None:
    """Write messages whose fields are hostile; some of them are valid."""
    frames = []
    for number, name in enumerate(NAMES * 3):
        data = {
            "timestamp": NOW + number, "peer": "192.0.2.1", "peer_asn": "64500", "host": "rrc00", "type": "UPDATE",
            "path": [64500], "announcements": [{"next_hop": "192.0.2.1", "prefixes": ["192.0.2.0/24"]}],
        }  # fmt: skip
        field = ("host", "peer", "id")[number % 3]
        frames.append(json.dumps({"type": "ris_message", "data": data | {field: name}}, ensure_ascii=False))
        frames.append(json.dumps({"type": "ris_error", "data": {"message": name}}, ensure_ascii=False))
    path.write_text("\n".join([*frames, *NAMES]) + "\n", "utf-8")


def write_scores(path: Path) -> None:
    times = NOW + 60 * np.arange(3 * 1_440)
    rows = (
        f"{at},{score:.6f},{NAMES[0]}"
        for at, score in zip(times, np.random.default_rng(1).gamma(2, 1, len(times)), strict=True)
    )
    path.write_text("\n".join([f"time,score,{NAMES[1]}", *rows, f"{NAMES[2]},1.0,x"]) + "\n", "utf-8")


COMMANDS = [
    "incidents",
    "incidents 1",
    "incidents --json",
    "incidents 1 --json",
    "label --list",
    "label --list --json",
    "approve --list",
    "approve --list --json",
    "models",
    "models --json",
    "feed",
    "feed --json",
    "doctor",
    "doctor --json",
    "check",
    "decode {frames}",
    "features --lenient {frames}",
    "check-file --skip-missing {scores}",
    "check-file --skip-missing --json {scores}",
]


PRINT_NO_NAMES = {"config", "demo", "evaluate", "promote", "reject", "replay", "rollback", "simulate", "store"}
"""Commands that print settings, versions of models, or what they compute themselves."""
OTHER_TESTS = {"report", "status", "logs", "start", "stop", "restart", "reload"}
"""Commands of the tests below: the page, and the supervisor's."""


def test_every_command_is_tested_or_prints_no_names() -> None:
    assert {words.split()[0] for words in COMMANDS} | PRINT_NO_NAMES | OTHER_TESTS == set(ALL_COMMANDS)


@pytest.fixture
def run(data: Path, capfd: pytest.CaptureFixture[str]) -> Callable[[str], str]:
    """Return a function that runs a command and returns all that it prints."""

    def invoke(words: str) -> str:
        places = {"frames": str(data / "frames.jsonl"), "scores": str(data / "scores\x1b[2J.csv")}
        arguments = [word.format(**places) for word in words.split()]
        done = CliRunner().invoke(cli, arguments, color=True)
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        return done.output + "".join(capfd.readouterr())

    return invoke


def find_controls(text: str) -> set[str]:
    return CONTROLS & set(text)


@pytest.mark.parametrize("words", COMMANDS)
def test_a_command_prints_no_character_that_controls_the_terminal(run: Callable[[str], str], words: str) -> None:
    printed = run(words)
    assert printed
    assert find_controls(printed) == set()


@pytest.mark.parametrize(
    "words",
    [
        "incidents",
        "incidents 1",
        "label --list",
        "approve --list",
        "decode {frames}",
        "check-file --skip-missing {scores}",
    ],
)
def test_the_escaped_form_is_printed_instead(
    run: Callable[[str], str], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "500")
    printed = run(words)
    assert "\\x1b[2J" in printed or "\\u001b[2J" in printed


@pytest.mark.parametrize("words", ["incidents --json", "incidents 1 --json", "label --list --json", "decode {frames}"])
def test_json_keeps_the_value(run: Callable[[str], str], words: str) -> None:
    documents = [json.loads(line) for line in run(words).splitlines() if line.startswith("{")]
    assert documents
    assert any("rrc02\x9b2J" in text for text in flatten(documents))


def flatten(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        for one in value.values():
            yield from flatten(one)
    elif isinstance(value, list):
        for one in value:
            yield from flatten(one)
    elif isinstance(value, str):
        yield value


@pytest.mark.parametrize("arguments", [[], ["--json"], ["--model", "lstm"]])
def test_the_drift_status_prints_no_such_character(
    data: Path, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    print_drift_status(arguments)
    printed = "".join(capsys.readouterr())
    assert printed
    assert find_controls(printed) == set()


@pytest.mark.parametrize(
    "arguments", [["status"], ["status", "--json"], ["logs"], ["logs", "--console"], ["logs", "--raw"]]
)
def test_the_supervisor_prints_no_such_character(
    data: Path, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    manage(arguments, BGPDRIFT)
    printed = "".join(capsys.readouterr())
    assert printed
    assert find_controls(printed) == set()


def test_the_page_shows_hostile_titles_as_text() -> None:
    times = NOW + 60 * np.arange(8 * 1_440)
    values = np.random.default_rng(1).gamma(2.0, 1.0, len(times))
    hours = Hours.from_rows(times, values)
    report = check_scores(times, values)
    page = render_page(report, [hours], title=f"<script>{TEXT}", written=TEXT)
    assert find_controls(page) == set()
    assert "<script>rrc" not in page
    assert html.escape("<script>rrc00[/x]") in page


def test_an_error_message_prints_no_such_character(capsys: pytest.CaptureFixture[str]) -> None:
    def fail() -> int:
        raise OSError(2, TEXT, TEXT)

    assert run_program("bgpdrift", fail) == 1
    assert find_controls("".join(capsys.readouterr())) == set()
