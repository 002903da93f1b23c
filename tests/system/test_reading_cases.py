"""Damaged and unusual files, read and reported by the commands an operator types.

The files lie beside the checkout; each stands for a kind of fault.
"""

import json
import subprocess
import sys
from typing import Any, NamedTuple

import pytest


class Result(NamedTuple):
    code: int
    rows: list[dict[str, Any]]
    out: str
    err: str

    def total(self, column: str) -> int:
        return sum(row[column] for row in self.rows)


def bgpdrift(*arguments: object) -> Result:
    command = [sys.executable, "-m", "bgpdrift.cli", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert "Traceback" not in done.stderr, done.stderr
    is_json = done.stdout.startswith("{")
    rows = [json.loads(line) for line in done.stdout.splitlines()] if is_json else []
    return Result(done.returncode, rows, done.stdout, done.stderr)


def features(*arguments: object) -> Result:
    return bgpdrift("features", *arguments)


# What is read, and what is reported.


@pytest.mark.parametrize("name", ["ris_live/r05-both.ndjson", "mrt/m16-both-in-one.mrt"])
def test_a_prefix_withdrawn_and_announced_in_one_update_counts_as_announced(shared_cases, name):
    """RFC 4271, section 4.3."""
    result = features(shared_cases / name)

    figures = {column: result.total(column) for column in ("announced", "duplicate", "new", "withdrawn")}
    assert figures == {"announced": 2, "duplicate": 1, "new": 1, "withdrawn": 0}


@pytest.mark.parametrize("command", ["features", "decode"])
def test_cut_lines_are_counted_and_reported(shared_cases, command):
    result = bgpdrift(command, shared_cases / "ris_live" / "r09-every-fifth-line-cut.ndjson")

    assert result.code != 0
    assert "20" in result.err
    assert "r09-every-fifth-line-cut.ndjson" in result.err
    if command == "features":
        assert result.total("announced") == 80
        assert result.total("parse_errors") == 20


def test_damage_is_no_failure_where_it_is_expected(shared_cases):
    result = features("--lenient", shared_cases / "ris_live" / "r09-every-fifth-line-cut.ndjson")

    assert (result.code, result.total("announced")) == (0, 80)


@pytest.mark.parametrize("command", ["features", "decode"])
def test_pretty_printed_json_is_refused_with_what_was_expected(shared_cases, command):
    result = bgpdrift(command, shared_cases / "ris_live" / "r03d-pretty.json")

    assert result.code == 2
    assert "one JSON object per line" in result.err


def test_a_cut_gzip_file_is_used_up_to_the_cut_and_reported_with_its_offset(shared_cases):
    result = features(shared_cases / "mrt" / "m13-cut.gz")

    assert result.total("announced") == 22
    assert result.code != 0
    assert "offset" in result.err


def test_a_wrong_checksum_is_reported_after_the_records_are_used(shared_cases):
    result = features(shared_cases / "mrt" / "m13-bad-crc.gz")

    assert result.total("announced") == 50
    assert result.code != 0
    assert "checksum" in result.err


@pytest.mark.parametrize("name", ["m02-bgpls.mrt", "m02b-other-families.mrt"])
def test_routes_of_other_families_are_counted_by_family(shared_cases, name):
    result = features(shared_cases / "mrt" / name)

    assert "AFI/SAFI" in result.err
    assert "passed over" in result.err


def test_a_rib_of_another_family_is_reported(shared_cases):
    result = features(shared_cases / "mrt" / "m02c-rib-generic.mrt")

    assert "RIB_GENERIC" in result.err or "AFI/SAFI" in result.err


def test_add_path_without_saying_so_announces_no_default_route(shared_cases):
    result = bgpdrift("decode", shared_cases / "mrt" / "m03e-addpath-parses.mrt")

    prefixes = {route["prefix"] for row in result.rows for route in row.get("announced", [])}
    assert "0.0.0.0/0" not in prefixes
    assert "0.0.0.0/1" not in prefixes
    assert prefixes == {"1.0.0.0/24"} or "add-path" in result.err


def test_a_truncated_update_gives_the_whole_prefixes_before_the_cut(shared_cases):
    result = features(shared_cases / "mrt" / "m04-truncated-update.mrt")

    assert result.total("announced") > 3
    assert result.code != 0
    assert "cut" in result.err or "truncated" in result.err


def test_trailing_bits_of_a_prefix_are_irrelevant(shared_cases):
    """RFC 4271, section 4.3: 11.13.0.0/13 is 11.8.0.0/13."""
    result = bgpdrift("decode", shared_cases / "mrt" / "trailing-bits.mrt.gz")

    prefixes = {route["prefix"] for row in result.rows for route in row.get("announced", [])}
    assert "11.8.0.0/13" in prefixes
    assert result.code != 0


def test_mrt_type_5_is_named_and_counted(shared_cases):
    result = features(shared_cases / "mrt" / "m01b-type5-mixed.mrt")

    assert result.total("announced") == 2
    assert "MRT type 5" in result.err


def test_wide_as_numbers_in_a_narrow_record_are_read_by_the_width_that_fits(shared_cases):
    result = features(shared_cases / "mrt" / "m08-as4-in-as2-record.mrt")

    assert result.total("announced") == 4 or "AS numbers" in result.err


# Warming up from a table.


def test_a_whole_rib_makes_known_prefixes_known(shared_cases):
    result = features(
        "--warm-up", shared_cases / "mrt" / "w01-rib-whole.gz", shared_cases / "mrt" / "w03-updates.mrt.gz"
    )

    assert result.code == 0
    assert result.total("new") == 0


def test_a_cut_rib_is_reported_and_the_windows_are_marked(shared_cases):
    result = features("--warm-up", shared_cases / "mrt" / "w02-rib-cut.gz", shared_cases / "mrt" / "w03-updates.mrt.gz")

    assert result.code != 0
    assert "w02-rib-cut.gz" in result.err
    assert all(row["warming"] for row in result.rows)


def test_a_file_of_updates_is_no_rib(shared_cases):
    result = features(
        "--warm-up", shared_cases / "mrt" / "w03-updates.mrt.gz", shared_cases / "mrt" / "w03-updates.mrt.gz"
    )

    assert result.code == 2
    assert "TABLE_DUMP_V2" in result.err
