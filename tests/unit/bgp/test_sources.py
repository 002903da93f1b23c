"""The content of a file decides its format, and several files are read as one stream."""

import bz2
import gzip
import io
import json

import pytest
import zstandard

from bgpdrift.bgp.problems import Problems
from bgpdrift.bgp.ris_frames import MAX_LINE_BYTES
from bgpdrift.bgp.sources import detect_format, guess_collector, open_source, read_in_time_order, split_lines
from bgpdrift.bgp.spool import control_line, record_line
from bgpdrift.errors import InputError


def frame(timestamp, prefix="192.0.2.0/24", host="rrc00"):
    data = {"timestamp": timestamp, "host": host, "peer": "192.0.2.1", "type": "UPDATE", "withdrawals": [prefix]}
    return json.dumps({"type": "ris_message", "data": data}).encode() + b"\n"


@pytest.fixture
def write(tmp_path):
    def to_file(name, *parts):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"".join(parts))
        return path

    return to_file


class Slow(io.BytesIO):
    """Returns a few bytes at a time, like a pipe."""

    problem = None

    def read(self, size=-1):
        return super().read(min(size, 7) if size >= 0 else 7)


@pytest.mark.parametrize("compress", [bytes, gzip.compress, bz2.compress, zstandard.compress])
def test_json_lines_are_detected_with_any_name_and_compression(write, compress):
    path = write("whatever.mrt", compress(frame(1.0) + b"\n" + frame(2.0)))
    assert [message.timestamp for message in open_source(path)] == [1.0, 2.0]


@pytest.mark.parametrize("compress", [bytes, gzip.compress, bz2.compress, zstandard.compress])
def test_mrt_is_detected_with_any_name_and_compression(mrt, write, compress):
    path = write("frames.jsonl", compress(mrt.announce("10.0.0.0/8") * 2))
    assert [message.host for message in open_source(path)] == ["mrt", "mrt"]


def test_a_spool_segment_gives_its_messages_only(write):
    start = record_line("bgpdrift_segment", {"sequence": 1, "opened_at": 1.0, "run": "r"})
    lines = [
        start,
        control_line("connected", None, 1.0),
        frame(1.0).strip(),
        record_line("bgpdrift_segment_end", {"closed_at": 2.0, "frames": 1}),
    ]
    path = write("00000000000000000001.ndjson.zst", zstandard.compress(b"\n".join(lines)))
    assert [message.timestamp for message in open_source(path)] == [1.0]


def test_corrupt_lines_are_counted_by_their_number(write):
    problems = Problems()
    path = write("a.jsonl", frame(1.0), frame(2.0)[:40], b"\n\n", b"garbage\n", frame(3.0))
    assert [message.timestamp for message in open_source(path, problems=problems)] == [1.0, 3.0]
    assert [problem.offset for problem in problems.first] == [2, 4]


def test_a_recording_that_begins_with_half_a_frame_is_read(write):
    path = write("a.jsonl", frame(1.0)[40:], frame(2.0))
    assert [message.timestamp for message in open_source(path)] == [2.0]


def test_mrt_that_begins_with_damage_is_read(mrt, write):
    path = write("a", b"\xff" * 500, mrt.announce("10.0.0.0/8") * 2)
    assert len(list(open_source(path))) == 2


def test_the_error_names_a_missing_file(tmp_path):
    with pytest.raises(InputError, match=r"nowhere\.gz: cannot be read: No such file"):
        next(open_source(tmp_path / "nowhere.gz"))


@pytest.mark.parametrize(
    "content", [b"name,value\n1,2\n", b"\x7fELF" + bytes(999), b"\x89PNG\r\n\x1a\n" + b"\0\xff" * 999]
)
def test_the_error_of_an_unknown_format_lists_the_expected_formats(write, content):
    with pytest.raises(
        InputError, match="thing: expected RIS Live JSON lines, a spool segment or MRT, found an unknown format"
    ):
        list(open_source(write("thing", content)))


def test_the_error_names_a_compressed_file_without_readable_data(write):
    with pytest.raises(InputError, match="broken: compressed data is damaged"):
        list(open_source(write("broken", b"\x1f\x8b" + b"\xff" * 100)))


def test_a_directory_is_refused(tmp_path):
    with pytest.raises(InputError, match="Is a directory"):
        next(open_source(tmp_path))


@pytest.mark.parametrize("content", [b"", b"\n\n", gzip.compress(b"", mtime=0)])
def test_an_empty_file_has_no_message(write, content):
    assert list(open_source(write("empty", content))) == []
    assert detect_format(b"") == "empty"


def test_lines_do_not_depend_on_the_sizes_of_the_reads():
    content = frame(1.0) + b"\n" + frame(2.0) + b"last"
    assert list(split_lines(Slow(content))) == content.split(b"\n")


def test_an_endless_line_is_cut():
    class Endless(io.BytesIO):
        problem = None
        left = 3 * MAX_LINE_BYTES

        def read(self, size):
            self.left -= size
            return b"x" * size if self.left > 0 else b""

    (line,) = split_lines(Endless())
    assert MAX_LINE_BYTES < len(line) < 1.1 * MAX_LINE_BYTES


def test_files_of_one_collector_are_read_in_time_order_whatever_their_order(write):
    paths = [write(f"{n}.jsonl", *(frame(100.0 * n + second) for second in range(5))) for n in (3, 1, 2)]
    found = [message.timestamp for message in read_in_time_order(paths)]
    assert found == sorted(found)
    assert len(found) == 15


def test_files_of_several_collectors_are_merged(mrt, write):
    one = write("ris.rrc06.updates.gz", *(mrt.announce("10.0.0.0/8", timestamp=t) for t in (10, 12, 14)))
    other = write("rrc01.jsonl", *(frame(t, host="rrc01") for t in (11.0, 13.0, 15.0)))
    merged = [(message.timestamp, message.host) for message in read_in_time_order([other, one])]
    assert merged == [(10, "rrc06"), (11, "rrc01"), (12, "rrc06"), (13, "rrc01"), (14, "rrc06"), (15, "rrc01")]


def test_the_order_within_a_file_is_kept(write):
    one = write("a.jsonl", *(frame(t) for t in (10.0, 30.0, 29.0, 31.0)))
    other = write("b.jsonl", *(frame(t) for t in (20.0, 30.5)))
    assert [m.timestamp for m in read_in_time_order([one, other])] == [10.0, 20.0, 30.0, 29.0, 30.5, 31.0]


def test_standard_input_can_only_be_read_alone(write):
    with pytest.raises(InputError, match="standard input"):
        list(read_in_time_order(["-", write("a.jsonl", frame(1.0))]))


@pytest.mark.parametrize(
    ("path", "collector"),
    [
        ("ris.rrc06.updates.1427846400.gz", "rrc06"),
        ("routeviews.route-views.jinx.updates.1427846400.bz2", "route-views.jinx"),
        ("routeviews.route-views2.rib.1427846400.bz2", "route-views2"),
        ("rrc00-updates.gz", "rrc00"),
        ("archive/rrc21/2026.11/updates.20261101.0000.gz", "rrc21"),
        ("archive/route-views.sg/bgpdata/2026.11/UPDATES/updates.20261101.0000.bz2", "route-views.sg"),
        ("updates.20160811.1600.gz", "mrt"),
        ("gobgpdump-20130101-arch0.mrt.gz", "mrt"),
        ("-", "mrt"),
    ],
)
def test_the_collector_is_guessed_by_name_or_directory(path, collector):
    assert guess_collector(path) == collector


def test_a_given_collector_replaces_the_guess(mrt, write):
    path = write("ris.rrc06.updates.gz", mrt.announce("10.0.0.0/8"))
    assert [message.host for message in open_source(path, collector="mine")] == ["mine"]


@pytest.mark.shared_data
def test_46_minutes_of_four_files_are_one_stream_in_time_order(shared_data):
    files = sorted((shared_data / "mrt").glob("gobgpdump-*"), reverse=True)
    times = [message.timestamp for message in read_in_time_order(files)]
    assert times == sorted(times)
    assert len(times) == 56_664
