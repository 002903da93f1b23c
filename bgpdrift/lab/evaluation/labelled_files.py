"""Evaluation of labelled files: one file, or every labelled file of a folder.

This module decides which files of a folder are labelled and which ground truth belongs to a file. `evaluation` trains
and scores.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bgpdrift.errors import BgpdriftError, InputError
from bgpdrift.lab.evaluation.evaluation import DEFAULT_TRAIN_MINUTES, ROWS, ShowStatus, as_fields, evaluate, trainer
from bgpdrift.lab.labelled_sets.reading import read_labelled
from bgpdrift.settings import Settings

ENDINGS = (".csv", ".csv.gz", ".csv.zst", ".ndjson", ".ndjson.gz", ".ndjson.zst", ".jsonl", ".jsonl.gz", ".jsonl.zst")
"""File names that `--all` reads end in one of these."""
TRUTH_ENDING = ".truth.json"

Status = Callable[[str], AbstractContextManager[ShowStatus]]
"""Title to a context that shows progress messages."""


@dataclass(frozen=True, slots=True)
class Options:
    """What is trained and reported.

    Attributes
    ----------
    settings : Settings
        Alarm budgets, weights and debounce.
    train_minutes : int
        Minutes to train on, from the first minute of a file.
    detectors : sequence of str
        Rows to report, of `ROWS`; empty for all.
    seed : int
        Seed of everything random in training.
    """

    settings: Settings
    train_minutes: int = DEFAULT_TRAIN_MINUTES
    detectors: Sequence[str] = ()
    seed: int = 0

    @property
    def rows(self) -> Sequence[str]:
        """Names of the rows to report."""
        return self.detectors or ROWS


def evaluate_file(
    file: Path, options: Options, status: Status, truth: Path | None = None, plot: Path | None = None
) -> dict[str, Any]:
    """Evaluate one file, and draw the result if `plot` names a PNG file.

    Raises
    ------
    InputError
        The file cannot be read, or has too few minutes.
    """
    groups = read_labelled(file, truth or truth_beside(file))
    with status(file.name) as show_status:
        try:
            evaluation = evaluate(
                groups,
                trainer(options.settings),
                options.settings,
                train_minutes=options.train_minutes,
                seed=options.seed,
                names=options.rows,
                show_status=show_status,
            )
        except InputError as error:
            raise InputError(f"{file}: {error}") from error
    if plot is not None:
        from bgpdrift.lab.evaluation.plot import plot as draw

        draw(evaluation, plot, file.name)
    return as_fields(evaluation, str(file), options.train_minutes)


def evaluate_folder(folder: Path, options: Options, status: Status) -> list[dict[str, Any]]:
    """Evaluate every labelled file of a folder. A file that cannot be evaluated gives ``{"file", "error"}``."""
    documents: list[dict[str, Any]] = []
    for file in labelled_files(folder):
        try:
            documents.append(evaluate_file(file, options, status))
        except BgpdriftError as error:
            documents.append({"file": str(file), "error": str(error)})
    return documents


def labelled_files(folder: Path) -> list[Path]:
    """List the labelled files of a folder, sorted by name.

    Raises
    ------
    InputError
        There is no such folder, or it has no labelled file.
    """
    if not folder.is_dir():
        raise InputError(f"--all {folder}: no such folder")
    files = sorted(path for path in folder.iterdir() if path.is_file() and path.name.endswith(ENDINGS))
    if not files:
        raise InputError(f"--all {folder}: no file that ends in {', '.join(ENDINGS)}")
    return files


def truth_beside(file: Path) -> Path | None:
    """Return the ground truth beside a file: ``NAME.truth.json`` for ``NAME.ndjson`` and its compressed forms."""
    beside = file.with_name(file.name.split(".")[0] + TRUTH_ENDING)
    return beside if beside.is_file() else None
