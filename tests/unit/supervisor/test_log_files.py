"""Log files stay within their size, age and total, and are dropped when the disk is nearly full."""

import resource

import pytest

from supervisor.log_capture import LineWriter
from supervisor.log_files import LogFiles
from supervisor.rotating_file import LogLimits, RotatingFile

DAY_S = 86_400.0


@pytest.fixture
def file(tmp_path, clock):
    limits = LogLimits(max_bytes=100, keep=2, rotate_s=DAY_S)
    return RotatingFile(tmp_path / "a.log", lambda: limits, now=clock.now)


def contents(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_a_new_day_starts_a_new_file(file, tmp_path, clock):
    clock.jump(DAY_S - clock.now() % DAY_S)  # midnight
    file.write(b"one\n")
    clock.advance(hours=23.9)
    file.write(b"two\n")
    clock.advance(hours=0.2)
    file.write(b"three\n")
    assert contents(tmp_path) == {"a.log": b"three\n", "a.log.1": b"one\ntwo\n"}


def test_the_next_supervisor_rotates_a_file_of_an_earlier_day(tmp_path):
    import os
    import time

    (tmp_path / "a.log").write_bytes(b"old\n")
    os.utime(tmp_path / "a.log", (time.time() - 2 * DAY_S,) * 2)
    RotatingFile(tmp_path / "a.log", lambda: LogLimits(100, 2)).write(b"new\n")
    assert contents(tmp_path) == {"a.log": b"new\n", "a.log.1": b"old\n"}


def test_an_empty_file_is_not_rotated(file, tmp_path, clock):
    (tmp_path / "a.log").touch()
    clock.advance(hours=48)
    file.write(b"one\n")
    assert contents(tmp_path) == {"a.log": b"one\n"}


def test_a_large_file_is_rotated_between_lines_and_a_limited_number_is_kept(file, tmp_path):
    for number in range(20):
        assert file.write(b"%039d\n" % number) == 0
    assert {name: len(text) for name, text in contents(tmp_path).items()} == {
        "a.log": 80,
        "a.log.1": 80,
        "a.log.2": 80,
    }


@pytest.fixture
def files(tmp_path):
    return LogFiles(tmp_path, LogLimits(max_bytes=100, keep=50), total_bytes=500)


def test_the_total_stays_within_the_cap_and_the_oldest_files_are_removed_first(files, tmp_path):
    for number in range(30):
        for name in ("a.log", "b.log"):
            assert files.write(name, b"%049d\n" % number) == 0
    held = contents(tmp_path)
    assert sum(map(len, held.values())) <= 500 + 100  # the last rotation came before the last lines
    assert b"29\n" in held["a.log"] + held["a.log.1"]
    assert b"29\n" in held["b.log"] + held["b.log.1"]


def test_new_limits_apply_to_open_files(files, tmp_path):
    files.write("a.log", b"x" * 49 + b"\n")
    files.limits = LogLimits(max_bytes=50, keep=1)
    files.write("a.log", b"y" * 49 + b"\n")
    assert set(contents(tmp_path)) == {"a.log", "a.log.1"}


def test_on_a_nearly_full_disk_only_the_lines_of_the_supervisor_are_written(files, tmp_path):
    files.drop_services = True
    assert files.write("a.log", b"lost\n") == 5
    assert files.write("supervisor.log", b"kept\n") == 0
    assert files.write("events.ndjson", b"{}\n") == 0
    files.drop_services = False
    assert files.write("a.log", b"back\n") == 0
    assert contents(tmp_path)["a.log"] == b"back\n"


def test_only_rotated_files_are_removed_to_free_space(files, tmp_path):
    for number in range(4):
        files.write("a.log", b"%099d\n" % number)
    files.remove_rotated()
    assert list(contents(tmp_path)) == ["a.log"]


def test_an_action_on_the_writer_thread_runs_after_the_lines_queued_before(tmp_path):
    seen = []
    writer = LineWriter(lambda name, lines: seen.append(lines) or 0)
    writer.put("a", b"one\n")
    writer.call(lambda: seen.append("action"))

    def fails():
        raise OSError(5, "Input/output error")

    writer.call(fails)
    writer.put("a", b"two\n")
    writer.close()
    assert seen == [b"one\n", "action", b"two\n"]


def test_a_line_that_the_disk_took_in_part_does_not_join_the_next_one(file, tmp_path):
    lines = [b'{"number": %d, "text": "%s"}\n' % (number, b"x" * 20) for number in range(3)]
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(lines[0]) + 20, before[1]))
    try:
        assert file.write(lines[0]) == 0
        assert file.write(lines[1]) == len(lines[1])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert file.write(lines[2]) == 0
    written = b"".join(contents(tmp_path).values())
    assert sorted(written.splitlines(keepends=True)) == [lines[0], lines[2]]
