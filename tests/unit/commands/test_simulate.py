"""`bgpdrift simulate`: files, truth, and the messages about bad input."""

import gzip
import json
import signal
import subprocess
import sys

import pytest
import zstandard
from click.testing import CliRunner
from websockets.sync.client import connect

from bgpdrift.commands.simulate import command
from bgpdrift.errors import InputError

SMALL = ["--duration", "5m", "--prefixes", "100", "--peers", "5", "--rate", "60"]


def run(*arguments: str) -> bytes:
    result = CliRunner().invoke(command, [*SMALL, *arguments], catch_exceptions=False, standalone_mode=False)
    return result.stdout_bytes


def test_plain_gzip_zstd_and_standard_output_hold_the_same_frames(tmp_path):
    for name in ("a.jsonl", "a.jsonl.gz", "a.jsonl.zst"):
        run("--out", str(tmp_path / name))

    plain = (tmp_path / "a.jsonl").read_bytes()
    with (tmp_path / "a.jsonl.zst").open("rb") as file:
        assert zstandard.ZstdDecompressor().stream_reader(file).read() == plain
    assert gzip.decompress((tmp_path / "a.jsonl.gz").read_bytes()) == plain
    assert run("--out", "-") == plain
    assert all(json.loads(line)["type"] == "ris_message" for line in plain.splitlines())


def test_the_truth_stands_beside_the_frames(tmp_path):
    run(
        "--incident", "hijack@+1m/2m:prefixes=3", "--regime", "level=2@+4m", "--seed", "3",
        "--out", str(tmp_path / "a.jsonl"), "--truth", str(tmp_path / "truth.json"),
    )  # fmt: skip

    truth = json.loads((tmp_path / "truth.json").read_text())
    assert truth["incidents"][0]["kind"] == "hijack"
    assert truth["scenario"]["seed"] == 3
    assert truth["regimes"][0]["value"] == 2
    assert truth["totals"]["frames"] == len((tmp_path / "a.jsonl").read_bytes().splitlines())
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.jsonl", "truth.json"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "either --listen"),
        (["--out", "-", "--listen", "127.0.0.1:0"], "either --listen"),
        (["--out", "-", "--days", "1"], "set the same value"),
        (["--listen", "127.0.0.1:0", "--format", "mrt"], "is allowed only with --out"),
        (["--listen", "8005"], "found .8005"),
        (["--listen", "127.0.0.1:0", "--speed", "fast"], "expected a number above 0"),
        (["--out", "/nonexistent/a.jsonl"], "cannot be written"),
        (["--out", "-", "--truth", "/nonexistent/t.json"], "cannot be written"),
        (["--out", "-", "--scenario", "storm"], "no such file and no such preset"),
        (["--out", "-", "--seed", "-1"], "seed: expected 0 to"),
    ],
)
def test_the_message_about_bad_input_names_the_expected_value(arguments: list[str], message: str):
    with pytest.raises(InputError, match=message):
        run(*arguments)


def test_the_server_sends_what_the_file_holds(tmp_path):
    """The first line has the address; a subscriber gets every frame; after INT the truth is written."""
    program = [sys.executable, "-c", "from bgpdrift.cli import main; main()", "simulate", *SMALL]
    truth = tmp_path / "truth.json"
    lines = run("--out", "-").splitlines()

    with subprocess.Popen(
        [*program, "--listen", "127.0.0.1:0", "--speed", "max", "--truth", str(truth)],
        stdout=subprocess.PIPE,
        text=True,
    ) as server:
        try:
            assert server.stdout is not None
            first = server.stdout.readline()
            assert first.startswith("listening on ws://127.0.0.1:")
            with connect(first.split()[-1] + "?client=test", max_size=None) as socket:
                socket.send('{"type":"ris_subscribe","data":{}}')
                received = [socket.recv(timeout=20) for _ in lines]
            server.send_signal(signal.SIGINT)
            assert server.wait(timeout=20) == 0
        finally:
            server.kill()

    assert [line.encode() if isinstance(line, str) else line for line in received] == lines
    assert json.loads(truth.read_text())["totals"]["frames"] == len(lines)
