"""`bgpdrift decode` prints one JSON object per line for any input."""

import collections
import json
import subprocess
import sys

import pytest
from click.testing import CliRunner

from bgpdrift.commands.decode import command
from bgpdrift.errors import InputError

FRAME = {
    "type": "ris_message",
    "data": {
        "timestamp": 1790000000.5,
        "peer": "2001:db8::1",
        "peer_asn": "64500",
        "id": "2001:db8::1-01a0c4f8f5780001",
        "host": "rrc25.ripe.net",
        "type": "UPDATE",
        "path": [64500, [64501, 64502]],
        "community": [[64500, 7]],
        "origin": "IGP",
        "med": 0,
        "aggregator": "64501:192.0.2.1",
        "announcements": [{"next_hop": "2001:db8::1,fe80::1", "prefixes": ["2001:db8:2:0:0:0:0:0/48"]}],
        "withdrawals": [],
    },
}


def decode(*args, exit_code=0, **options):
    result = CliRunner().invoke(command, [str(arg) for arg in args], catch_exceptions=False, **options)
    assert result.exit_code == exit_code, result.output
    return [json.loads(line) for line in result.stdout.splitlines()], result


def test_an_update_is_printed_with_exactly_the_documented_fields(tmp_path):
    (tmp_path / "a").write_text(json.dumps(FRAME))
    (row,), _ = decode(tmp_path / "a")
    assert row == {
        "kind": "UPDATE",
        "collector": "rrc25",
        "peer": "2001:db8::1",
        "peer_asn": 64500,
        "timestamp": 1790000000.5,
        "announced": [{"prefix": "2001:db8:2::/48", "next_hop": "2001:db8::1"}],
        "withdrawn": [],
        "path": [64500, [64501, 64502]],
        "origins": [64501, 64502],
        "origin": "IGP",
        "med": 0,
        "aggregator": "64501:192.0.2.1",
        "communities": ["64500:7"],
    }


def test_standard_input_and_broken_lines():
    lines = [json.dumps(FRAME), json.dumps(FRAME)[:100], "", "no JSON at all", '{"type":"pong","data":null}']
    rows, result = decode("-", input="\n".join(lines), exit_code=1)
    assert [row["kind"] for row in rows] == ["UPDATE", "corrupt", "corrupt", "pong"]
    assert "bgpdrift: -: 2 damaged: not JSON (first at line 2)" in result.stderr


def test_a_line_that_is_no_json_is_corrupt_also_when_there_is_no_other():
    rows, _ = decode("--lenient", "-", input="hello\n")
    assert [row["kind"] for row in rows] == ["corrupt"]


def test_mrt_is_printed_in_the_same_form(mrt, tmp_path):
    whole = mrt.announce("10.0.0.0/8") + mrt.bgp4mp(b"\0\6\0\1", subtype=5)
    (tmp_path / "rrc07.gz").write_bytes(whole + b"\xff" * 50)
    rows, _ = decode(tmp_path / "rrc07.gz", exit_code=1)
    assert [row["kind"] for row in rows] == ["UPDATE", "STATE", "corrupt"]
    assert rows[0]["announced"] == [{"prefix": "10.0.0.0/8", "next_hop": "192.0.2.1"}]
    assert (rows[0]["collector"], rows[0]["peer_asn"], rows[0]["path"]) == ("rrc07", 64500, [64500, 64501])
    assert rows[1]["state"] == "down"
    assert rows[2] == {"kind": "corrupt", "offset": len(whole), "reason": "not a record header"}


def test_the_collector_of_mrt_can_be_given(mrt, tmp_path):
    (tmp_path / "a").write_bytes(mrt.announce("10.0.0.0/8"))
    (row,), _ = decode("--collector", "mine", tmp_path / "a")
    assert row["collector"] == "mine"


def test_a_missing_file_is_refused_before_anything_is_printed(tmp_path):
    (tmp_path / "a").write_text(json.dumps(FRAME))
    with pytest.raises(InputError, match="b: expected a file, found none"):
        decode(tmp_path / "a", tmp_path / "b")


def test_the_program_says_in_one_line_what_is_wrong_and_exits_2(tmp_path):
    (tmp_path / "thing").write_bytes(b"\x7fELF" + bytes(500))
    done = subprocess.run(
        [sys.executable, "-m", "bgpdrift.cli", "decode", "thing"], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 2
    assert (
        done.stderr
        == "bgpdrift: thing: expected RIS Live JSON lines, a spool segment or MRT, found an unknown format\n"
    )


@pytest.mark.shared_data
def test_the_real_sample(shared_data):
    rows, _ = decode(shared_data / "ris_live" / "ris-live-20190523-1000.jsonl.gz")
    assert collections.Counter(row["kind"] for row in rows) == {"UPDATE": 994, "KEEPALIVE": 6}
    assert sum(len(row.get("announced", ())) for row in rows) == 787
    assert sum(len(row.get("withdrawn", ())) for row in rows) == 2394


@pytest.mark.shared_data
@pytest.mark.parametrize(
    ("pattern", "elements"),
    [("updates.2010*", 7_469), ("updates.2002*", 3_244), ("ris.rrc06*", 1_557), ("routeviews*", 8_611)],
)
def test_real_archives(shared_data, pattern, elements):
    rows, _ = decode(*(shared_data / "mrt").glob(pattern))
    assert sum(len(row.get("announced", ())) + len(row.get("withdrawn", ())) for row in rows) == elements
