"""The reference hours of a model: its out-of-sample scores at the training, by hour and collector.

This module decides how they are stored in the artifact (four small arrays under ``reference.``). The packaged default
has none. The drift monitor uses them as the reference window of a young version.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from bgpdrift.drift.exact_values import ExactValues
from bgpdrift.drift.stored_hours import StoredHours, decode_values
from bgpdrift.errors import ArtifactError
from bgpdrift.models import artifact as artifacts
from bgpdrift.models.artifact import Artifact
from bgpdrift.models.paths import backup_paths, current_path

MAX_HOURS_PER_COLLECTOR = 31 * 24
"""The newest hours are kept; older ones are no reference for a week."""
MAX_SCORE_BYTES = 20_000_000
"""Size of all scores, well below that of a model file; of very many collectors fewer hours are kept, a week of 240."""

ReferenceHour = tuple[str, int, ExactValues, int]
"""(collector, hour_start, scores, alarms)"""


def reference_arrays(hours: Sequence[ReferenceHour]) -> dict[str, npt.NDArray[Any]]:
    """Encode hours as arrays for an artifact; {} without hours.

    Returns
    -------
    dict of str to ndarray
        ``hours`` (hours, 4) of int: collector by number, start, alarms, bytes in ``bins``; ``sums`` (hours, 2) of float;
        ``bins`` and ``collectors`` of bytes, the latter JSON.
    """
    if not hours:
        return {}
    ordered = sorted(hours, key=lambda hour: (hour[0], hour[1]))
    names = sorted({hour[0] for hour in ordered})
    largest = max(len(scores.to_bytes()) for _, _, scores, _ in ordered)
    most = max(1, min(MAX_HOURS_PER_COLLECTOR, MAX_SCORE_BYTES // (largest * len(names))))
    by_name: dict[str, list[ReferenceHour]] = {name: [] for name in names}
    for hour in ordered:
        by_name[hour[0]].append(hour)
    kept = [hour for hours_of_name in by_name.values() for hour in hours_of_name[-most:]]
    blobs = [scores.to_bytes() for _, _, scores, _ in kept]
    table = [
        (names.index(name), start, alarms, len(blob))
        for (name, start, _, alarms), blob in zip(kept, blobs, strict=True)
    ]
    return {
        "hours": np.array(table, np.int64),
        "sums": np.array([(scores.total, scores.squares) for _, _, scores, _ in kept], np.float64),
        "bins": np.frombuffer(b"".join(blobs), np.uint8),
        "collectors": np.frombuffer(msgspec.json.encode(names), np.uint8),
    }


def reference_hours(artifact: Artifact) -> dict[str, StoredHours]:
    """Decode the hours of an artifact, by collector; {} if it has none.

    Raises
    ------
    ArtifactError
        The arrays are inconsistent.
    """
    arrays: Mapping[str, npt.NDArray[Any]] = artifact.reference
    if not arrays:
        return {}
    try:
        table, sums = arrays["hours"].astype(np.int64), arrays["sums"].astype(np.float64)
        raw = arrays["bins"].astype(np.uint8).tobytes()
        names = msgspec.json.decode(arrays["collectors"].tobytes(), type=list[str])
        ends = np.cumsum(table[:, 3])
        if sums.shape != (len(table), 2) or (table[:, 3] < 1).any() or (len(table) and ends[-1] != len(raw)):
            raise ValueError(f"{len(table)} hours, {sums.shape} sums, {len(raw)} bytes")
        rows = [
            (names[number], start, alarms, total, squares, raw[end - length : end])
            for (number, start, alarms, length), (total, squares), end in zip(
                table.tolist(), sums.tolist(), ends.tolist(), strict=True
            )
        ]
        found, unreadable = decode_values(rows)
        if unreadable:
            raise ValueError(f"{unreadable} of {len(rows)} hours cannot be read")
    except (KeyError, IndexError, ValueError, msgspec.MsgspecError) as error:
        label = f"{artifact.content.model} {artifact.version}"
        raise ArtifactError(f"{label}: the reference hours cannot be decoded: {error}") from error
    return found


def read_reference_hours(folder: Path, model: str, version: str) -> dict[str, StoredHours]:
    """Read the hours of the active version or a backup; {} if its file is gone, cannot be read or has none."""
    for path in (current_path(folder, model), *backup_paths(folder, model)):
        try:
            found = artifacts.read(path, model)
            if found.version == version:
                return reference_hours(found)
        except ArtifactError:
            continue
    return {}
