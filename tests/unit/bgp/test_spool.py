"""The spool returns the frames that were put, also after crashes, full disks and damage."""

import errno
import os
import random
import shutil
import subprocess
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
import zstandard

from bgpdrift.bgp.ris_frames import Corrupt, FeedEvent, FrameDecoder
from bgpdrift.bgp.spool import SpoolReader, control_line, first_number, segment_name
from bgpdrift.bgp.spool_recovery import next_sequence
from bgpdrift.bgp.spool_segment import SegmentFile, open_new
from bgpdrift.bgp.spool_writer import SpoolWriter
from bgpdrift.clock import FakeClock, SystemClock
from bgpdrift.errors import AlreadyRunningError
from bgpdrift.settings import SpoolSettings
from helpers.until import until

LONG = SpoolSettings(segment_s=3600.0)
SHORT = SpoolSettings(segment_s=0.05)
LIMIT_S = 20.0


def frame(number: int, padding: int = 100) -> bytes:
    return b'{"type":"ris_message","data":{"timestamp":%d.5,"id":"%d","pad":"%s"}}' % (
        number,
        number,
        os.urandom(padding // 2).hex().encode(),
    )


def everything(path: Path) -> list[bytes]:
    reader = SpoolReader(path)
    return [line for segment in reader.segments_after(0) for line in reader.read_segment(segment)]


def frames_in(path: Path) -> list[bytes]:
    return [line for line in everything(path) if not line.startswith(b'{"type":"bgpdrift_')]


def records_in(path: Path, event: str) -> list[dict[str, object]]:
    decoded = [msgspec.json.decode(line) for line in everything(path) if line.startswith(b'{"type":"bgpdrift_feed"')]
    return [record["data"] for record in decoded if record["data"]["event"] == event]


class BrokenDisk:
    """Opens files whose writes fail while the disk is full."""

    def __init__(self, full: bool, room: int = 0) -> None:
        self.full, self.room, self.failures = full, room, 0

    def __call__(self, path: Path) -> SegmentFile:
        return _File(self, open_new(path))


class _File:
    def __init__(self, disk: BrokenDisk, file: SegmentFile) -> None:
        self._disk, self._file = disk, file

    def write(self, data: memoryview) -> int | None:
        if self._disk.full:
            if self._disk.room <= 0:
                self._disk.failures += 1
                raise OSError(errno.ENOSPC, "No space left on device")
            data = data[: self._disk.room]
            self._disk.room -= len(data)
        return self._file.write(data)

    def fileno(self) -> int:
        return self._file.fileno()

    def close(self) -> None:
        self._file.close()


def test_frames_are_read_in_order_between_the_records_of_their_segments(tmp_path: Path, clock: FakeClock) -> None:
    frames = [frame(number) for number in range(500)]
    writer = SpoolWriter(LONG, tmp_path, clock)
    for start in range(0, 500, 50):
        assert writer.put(frames[start : start + 50], start, start + 49)
    writer.put_control("disconnected", 499.5, None, "test")
    writer.close()

    lines = everything(tmp_path)

    assert frames_in(tmp_path) == frames
    head, end = msgspec.json.decode(lines[0]), msgspec.json.decode(lines[-1])
    assert (head["type"], head["data"]["sequence"]) == ("bgpdrift_segment", first_number(clock.now()))
    assert end == {"type": "bgpdrift_segment_end", "data": {"closed_at": clock.now(), "frames": 500}}
    assert msgspec.json.decode(lines[-2])["data"]["reason"] == "test"
    assert not list(tmp_path.glob("*.part"))


def test_a_newline_inside_a_frame_does_not_make_two_lines(tmp_path: Path, clock: FakeClock) -> None:
    writer = SpoolWriter(LONG, tmp_path, clock)
    writer.put([b'{"a":\n1}', b"gar\n\nbage", b"\xff\xfe"])
    writer.close()

    assert frames_in(tmp_path) == [b'{"a": 1}', b"gar  bage", b"\xff\xfe"]


def test_a_segment_ends_by_age_and_by_size(tmp_path: Path) -> None:
    writer = SpoolWriter(SHORT, tmp_path / "age", SystemClock())
    for number in (1, 2):
        writer.put([frame(number)])
        until(lambda: writer.figures().segments == number, LIMIT_S, f"segment {number} is finished by age")  # noqa: B023
    writer.close()
    writer = SpoolWriter(SpoolSettings(segment_s=3600.0, segment_bytes=10_000), tmp_path / "size", FakeClock())
    for number in range(40):
        writer.put([frame(number, 1000)])
    until(lambda: writer.figures().segments >= 3, LIMIT_S, "three segments are finished by size")
    writer.close()

    assert len(frames_in(tmp_path / "age")) == 2
    assert len(frames_in(tmp_path / "size")) == 40


def test_a_number_is_never_used_twice_even_if_the_reader_removed_every_segment(
    tmp_path: Path, clock: FakeClock
) -> None:
    first = first_number(clock.now())
    for expected in (first, first + 1, first + 2):
        writer = SpoolWriter(LONG, tmp_path, clock)
        clock.advance(hours=1)
        writer.put([frame(expected)])
        writer.close()
        reader = SpoolReader(tmp_path)
        assert [segment.sequence for segment in reader.segments_after(0)] == [expected]
        assert reader.remove_through(expected) == 1


def test_without_frames_there_is_no_segment(tmp_path: Path) -> None:
    SpoolWriter(SHORT, tmp_path, SystemClock()).close()

    assert SpoolReader(tmp_path).segments_after(0) == []


def test_a_second_writer_of_the_directory_is_refused(tmp_path: Path, clock: FakeClock) -> None:
    writer = SpoolWriter(LONG, tmp_path, clock)
    with pytest.raises(AlreadyRunningError, match=f"process {os.getpid()}"):
        SpoolWriter(LONG, tmp_path, clock)
    writer.close()
    SpoolWriter(LONG, tmp_path, clock).close()


def part_of(tmp_path: Path, clock: FakeClock, frames: list[bytes]) -> bytes:
    """The bytes of a segment that was being written when its process was killed."""
    source = tmp_path / "source"
    writer = SpoolWriter(LONG, source, clock)
    part = source / (segment_name(first_number(clock.now())) + ".part")
    size = 0
    for one in frames:
        writer.put([one])
        until(lambda: part.exists() and part.stat().st_size > size, LIMIT_S, "the frame reached the disk")  # noqa: B023
        size = part.stat().st_size
    data = part.read_bytes()
    writer.close()
    return data


def test_the_complete_lines_of_a_part_are_recovered_wherever_it_was_cut(tmp_path: Path, clock: FakeClock) -> None:
    frames = [frame(number) for number in range(12)]
    data = part_of(tmp_path, clock, frames)
    cuts = [*range(40), *random.Random(1).sample(range(len(data)), 60), len(data) - 1, len(data)]
    most = 0
    for cut in sorted(set(cuts)):
        spool = tmp_path / f"cut{cut}"
        spool.mkdir(exist_ok=True)
        (spool / (segment_name(7) + ".part")).write_bytes(data[:cut])

        writer = SpoolWriter(LONG, spool, clock)
        writer.put([b'{"after":1}'])
        writer.close()

        *kept, last = frames_in(spool)
        assert last == b'{"after":1}'
        assert kept == frames[: len(kept)], f"cut at {cut}"
        reader = SpoolReader(spool)
        readings = [reader.read_segment(segment) for segment in reader.segments_after(0)]
        assert [list(reading) and reading.problem for reading in readings] == [None] * len(readings)
        if kept:
            assert [segment.sequence for segment in reader.segments_after(0)] == [7, first_number(clock.now())]
        assert not list(spool.glob("*.part"))
        most = max(most, len(kept))
    assert most == len(frames), "every line that reached the disk is read"


def test_a_killed_recovery_is_repeated_without_a_second_copy(tmp_path: Path, clock: FakeClock) -> None:
    data = part_of(tmp_path, clock, [frame(number) for number in range(3)])
    spool = tmp_path / "spool"
    spool.mkdir()
    part = spool / (segment_name(4) + ".part")
    part.write_bytes(data)
    (spool / (part.name + ".new")).write_bytes(data[:5])  # killed while it wrote

    SpoolWriter(LONG, spool, clock).close()

    assert len(frames_in(spool)) == 3
    assert next_sequence(spool, clock.now()) == first_number(clock.now()), "4 or a number after it may have been used"


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "garbage"])
def test_a_damaged_segment_is_read_up_to_the_damage_and_names_its_problem(
    tmp_path: Path, clock: FakeClock, damage: str
) -> None:
    writer = SpoolWriter(LONG, tmp_path, clock)
    frames = [frame(number, 400) for number in range(2000)]
    writer.put(frames)
    writer.close()
    path = SpoolReader(tmp_path).segments_after(0)[0].path
    data = bytearray(path.read_bytes())
    if damage == "flipped":
        data[len(data) * 3 // 4] ^= 0x40
    path.write_bytes({"cut": data[: len(data) // 2], "flipped": data, "empty": b"", "garbage": b"no zstd"}[damage])

    reading = SpoolReader(tmp_path).read_segment(path)
    lines = list(reading)

    assert reading.problem
    if damage == "cut":
        assert 100 < len(lines) < 1500
        assert lines[1:] == frames[: len(lines) - 1]


def test_beyond_the_limit_the_oldest_segment_is_removed_and_its_time_is_recorded(tmp_path: Path) -> None:
    settings = SpoolSettings(segment_s=0.05, max_bytes=1_000_000)
    writer = SpoolWriter(settings, tmp_path, SystemClock())
    for number in range(6):
        writer.put([frame(number, 500_000)], number, number + 0.5)
        until(lambda: writer.figures().segments == number + 1, LIMIT_S, "the segment is finished")  # noqa: B023
    figures = writer.figures()
    writer.close()

    segments = SpoolReader(tmp_path).segments_after(0)
    lost = records_in(tmp_path, "segment_lost")
    assert figures.lost_segments >= 2
    assert sum(segment.bytes for segment in segments) <= 1_000_000
    assert segments[-1].sequence % 10**9 == 6
    assert {"from": 1.0, "to": 1.5}.items() <= lost[-1].items() or lost[-1]["from"] > 1.0


def test_a_full_disk_loses_nothing_that_fits_into_memory(tmp_path: Path, clock: FakeClock) -> None:
    disk = BrokenDisk(full=True, room=50)
    writer = SpoolWriter(LONG, tmp_path, clock, opener=disk, retry_s=0.01)
    frames = [frame(number) for number in range(50)]
    for one in frames:
        assert writer.put([one])
    until(lambda: disk.failures >= 3, LIMIT_S, "three writes have failed")
    assert "No space left" in writer.figures().problem

    disk.full = False
    until(lambda: writer.figures().problem == "", LIMIT_S, "the disk has recovered")
    writer.close()

    assert frames_in(tmp_path) == frames


def test_the_space_kept_for_the_database_is_not_used_and_nothing_is_lost(tmp_path: Path, clock: FakeClock) -> None:
    free, checks = [999_999], []

    def free_bytes(path: Path) -> int:
        checks.append(path)
        return free[0]

    writer = SpoolWriter(LONG, tmp_path, clock, retry_s=0.01, reserve_bytes=1_000_000, free_bytes=free_bytes)
    frames = [frame(number) for number in range(50)]
    writer.put(frames)
    until(lambda: len(checks) >= 3, LIMIT_S, "the disk was checked three times")
    assert "expected 1 MB free, which are kept for the database, found less" in writer.figures().problem
    assert not list(tmp_path.glob("*.part"))

    free[0] = 1_000_000
    until(lambda: writer.figures().problem == "", LIMIT_S, "the space is free")
    writer.close()
    assert frames_in(tmp_path) == frames


def test_the_last_segment_may_use_the_space_kept_for_the_database(tmp_path: Path, clock: FakeClock) -> None:
    writer = SpoolWriter(LONG, tmp_path, clock, retry_s=0.01, reserve_bytes=1_000_000, free_bytes=lambda _: 0)
    frames = [frame(1)]
    writer.put(frames)
    until(lambda: bool(writer.figures().problem), LIMIT_S, "the check has failed")
    writer.close()
    assert frames_in(tmp_path) == frames


def test_beyond_its_memory_the_writer_drops_and_counts_frames_and_records_their_time(
    tmp_path: Path, clock: FakeClock
) -> None:
    disk = BrokenDisk(full=True)
    settings = SpoolSettings(segment_s=3600.0, segment_bytes=10_000)
    writer = SpoolWriter(settings, tmp_path, clock, opener=disk, retry_s=0.01, buffer_bytes=20_000)
    fitted = [writer.put([frame(number, 1000)], number, number) for number in range(100)]
    until(lambda: disk.failures >= 1, LIMIT_S, "a write has failed")

    disk.full = False
    until(lambda: writer.figures().waiting_bytes == 0, LIMIT_S, "the queue is written")
    writer.put([frame(100)], 100, 100)
    writer.close()

    dropped = records_in(tmp_path, "dropped")
    assert 0 < fitted.count(False) < 100
    assert (
        sum(int(str(record["frames"])) for record in dropped) == fitted.count(False) == writer.figures().dropped_frames
    )
    assert dropped[0]["from"] == fitted.index(False)
    assert len(frames_in(tmp_path)) == fitted.count(True) + 1


def test_after_an_error_of_fsync_the_segment_is_written_again_to_a_new_file(tmp_path: Path) -> None:
    opened: list[Path] = []

    class FailsOnce(_File):
        def fileno(self) -> int:
            if len(opened) == 1:
                raise OSError(errno.EIO, "Input/output error")
            return super().fileno()

    def opener(path: Path) -> SegmentFile:
        opened.append(path)
        return FailsOnce(BrokenDisk(full=False), open_new(path))

    writer = SpoolWriter(SHORT, tmp_path, SystemClock(), opener=opener, retry_s=0.01)
    writer.put([frame(1), frame(2)])
    until(lambda: writer.figures().segments == 1, LIMIT_S, "the segment is finished")
    writer.close()

    assert len(opened) == 2
    assert len(frames_in(tmp_path)) == 2


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of one megabyte."""
    if os.geteuid() != 0:
        pytest.skip("mounting a tmpfs needs root")
    mount = tmp_path / "small"
    mount.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(mount)], capture_output=True, text=True
    )
    if done.returncode:
        pytest.skip(f"cannot mount a tmpfs here: {done.stderr.strip()}")
    yield mount
    subprocess.run(["umount", str(mount)], check=True)


def test_frames_survive_a_full_file_system(small_disk: Path, clock: FakeClock) -> None:
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(900_000))
    spool = small_disk / "spool"
    writer = SpoolWriter(LONG, spool, clock, retry_s=0.01)
    frames = [frame(number, 10_000) for number in range(60)]  # 300 kB compressed, and 124 kB of space
    for one in frames:
        assert writer.put([one])
    until(lambda: writer.figures().problem != "", LIMIT_S, "the disk is full")

    ballast.unlink()
    until(lambda: writer.figures().problem == "", LIMIT_S, "the disk has recovered")
    writer.close()

    assert frames_in(spool) == frames


def test_a_frame_of_the_feed_cannot_forge_a_record(tmp_path: Path, clock: FakeClock) -> None:
    forged = control_line("dropped", 0.0, 1e9, 10**6, "forged")
    writer = SpoolWriter(SpoolSettings(), tmp_path, clock)
    writer.put([forged, b'{"type":"pong"}'], 1.0, 1.0)
    writer.put_control("connected", None, 1.0)
    writer.close()
    (segment,) = SpoolReader(tmp_path).segments_after(0)
    frames = list(FrameDecoder().decode_many(SpoolReader(tmp_path).read_segment(segment)))
    assert [frame.event for frame in frames if isinstance(frame, FeedEvent)] == ["connected"]
    assert sum(isinstance(frame, Corrupt) for frame in frames) == 1


def test_an_emptied_spool_continues_above_every_number_used_before(tmp_path: Path, clock: FakeClock) -> None:
    writer = SpoolWriter(LONG, tmp_path, clock)
    writer.put([frame(1)])
    writer.close()
    (before,) = SpoolReader(tmp_path).segments_after(0)
    shutil.rmtree(tmp_path)
    clock.advance(seconds=5)

    writer = SpoolWriter(LONG, tmp_path, clock)
    writer.put([frame(2)])
    writer.close()

    (after,) = SpoolReader(tmp_path).segments_after(0)
    assert after.sequence > before.sequence + 1


def test_the_numbers_of_an_earlier_version_continue(tmp_path: Path, clock: FakeClock) -> None:
    (tmp_path / "next_sequence").write_text("42\n")

    writer = SpoolWriter(LONG, tmp_path, clock)
    writer.put([frame(1)])
    writer.close()

    assert [segment.sequence for segment in SpoolReader(tmp_path).segments_after(41)] == [42]


@pytest.mark.parametrize("is_replaced", [False, True])
def test_a_directory_removed_while_running_is_created_again_and_the_open_segment_is_kept(
    tmp_path: Path, clock: FakeClock, is_replaced: bool
) -> None:
    spool = tmp_path / "spool"
    writer = SpoolWriter(SpoolSettings(segment_s=3600.0, segment_bytes=10_000), spool, clock, retry_s=0.01)
    writer.put([frame(1, 20_000)])
    until(lambda: writer.figures().segments == 1, LIMIT_S, "the first segment is finished")
    writer.put([frame(2)])
    until(lambda: bool(list(spool.glob("*.part"))), LIMIT_S, "the second segment is open")

    shutil.rmtree(spool)
    if is_replaced:
        spool.mkdir()
    writer.put([frame(3)])
    until(lambda: writer.figures().removed_directories == 1, LIMIT_S, "the writer has noticed")
    writer.close()

    (segment,) = SpoolReader(spool).segments_after(0)
    assert segment.sequence == first_number(clock.now()) + 1, "the missing number tells the reader of the loss"
    assert [msgspec.json.decode(line)["data"]["id"] for line in frames_in(spool)] == ["2", "3"]
    assert writer.figures().problem == ""


def test_a_directory_that_another_writer_has_taken_is_not_written(tmp_path: Path, clock: FakeClock) -> None:
    spool = tmp_path / "spool"
    writer = SpoolWriter(LONG, spool, clock)
    shutil.rmtree(spool)
    other = SpoolWriter(LONG, spool, clock)

    writer.put([frame(1)])
    with pytest.raises(RuntimeError, match="the thread of the spool has ended"):
        until(lambda: not writer.put([frame(2)]), LIMIT_S, "the writer has ended")
    other.close()
    writer.close()


def test_a_segment_that_expands_a_thousandfold_is_read_within_bounded_memory(tmp_path: Path) -> None:
    path = tmp_path / segment_name(1)
    compressor = zstandard.ZstdCompressor().compressobj()
    packed = [compressor.compress(b"first\n"), *(compressor.compress(bytes(10_000_000)) for _ in range(50))]
    path.write_bytes(b"".join(packed) + compressor.flush())
    tracemalloc.start()
    reading = SpoolReader(tmp_path).read_segment(path)
    first = next(reading)
    size = sum(len(line) for line in reading)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert first == b"first"
    assert size < 400_000_000
    assert reading.problem == "expected at most 400000000 bytes of text, found more"
    assert peak < 150_000_000
