"""Score logs that once failed, each checked by `bgpdrift check-file` with the right result."""

import subprocess
import sys
from typing import NamedTuple

import pytest

DRIFT, NOT_ENOUGH_DATA, BAD_INPUT = 10, 4, 2


class Result(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture
def check_file(shared_cases):
    def run(name: str, *options: str) -> Result:
        path = shared_cases / "csv" / f"{name}.csv.gz"
        command = [sys.executable, "-m", "bgpdrift.cli", "check-file", *options, str(path)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=100)
        assert "Traceback" not in done.stderr, done.stderr
        return Result(done.returncode, done.stdout, done.stderr)

    return run


def test_a_row_in_milliseconds_is_named_and_refused(check_file):
    result = check_file("d03-one-ms-row")

    assert result.code == BAD_INPUT
    assert "line 5002: expected epoch seconds as 'timestamp'" in result.err
    assert "'1767525600000' (epoch milliseconds)" in result.err


def test_a_row_in_milliseconds_changes_no_other_row_where_it_is_left_out(check_file):
    result = check_file("d03-one-ms-row", "--skip-missing")

    assert "line 5002" in result.err
    assert "11,519 rows read" in result.out
    assert "1 left out" in result.out
    assert "2026-01-08 00:00 to 2026-01-09 00:00 UTC, 1,440 values" in result.out


def test_a_row_in_the_far_future_is_named_and_refused(check_file):
    result = check_file("d08-row-in-2099")

    assert result.code == BAD_INPUT
    assert "line 5002" in result.err
    assert "2099-01-01" in result.err
    assert "2098" not in result.out


def test_a_row_in_the_far_future_does_not_decide_where_the_window_ends(check_file):
    result = check_file("d08-row-in-2099", "--skip-missing")

    assert "2099-01-01" in result.err
    assert "2026-01-08 00:00 to 2026-01-09 00:00 UTC, 1,440 values" in result.out


def test_cr_line_ends_are_read(check_file):
    """The file holds 33 hours, which is not enough for a verdict, and that is no success."""
    result = check_file("d05-cr-only")

    assert result.code == NOT_ENOUGH_DATA
    assert "2,000 rows read" in result.out


def test_an_unclosed_quote_is_refused_with_its_line(check_file):
    result = check_file("d06b-unclosed-quote-row")

    assert result.code == BAD_INPUT
    assert "line 1502" in result.err


def test_values_near_the_end_of_the_number_range_give_a_verdict(check_file):
    assert check_file("d10b-1e300-shift").code == DRIFT


@pytest.mark.parametrize("name", ["d01-tiny-x1000", "d02g-offset-one-bin-5sd"])
def test_a_verdict_does_not_depend_on_unit_or_offset(check_file, name):
    assert check_file(name).code == DRIFT
