"""Files as messages, whatever they are: RIS Live JSON lines, spool segments or MRT, plain or compressed.

Decides by content what a file is, by its name which collector an MRT file is of, and in which order several files are
read. What lines and records say is decided by `ris_frames` and `mrt`.
"""

import heapq
import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from bgpdrift.bgp.compression import Decompressed
from bgpdrift.bgp.messages import Message
from bgpdrift.bgp.mrt import read_stream
from bgpdrift.bgp.mrt_framing import Problems, Readable, looks_like_mrt
from bgpdrift.bgp.ris_frames import MAX_LINE_BYTES, Corrupt, FrameDecoder
from bgpdrift.errors import InputError

STDIN = "-"
_HEAD_BYTES = 65_536
_CHUNK_BYTES = 262_144
_COLLECTOR = re.compile(r"(rrc\d+|route-views[\w-]*(?:\.(?!updates|rib|bgpdata|bz2|gz|mrt)[a-z][\w-]*)*)")


class Peeked:
    """A stream whose first bytes have been looked at and are still to be read.

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
        """Why the stream ended early, if it did."""
        return self._stream.problem

    def read(self, size: int) -> bytes:
        """Give 1 to ``size`` bytes; none at the end."""
        if self._unread:
            part, self._unread = self._unread[:size], self._unread[size:]
            return part
        return self._stream.read(size)


def kind_of(head: bytes) -> Literal["json", "mrt", "text", "empty"] | None:
    """Recognise a file by its first (uncompressed) bytes; ``text`` is lines none of which is a JSON object.

    Examples
    --------
    >>> kind_of(b'{"type":"pong","data":null}'), kind_of(b"half a frame}"), kind_of(bytes(64))
    ('json', 'text', None)
    """
    if not head.strip():
        return "empty"
    if head.lstrip().startswith(b"{"):
        return "json"
    if looks_like_mrt(head):
        return "mrt"
    if b"\n{" in head:
        return "json"
    return None if b"\0" in head else "text"


@contextmanager
def opened(path: str | Path) -> Iterator[Peeked]:
    """Open a file, or standard input for ``-``, ready to be recognised.

    Raises
    ------
    InputError
        It cannot be read, or nothing of it can be decompressed.
    """
    try:
        raw = sys.stdin.buffer if str(path) == STDIN else Path(path).open("rb")  # noqa: SIM115 - closed below
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    try:
        try:
            stream = Peeked(Decompressed(raw))
        except OSError as error:
            raise InputError(f"{path}: cannot be read: {error.strerror}") from error
        if stream.problem and not stream.head:
            raise InputError(f"{path}: {stream.problem}")
        yield stream
    finally:
        if raw is not sys.stdin.buffer:
            raw.close()


def lines_of(stream: Readable) -> Iterator[bytes]:
    """Split a stream into lines; of one beyond `MAX_LINE_BYTES` only the beginning is kept, still too long to be read."""
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


def collector_of(path: str | Path) -> str:
    """Tell an MRT file's collector by its name, or by the folders of the RIS and RouteViews archives; else ``mrt``.

    Examples
    --------
    >>> collector_of("ris.rrc06.updates.1427846400.gz")
    'rrc06'
    >>> collector_of("routeviews.route-views.jinx.updates.1427846400.bz2")
    'route-views.jinx'
    >>> collector_of("rrc04/2013.01/updates.20130101.0000.gz"), collector_of("updates.20160811.1600.gz")
    ('rrc04', 'mrt')
    """
    path = Path(path)
    if found := re.search(rf"(?:^|[._-]){_COLLECTOR.pattern}(?=[._-]|$)", path.name):
        return found.group(1)
    for folder in reversed(path.parts[:-1]):
        if _COLLECTOR.fullmatch(folder):
            return folder
    return "mrt"


def unknown_format(path: str | Path) -> InputError:
    """Make the error for a file nobody can read."""
    return InputError(f"{path}: unknown format; RIS Live JSON lines, a spool segment or MRT was expected")


def open_source(
    path: str | Path, *, collector: str | None = None, problems: Problems | None = None
) -> Iterator[Message]:
    """Read the messages of a file in its own order.

    Parameters
    ----------
    path : path
        ``-`` is standard input.
    collector : str, optional
        For MRT, which does not name it; by default `collector_of` the path.
    problems : Problems, optional
        Filled with what could not be read; the offset of a JSON line is its number, from 1.

    Yields
    ------
    Message
        Of every type; other frames and our own records are left out.

    Raises
    ------
    InputError
        The file is missing, or of a format that is not known. Raised at the first message, not at the call.
    """
    problems = Problems() if problems is None else problems
    with opened(path) as stream:
        kind = kind_of(stream.head)
        if kind == "mrt":
            for message, _ in read_stream(stream, collector or collector_of(path), problems):
                yield message
        elif kind == "json":
            yield from _json_messages(stream, problems)
        elif kind != "empty":
            raise unknown_format(path)


def _json_messages(stream: Readable, problems: Problems) -> Iterator[Message]:
    decoder = FrameDecoder()
    number = 0
    for number, line in enumerate(lines_of(stream), start=1):
        frame = decoder.decode_line(line)
        if isinstance(frame, Message):
            yield frame
        elif isinstance(frame, Corrupt) and line.strip():
            problems.add(number, "line cannot be read")
    if stream.problem:
        problems.add(number, stream.problem)


def in_time_order(
    paths: Iterable[str | Path], *, collector: str | None = None, problems: Problems | None = None
) -> Iterator[Message]:
    """Read several files as one stream in time order; within a file its own order is kept.

    A file is opened when its first message is due, so a year of five-minute files holds one or two open, and files of several
    collectors are merged. Parameters and errors are those of `open_source`; standard input can only be read alone.
    """
    paths = list(paths)
    if len(paths) == 1:
        yield from open_source(paths[0], collector=collector, problems=problems)
        return
    if STDIN in map(str, paths):
        raise InputError("standard input (-) cannot be put in time order with other files; name it alone")
    waiting = []
    for index, path in enumerate(paths):
        first = next(open_source(path, collector=collector), None)
        if first is not None:
            waiting.append((first.timestamp, index, path))
    waiting.sort(reverse=True)
    running: list[tuple[float, int, Message, Iterator[Message]]] = []
    while waiting or running:
        if waiting and (not running or waiting[-1][:2] <= running[0][:2]):
            _, index, path = waiting.pop()
            messages = open_source(path, collector=collector, problems=problems)
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
