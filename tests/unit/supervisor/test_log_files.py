"""Log files stay within size, age and total, and give way when the disk is nearly full."""

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


def test_a_new_day_begins_a_new_file(file, tmp_path, clock):
    clock.jump(DAY_S - clock.now() % DAY_S)  # midnight
    file.write(b"one\n")
    clock.advance(hours=23.9)
    file.write(b"two\n")
    clock.advance(hours=0.2)
    file.write(b"three\n")
    assert contents(tmp_path) == {"a.log": b"three\n", "a.log.1": b"one\ntwo\n"}


def test_a_file_of_yesterday_is_put_aside_by_the_next_supervisor(tmp_path):
    import os
    import time

    (tmp_path / "a.log").write_bytes(b"old\n")
    os.utime(tmp_path / "a.log", (time.time() - 2 * DAY_S,) * 2)
    RotatingFile(tmp_path / "a.log", lambda: LogLimits(100, 2)).write(b"new\n")
    assert contents(tmp_path) == {"a.log": b"new\n", "a.log.1": b"old\n"}


def test_an_empty_file_is_not_put_aside(file, tmp_path, clock):
    (tmp_path / "a.log").touch()
    clock.advance(hours=48)
    file.write(b"one\n")
    assert contents(tmp_path) == {"a.log": b"one\n"}


def test_size_cuts_between_lines_and_keeps_so_many(file, tmp_path):
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


def test_all_together_stay_within_the_cap_and_the_oldest_go_first(files, tmp_path):
    for number in range(30):
        for name in ("a.log", "b.log"):
            assert files.write(name, b"%049d\n" % number) == 0
    held = contents(tmp_path)
    assert sum(map(len, held.values())) <= 500 + 100  # the last cut came before the last lines
    assert b"29\n" in held["a.log"] + held["a.log.1"]
    assert b"29\n" in held["b.log"] + held["b.log.1"]


def test_new_limits_hold_for_files_that_are_open(files, tmp_path):
    files.write("a.log", b"x" * 49 + b"\n")
    files.limits = LogLimits(max_bytes=50, keep=1)
    files.write("a.log", b"y" * 49 + b"\n")
    assert set(contents(tmp_path)) == {"a.log", "a.log.1"}


def test_when_the_disk_is_nearly_full_services_lines_are_not_written_but_the_supervisors_are(files, tmp_path):
    files.gives_way = True
    assert files.write("a.log", b"lost\n") == 5
    assert files.write("supervisor.log", b"kept\n") == 0
    assert files.write("events.ndjson", b"{}\n") == 0
    files.gives_way = False
    assert files.write("a.log", b"back\n") == 0
    assert contents(tmp_path)["a.log"] == b"back\n"


def test_room_is_made_of_rotated_files_only(files, tmp_path):
    for number in range(4):
        files.write("a.log", b"%099d\n" % number)
    files.make_room()
    assert list(contents(tmp_path)) == ["a.log"]


def test_an_action_of_the_writers_thread_comes_after_the_lines_before_it(tmp_path):
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
