"""Reads files as messages: RIS Live JSON lines, spool segments or MRT, plain or compressed.

The content decides the format of a file, its name decides the collector of an MRT file, and the timestamps decide the order
of several files. `ris_frames` and `mrt` read lines and records.
"""

import heapq
import json
import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from bgpdrift.bgp.compression import DecompressedStream
from bgpdrift.bgp.messages import Message
from bgpdrift.bgp.mrt import read_stream
from bgpdrift.bgp.mrt_framing import BGP4MP, BGP4MP_ET, TABLE_DUMP, TABLE_DUMP_V2, Readable, first_record_type
from bgpdrift.bgp.problems import ProblemReport, Problems
from bgpdrift.bgp.ris_frames import MAX_LINE_BYTES, Corrupt, FrameDecoder
from bgpdrift.errors import InputError

STDIN = "-"
_HEAD_BYTES = 65_536
_CHUNK_BYTES = 262_144
_COLLECTOR = re.compile(r"(rrc\d+|route-views[\w-]*(?:\.(?!updates|rib|bgpdata|bz2|gz|mrt)[a-z][\w-]*)*)")


class PeekableStream:
    """A stream whose first bytes are known and still unread.

    Attributes
    ----------
    head : bytes
        The first bytes, up to 64 KiB.
    """

    def __init__(self, stream: Readable) -> None:
        self._stream = stream
        parts, have = [], 0
        while have < _HEAD_BYTES and (more := stream.read(_HEAD_BYTES - have)):
            parts.append(more)
            have += len(more)
        self.head = self._unread = b"".join(parts)

    @property
    def problem(self) -> str | None:
        """Why the stream ended early; None if no problem is known."""
        return self._stream.problem

    def read(self, size: int) -> bytes:
        """Return 1 to ``size`` bytes; none at the end."""
        if self._unread:
            part, self._unread = self._unread[:size], self._unread[size:]
            return part
        return self._stream.read(size)


def detect_format(head: bytes) -> Literal["json", "mrt", "text", "empty"] | None:
    """Detect the format of a file by its first uncompressed bytes; ``text`` has lines, but no JSON object.

    Examples
    --------
    >>> detect_format(b'{"type":"pong","data":null}'), detect_format(b"half a frame}"), detect_format(bytes(64))
    ('json', 'text', None)
    """
    if not head.strip():
        return "empty"
    if head.lstrip().startswith(b"{"):
        return "json"
    if first_record_type(head) is not None:
        return "mrt"
    if b"\n{" in head:
        return "json"
    return None if b"\0" in head else "text"


@contextmanager
def open_stream(path: str | Path) -> Iterator[PeekableStream]:
    """Open a file, or standard input for ``-``, for the detection of its format.

    Raises
    ------
    InputError
        The file cannot be read, or no part of it can be decompressed.
    """
    try:
        raw = sys.stdin.buffer if str(path) == STDIN else Path(path).open("rb")  # noqa: SIM115 - closed below
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    try:
        try:
            stream = PeekableStream(DecompressedStream(raw))
        except OSError as error:
            raise InputError(f"{path}: cannot be read: {error.strerror}") from error
        if stream.problem and not stream.head:
            raise InputError(f"{path}: {stream.problem}")
        yield stream
    finally:
        if raw is not sys.stdin.buffer:
            raw.close()


def split_lines(stream: Readable) -> Iterator[bytes]:
    """Split a stream into lines; a line longer than `MAX_LINE_BYTES` is cut, but remains too long to be decoded."""
    parts: list[bytes] = []
    held = 0
    while chunk := stream.read(_CHUNK_BYTES):
        *whole, rest = chunk.split(b"\n")
        if whole:
            parts.append(whole[0])
            whole[0] = b"".join(parts)
            yield from whole
            parts, held = [], 0
        if held <= MAX_LINE_BYTES:
            parts.append(rest)
            held += len(rest)
    if held:
        yield b"".join(parts)


def guess_collector(path: str | Path) -> str:
    """Guess the collector of an MRT file by its name or the folders of the RIS and RouteViews archives; else ``mrt``.

    Examples
    --------
    >>> guess_collector("ris.rrc06.updates.1427846400.gz")
    'rrc06'
    >>> guess_collector("routeviews.route-views.jinx.updates.1427846400.bz2")
    'route-views.jinx'
    >>> guess_collector("rrc04/2013.01/updates.20130101.0000.gz"), guess_collector("updates.20160811.1600.gz")
    ('rrc04', 'mrt')
    """
    path = Path(path)
    if match := re.search(rf"(?:^|[._-]){_COLLECTOR.pattern}(?=[._-]|$)", path.name):
        return match.group(1)
    for folder in reversed(path.parts[:-1]):
        if _COLLECTOR.fullmatch(folder):
            return folder
    return "mrt"


def refuse_spread_json(path: str | Path, head: bytes) -> None:
    """Refuse JSON whose values do not have one line each, by the first bytes of a file.

    Raises
    ------
    InputError
        The first JSON value spans several lines (pretty-printed), or it is a list.
    """
    text = head.lstrip()
    line, newline, _ = text.partition(b"\n")
    if text.startswith(b"["):
        found = "a JSON list"
    elif not newline or not text.startswith(b"{") or _is_json(line):
        return
    elif line.strip() == b"{" or _starts_with_value(text):
        found = "JSON that spans several lines"
    else:
        return
    raise InputError(f"{path}: expected one JSON object per line (RIS Live frames), found {found}")


def _is_json(text: bytes) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _starts_with_value(text: bytes) -> bool:
    """Whether a whole JSON value is at the beginning of a text, across its lines."""
    try:
        json.JSONDecoder().raw_decode(text.decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return False
    return True


def unknown_format_error(path: str | Path) -> InputError:
    """Build the error for a file of unknown format."""
    return InputError(f"{path}: expected RIS Live JSON lines, a spool segment or MRT, found an unknown format")


def open_source(
    path: str | Path, *, collector: str | None = None, problems: Problems | None = None
) -> Iterator[Message]:
    """Read the messages of a file in file order.

    Parameters
    ----------
    path : path
        ``-`` is standard input.
    collector : str, optional
        Collector of an MRT file, which does not name it; default `guess_collector`.
    problems : Problems, optional
        Receives what could not be read; the offset of a JSON line is its number, from 1.

    Yields
    ------
    Message
        Messages of every type; other frames and the spool's own records are skipped.

    Raises
    ------
    InputError
        The file is missing or of unknown format. Raised at the first message, not at the call.
    """
    problems = Problems() if problems is None else problems
    with open_stream(path) as stream:
        kind = detect_format(stream.head)
        if kind in ("json", "text"):
            refuse_spread_json(path, stream.head)
        if kind == "mrt":
            for message, _ in read_stream(stream, collector or guess_collector(path), problems):
                yield message
        elif kind == "json":
            yield from _json_messages(stream, problems)
        elif kind == "empty":
            if stream.problem:
                problems.add(0, stream.problem)
        else:
            raise unknown_format_error(path)


def _json_messages(stream: Readable, problems: Problems) -> Iterator[Message]:
    problems.unit = "line"
    decoder = FrameDecoder()
    number = 0
    for number, line in enumerate(split_lines(stream), start=1):
        frame = decoder.decode_line(line)
        if isinstance(frame, Message):
            yield frame
        elif isinstance(frame, Corrupt) and line.strip():
            # The part after the colon contains values of the line; reasons are counted by text.
            problems.add(number, frame.reason.partition(":")[0])
    if stream.problem:
        problems.add(number, stream.problem)


def open_table(path: str | Path, *, problems: Problems | None = None) -> Iterator[Message]:
    """Read the routes of a table dump, one message each.

    Raises
    ------
    InputError
        The file is missing, is no table dump, or has no route. Raised at the first message or at the end.
    """
    expected = "expected a table dump (MRT TABLE_DUMP_V2 or TABLE_DUMP)"
    problems = Problems() if problems is None else problems
    with open_stream(path) as stream:
        kind = first_record_type(stream.head) if detect_format(stream.head) == "mrt" else None
        if kind in (BGP4MP, BGP4MP_ET):
            raise InputError(f"{path}: {expected}, found updates (MRT BGP4MP)")
        if kind not in (TABLE_DUMP, TABLE_DUMP_V2):
            raise InputError(f"{path}: {expected}, found {'MRT of another type' if kind else 'another format'}")
        routes = 0
        for message, _ in read_stream(stream, guess_collector(path), problems):
            routes += 1
            yield message
        if not routes:
            reason = next(iter(problems.by_reason), "it has no route that is read")
            raise InputError(f"{path}: {expected} with routes, found none: {reason}")


def read_in_time_order(
    paths: Iterable[str | Path], *, collector: str | None = None, report: ProblemReport | None = None
) -> Iterator[Message]:
    """Read several files as one stream in time order; the order within a file is kept.

    A file is opened when its first message is due. A year of five-minute files therefore holds one or two files open, and
    files of several collectors are merged. ``report`` receives what could not be read; other parameters and errors are those
    of `open_source`. Standard input can only be read alone.
    """
    report = ProblemReport() if report is None else report
    paths = list(paths)
    if len(paths) == 1:
        yield from open_source(paths[0], collector=collector, problems=report.open(str(paths[0])))
        return
    if STDIN in map(str, paths):
        raise InputError("standard input (-): expected no other file beside it, because it cannot be sorted by time")
    waiting = []
    for index, path in enumerate(paths):
        first = next(open_source(path, collector=collector), None)
        if first is not None:
            waiting.append((first.timestamp, index, path))
        else:  # it is not opened again
            for _ in open_source(path, collector=collector, problems=report.open(str(path))):
                pass
    waiting.sort(reverse=True)
    running: list[tuple[float, int, Message, Iterator[Message]]] = []
    while waiting or running:
        if waiting and (not running or waiting[-1][:2] <= running[0][:2]):
            _, index, path = waiting.pop()
            messages = open_source(path, collector=collector, problems=report.open(str(path)))
            if (message := next(messages, None)) is not None:
                heapq.heappush(running, (message.timestamp, index, message, messages))
            continue
        due, index, message, messages = running[0]
        yield message
        following = next(messages, None)
        if following is None:
            heapq.heappop(running)
        else:
            heapq.heapreplace(running, (max(due, following.timestamp), index, following, messages))
