"""Lines of a text file, whatever its encoding and its line ends.

This module decides which encodings are read: UTF-8, and UTF-16 and UTF-32 with a byte order mark or recognised by their
zero bytes. Other text is refused with the line and the byte found. Lines end with LF, CRLF or CR.
"""

import codecs
import io
from collections.abc import Iterator

from bgpdrift.bgp.compression import DecompressedStream
from bgpdrift.errors import InputError

CHUNK_BYTES = 1 << 20
MAX_LINE_CHARACTERS = 1 << 20
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark is the beginning of this one
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def read_lines(plain: DecompressedStream, name: str) -> Iterator[str]:
    r"""Yield the lines of a text without their ends.

    Raises
    ------
    InputError
        The bytes are damaged, are not text in a known encoding, or hold a very long line.

    Examples
    --------
    >>> list(read_lines(DecompressedStream(io.BytesIO("Zürich\rBern".encode("utf-16"))), "towns.txt"))
    ['Zürich', 'Bern']
    """
    data = plain.read(CHUNK_BYTES)
    while 0 < len(data) < len(codecs.BOM_UTF32_LE) and (more := plain.read(CHUNK_BYTES)):
        data += more
    decoder = io.IncrementalNewlineDecoder(codecs.getincrementaldecoder(find_encoding(data))(), translate=True)
    number, rest = 1, ""
    while True:
        try:
            text = decoder.decode(data, final=not data)
        except UnicodeDecodeError as error:
            raise InputError(f"{name}, {_describe_undecodable(error, number)}") from error
        if "\0" in text:
            line = number + text.count("\n", 0, text.index("\0"))
            raise InputError(f"{name}, line {line}: expected text, found a zero byte")
        *lines, rest = (rest + text).split("\n")
        if len(rest) > MAX_LINE_CHARACTERS:
            raise InputError(
                f"{name}, line {number + len(lines)}: expected lines of text, found one of more than "
                f"{MAX_LINE_CHARACTERS:,} characters"
            )
        yield from lines
        number += len(lines)
        if not data:
            break
        data = plain.read(CHUNK_BYTES)
    if plain.problem:
        raise InputError(f"{name}: {plain.problem}")
    if rest:
        yield rest


def find_encoding(head: bytes) -> str:
    """Find the encoding from the first bytes of a text.

    Examples
    --------
    >>> [find_encoding(text) for text in (b"time,score", "time".encode("utf-16"), "time".encode("utf-16-be"))]
    ['utf-8-sig', 'utf-16', 'utf-16-be']
    """
    for mark, encoding in _MARKS:
        if head.startswith(mark):
            return encoding
    zeros = tuple(byte == 0 for byte in head[:4])
    if zeros == (False, True, False, True):
        return "utf-16-le"
    return "utf-16-be" if zeros == (True, False, True, False) else "utf-8-sig"


def _describe_undecodable(error: UnicodeDecodeError, number: int) -> str:
    before = error.object[: error.start].decode(error.encoding, "ignore").replace("\r\n", "\n").replace("\r", "\n")
    line, found = number + before.count("\n"), f"found byte {error.object[error.start]:#04x}"
    if error.encoding == "utf-8":
        return (
            f"line {line}: expected UTF-8 text, {found}, as in Latin-1 (ISO 8859-1) or Windows-1252; "
            "convert the file, for example with iconv -f WINDOWS-1252 -t UTF-8"
        )
    return f"line {line}: expected {error.encoding.upper()} text, as its first bytes say, {found}: {error.reason}"
