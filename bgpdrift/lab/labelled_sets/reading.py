"""Reads labelled minutes: SFU files and windows of `bgpdrift features`, plain or compressed.

The content decides the format, not the name. `sfu` and `lines` define the columns.
"""

from collections.abc import Iterable
from pathlib import Path

from bgpdrift.bgp.sources import open_stream, split_lines
from bgpdrift.errors import InputError
from bgpdrift.lab.labelled_sets.lines import read_lines, read_truth
from bgpdrift.lab.labelled_sets.sfu import read_sfu
from bgpdrift.lab.labelled_sets.windows import LabelledWindows

__all__ = ["LabelledWindows", "read_labelled"]


def read_labelled(path: Path, truth: Path | None = None) -> list[LabelledWindows]:
    """Read a file of labelled minutes, one result a (collector, peer).

    Parameters
    ----------
    path : Path
        CSV of 42 columns as the SFU CNL publishes it, or lines of `bgpdrift features` with or without ``label``.
    truth : Path, optional
        Ground truth of `bgpdrift simulate --truth`, for lines without labels.

    Raises
    ------
    InputError
        It cannot be read; the message names file, line, what was expected and what was found.
    """
    with open_stream(path) as stream:
        is_lines = stream.head.lstrip().startswith(b"{")
        if truth is not None and not is_lines:
            raise InputError(
                f"{path}: expected lines of `bgpdrift features` with --truth, found a file with labels of its own"
            )
        if not stream.head.strip():
            raise InputError(f"{path}: expected SFU columns or lines of `bgpdrift features`, found an empty file")
        incidents = None if truth is None else read_truth(_bytes(truth), str(truth))
        lines = list(split_lines(stream))
        if stream.problem:
            raise InputError(f"{path}: {stream.problem}, after {len(lines)} lines")
        if is_lines:
            return read_lines(lines, str(path), incidents)
        return [read_sfu(_texts(lines, path), str(path))]


def _texts(lines: Iterable[bytes], path: Path) -> list[str]:
    texts = []
    for number, line in enumerate(lines, start=1):
        try:
            texts.append(line.decode("ascii"))
        except UnicodeDecodeError:
            raise InputError(f"{path}, line {number}: expected numbers or a JSON object, found bytes") from None
    return texts


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
