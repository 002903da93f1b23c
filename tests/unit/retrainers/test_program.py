"""The exit code and the output that follow from the end of the worker."""

import json

import pytest

from bgpdrift.errors import (
    ArtifactError,
    InputError,
    NotEnoughDataError,
    PublishRefusedError,
    SettingsError,
    StoreBusyError,
)
from bgpdrift.process.limited_worker import Limits, WorkerEnd
from retrainers.exits import Exit
from retrainers.program import interpret_end
from retrainers.reporting import WEIGHTS, JsonLines
from retrainers.worker import exit_code_of

LIMITS = Limits(seconds=60.0, memory_bytes=100 * 2**20)


@pytest.mark.parametrize(
    ("ended", "expected"),
    [
        (
            WorkerEnd(None, "time", 15, 5, 61.0),
            (6, "timed_out", "the run took longer than 60 s (retrain.time_limit_s)"),
        ),
        (
            WorkerEnd(None, "memory", 9, 200 * 2**20, 3.0),
            (1, "out_of_memory", "the run used 200 MiB; at most 100 MiB (retrain.memory_limit_bytes) is allowed"),
        ),
        (WorkerEnd(None, "stop_request", 15, 5, 3.0), (143, "interrupted", "stopped by signal 15")),
        (WorkerEnd(None, "foreign_signal", 9, 2**20, 3.0), (1, "killed", "killed by signal 9 at 1 MiB")),
        (WorkerEnd(1, "", 0, 5, 3.0), (1, "failed", "see standard error")),
    ],
    ids=["time", "memory", "asked", "killed", "a bug"],
)
def test_the_end_of_a_worker_without_a_result(ended, expected):
    assert interpret_end(ended, {}, LIMITS) == expected


def test_the_result_of_the_worker_counts_if_there_is_one():
    reported = {"outcome": "promoted", "reason": "every check passed", "version": "4"}
    assert interpret_end(WorkerEnd(0, "", 0, 5, 3.0), reported, LIMITS) == (0, "promoted", "every check passed")
    assert reported == {"version": "4"}


def test_a_worker_that_finished_when_its_time_ran_out_has_succeeded():
    """Asked to stop between its last word and its exit."""
    assert interpret_end(WorkerEnd(0, "time", 0, 5, 60.0), {"outcome": "promoted", "reason": ""}, LIMITS)[0] == 0


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (NotEnoughDataError("x"), 4),
        (SettingsError("x"), 2),
        (InputError("x"), 2),
        (PublishRefusedError("x"), 3),
        (StoreBusyError("x"), 1),
        (ArtifactError("x"), 1),
    ],
)
def test_each_error_has_its_exit_code(error, code):
    assert exit_code_of(error) == Exit(code)


def test_json_lines_leave_out_progress_and_name_the_model(capsys):
    report = JsonLines("lstm")
    report.report({"event": "retrain.progress", "phase": "fit", "share": 0.5})
    report.report({"event": "retrain.fit", "seconds": 1.5})
    report.report({"event": "retrain.result", "outcome": "promoted"})
    report.finish({"outcome": "promoted"})
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert lines == [
        {"model": "lstm", "event": "retrain.fit", "seconds": 1.5},
        {"model": "lstm", "event": "retrain.finished", "outcome": "promoted"},
    ]


def test_the_progress_bar_has_a_weight_for_every_phase():
    from retrainers.training_run import PHASES

    assert set(WEIGHTS) == set(PHASES)
    assert sum(WEIGHTS.values()) == 100
