"""Drift report files: complete or absent, and limited in number."""

import errno
import os

import pytest

from bgpdrift.drift.report import DriftReport
from bgpdrift.errors import InputError, TransientError
from bgpdrift.monitor.report_files import list_reports, read_report, report_path, write_report

HOUR = 3_600


def report(at, model="lstm"):
    return DriftReport(model, "4", at, "drift", "high", f"Drift at {at}.")


def test_reports_are_listed_by_model_newest_first(tmp_path):
    for at in (2 * HOUR, 0, HOUR):
        write_report(tmp_path, report(at), keep=10)
    write_report(tmp_path, report(HOUR, "isolation_forest"), keep=10)

    assert [read_report(path).at for path in list_reports(tmp_path, "lstm")] == [2 * HOUR, HOUR, 0]
    assert list_reports(tmp_path, "lstm")[0].name == "drift_report_lstm_19700101T020000Z.json"
    assert len(list_reports(tmp_path, "isolation_forest")) == 1


def test_only_the_newest_reports_of_the_same_model_are_kept(tmp_path):
    write_report(tmp_path, report(0, "heuristic"), keep=2)
    for hour in range(5):
        write_report(tmp_path, report(hour * HOUR), keep=2)

    assert [read_report(path).at for path in list_reports(tmp_path, "lstm")] == [4 * HOUR, 3 * HOUR]
    assert report_path(tmp_path, "heuristic", 0).exists()


def test_a_report_of_older_events_is_not_deleted_when_it_is_written(tmp_path):
    """A replay checks past event times, and the caller relies on the file."""
    for hour in (50, 51):
        write_report(tmp_path, report(hour * HOUR), keep=2)

    assert write_report(tmp_path, report(0), keep=2).exists()


def test_a_repeated_check_writes_one_file(tmp_path):
    assert write_report(tmp_path, report(0), keep=9) == write_report(tmp_path, report(0), keep=9)
    assert len(list(tmp_path.iterdir())) == 1


def test_incomplete_and_other_files_are_not_reports(tmp_path):
    write_report(tmp_path, report(0), keep=9)
    (tmp_path / ".drift_report_lstm_19700101T010000Z.json.123-0.stage").write_bytes(b'{"schema"')
    (tmp_path / "drift_report_lstm_yesterday.json").write_text("{}")
    (tmp_path / "drift_report_lstm_19700101T010000Z.json.bak").write_text("{}")

    assert [path.name for path in list_reports(tmp_path, "lstm")] == ["drift_report_lstm_19700101T000000Z.json"]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EIO])
@pytest.mark.parametrize("call", ["open", "fsync"])
def test_a_disk_error_affects_only_the_new_report(tmp_path, monkeypatch, code, call):
    kept = write_report(tmp_path, report(0), keep=1)
    real = getattr(os, call)

    def failing(path, *rest):
        if call == "fsync" or ".stage" in str(path):
            raise OSError(code, os.strerror(code), path)
        return real(path, *rest)

    monkeypatch.setattr(os, call, failing)
    with pytest.raises(TransientError, match=os.strerror(code)):
        write_report(tmp_path, report(HOUR), keep=1)
    monkeypatch.undo()

    assert list(tmp_path.iterdir()) == [kept]
    assert read_report(kept).at == 0


def test_a_model_name_with_a_path_is_refused(tmp_path):
    with pytest.raises(InputError, match="model: expected one of"):
        write_report(tmp_path, report(0, "../lstm"), keep=1)


def test_the_error_names_a_missing_or_damaged_report(tmp_path):
    path = write_report(tmp_path, report(0), keep=1)
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(InputError, match=r"drift_report_lstm_19700101T000000Z\.json: expected JSON"):
        read_report(path)
    with pytest.raises(InputError, match="this drift report does not exist"):
        read_report(tmp_path / "drift_report_lstm_19700101T090000Z.json")
