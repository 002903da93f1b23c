"""Reads files as frames in time order: RIS Live JSON lines and spool segments as recorded, MRT in the form of RIS Live.

This module decides the order of several files and how a loop and ``from now`` change the time. A file is opened when its first
frame is due, so that a thousand spool segments are not open at once. `sources` reads MRT.
"""

import heapq
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec

from bgpdrift.bgp.problems import ProblemReport, Problems
from bgpdrift.bgp.replay_frame import Frame, FrameIds, frame_from_line, frame_from_message, shift_frame
from bgpdrift.bgp.sources import detect_format, open_source, open_stream, refuse_spread_json, split_lines
from bgpdrift.bgp.spool import RECORD_START, SUFFIX, SegmentReading, list_segments
from bgpdrift.errors import InputError

_ANSWERS: Final = (b'{"type":"pong"', b'{"type":"ris_subscribe_ok"', b'{"type":"ris_rrc_list"')


class ReplaySource:
    """Frames of files; each iteration starts from the beginning.

    Parameters
    ----------
    paths : sequence of Path
        RIS Live JSON lines or MRT; plain, gzip, bzip2 or zstd; a directory means the spool segments in it.
    collector : str
        Host of the messages of MRT files, which name none; empty means a guess by the file name.
    loop : bool
        Start again at the end, without limit, with later timestamps and new ids.
    from_now : bool
        Shift all timestamps so that the first is the present time.
    clock : callable
        Epoch seconds.
    report : ProblemReport, optional
        Receives what cannot be read in the first pass. A line that is no JSON is sent as recorded, and reported too.

    Raises
    ------
    InputError
        A file is missing, or no file contains a message.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        collector: str = "",
        *,
        loop: bool = False,
        from_now: bool = False,
        clock: Callable[[], float] = time.time,
        report: ProblemReport | None = None,
    ) -> None:
        self._report = ProblemReport() if report is None else report
        self._paths = [file for path in paths for file in _files(path)]
        self._collector, self._loop, self._from_now, self._clock = collector, loop, from_now, clock
        self._starts = self._read_first_times()
        if not self._starts:
            raise InputError(f"{', '.join(map(str, paths))}: expected at least one message, found none")

    def __iter__(self) -> Iterator[Frame]:
        """Iterate over the frames from the beginning."""
        ids = FrameIds()
        first = self._starts[0][0]
        shift = self._clock() - first if self._from_now else 0.0
        last = first
        for frame in self._read_all(ids, self._report):
            last = max(last, frame.timestamp)
            yield shift_frame(frame, shift) if shift else frame
        period = last - first + 1.0
        while self._loop:
            shift += period
            for frame in self._read_all(ids, ProblemReport()):
                yield shift_frame(frame, shift, ids)

    def _read_first_times(self) -> list[tuple[float, int]]:
        starts = []
        for index, path in enumerate(self._paths):
            frame = next(self._read(path, FrameIds(), Problems()), None)
            if frame is not None:
                starts.append((frame.timestamp, index))
        return sorted(starts)

    def _read_all(self, ids: FrameIds, report: ProblemReport) -> Iterator[Frame]:
        """Merge the files by time; open each when the others have reached its first frame."""
        waiting = self._starts[::-1]
        heap: list[tuple[float, int, Frame, Iterator[Frame]]] = []
        while waiting or heap:
            while waiting and (not heap or waiting[-1][0] <= heap[0][0]):
                _, index = waiting.pop()
                path = self._paths[index]
                frames = self._read(path, ids, report.open(str(path)))
                _push(heap, 0.0, index, frames)
            if heap:
                due, index, frame, frames = heapq.heappop(heap)
                yield frame
                _push(heap, due, index, frames)

    def _read(self, path: Path, ids: FrameIds, problems: Problems) -> Iterator[Frame]:
        if path.name.endswith(SUFFIX):
            reading = SegmentReading(path)
            yield from _frames_of_lines(reading, problems)
            if reading.problem:
                problems.add(0, reading.problem)
            return
        with open_stream(path) as stream:
            if detect_format(stream.head) in ("json", "text"):
                refuse_spread_json(path, stream.head)
            if detect_format(stream.head) == "json":
                yield from _frames_of_lines(split_lines(stream), problems)
                if stream.problem:
                    problems.add(0, stream.problem)
                return
        for message in open_source(path, collector=self._collector or None, problems=problems):
            yield frame_from_message(message, ids)


def _push(
    heap: list[tuple[float, int, Frame, Iterator[Frame]]], at_least: float, index: int, frames: Iterator[Frame]
) -> None:
    frame = next(frames, None)
    if frame is not None:
        # A recording is almost in order; the order within a file is kept.
        heapq.heappush(heap, (max(frame.timestamp, at_least), index, frame, frames))


def _frames_of_lines(lines: Iterator[bytes], problems: Problems) -> Iterator[Frame]:
    problems.unit = "line"
    last = 0.0
    for number, raw in enumerate(lines, start=1):
        line = raw.rstrip(b"\r")
        if line and not line.startswith(RECORD_START) and not line.startswith(_ANSWERS):
            frame = frame_from_line(line, -1.0)
            if frame.timestamp < 0.0:
                frame.timestamp = last
                if not _is_json(line):
                    problems.add(number, "not JSON; sent as recorded")
            last = frame.timestamp
            yield frame


def _is_json(line: bytes) -> bool:
    try:
        msgspec.json.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False
    return True


def _files(path: Path) -> list[Path]:
    if path.is_dir():
        return [segment.path for segment in list_segments(path)]
    if not path.is_file():
        raise InputError(f"{path}: expected a file or a directory, found none")
    return [path]
