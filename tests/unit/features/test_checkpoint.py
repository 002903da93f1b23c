"""A checkpoint is read completely or not at all."""

from pathlib import Path

import numpy as np
import pytest

from bgpdrift.errors import InputError
from bgpdrift.features import checkpoint

ARRAYS = {"a": np.arange(6, dtype=np.uint64).reshape(2, 3), "none": np.zeros(0, dtype=np.uint8)}
VALUES = {"now": 1.5, "names": ["x"]}


def test_a_saved_checkpoint_is_read_back(tmp_path: Path) -> None:
    file = tmp_path / "state" / "c"
    size = checkpoint.save(file, ARRAYS, VALUES)

    arrays, values = checkpoint.load(file)

    assert size == file.stat().st_size
    assert values == VALUES
    assert {name: array.tolist() for name, array in arrays.items()} == {"a": [[0, 1, 2], [3, 4, 5]], "none": []}
    assert arrays["a"].dtype == np.uint64


def test_every_truncated_or_changed_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "c"
    checkpoint.save(file, ARRAYS, VALUES)
    good = file.read_bytes()

    for at in range(len(good)):
        for bad in (good[:at], good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :]):
            file.write_bytes(bad)
            with pytest.raises(InputError, match=str(file)):
                checkpoint.load(file)


def test_a_full_disk_keeps_the_previous_checkpoint(tmp_path: Path) -> None:
    file = tmp_path / "c"
    checkpoint.save(file, ARRAYS, VALUES)
    (tmp_path / "c.new").mkdir()  # nothing can be staged

    with pytest.raises(OSError, match="directory"):
        checkpoint.save(file, ARRAYS, {"now": 2})

    assert checkpoint.load(file)[1] == VALUES
