"""``bgpdrift evaluate``: how good the detectors are on labelled minutes they were not trained on.

A program of its own, since training loads libraries that nothing else of bgpdrift may load. Reads files, trains, prints;
what is trained and judged on what, `retrainers.evaluation` decides, what the figures mean, `bgpdrift.verdicts.quality`.
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from bgpdrift.errors import BgpdriftError, InputError, SettingsError
from retrainers.evaluation import DEFAULT_TRAIN_MINUTES, ROWS

ENDINGS = (".csv", ".csv.gz", ".csv.zst", ".ndjson", ".ndjson.gz", ".ndjson.zst", ".jsonl", ".jsonl.gz", ".jsonl.zst")
"""What `--all` takes for a file of labelled minutes."""
TRUTH_ENDING = ".truth.json"


@click.command("evaluate", context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--labelled", metavar="FILE", type=click.Path(path_type=Path), help="SFU columns or lines of `bgpdrift features`."
)
@click.option(
    "--all", "folder", metavar="DIR", type=click.Path(path_type=Path), help="Every labelled file of a folder."
)
@click.option(
    "--truth", metavar="FILE", type=click.Path(path_type=Path), help="Of `bgpdrift simulate`, for lines without labels."
)
@click.option("--kinds", is_flag=True, help="Simulated incidents of every kind: which detector finds which.")
@click.option("--seeds", default=3, show_default=True, metavar="N", help="Worlds simulated, with --kinds.")
@click.option(
    "--train-minutes", default=DEFAULT_TRAIN_MINUTES, show_default=True, metavar="N", help="Minutes trained on."
)
@click.option("--detector", "detectors", multiple=True, type=click.Choice(ROWS), help="Only this row; repeatable.")
@click.option("--seed", default=0, show_default=True, metavar="N", help="Of everything random in training.")
@click.option(
    "--plot", metavar="PNG", type=click.Path(path_type=Path), help="Draw what each detector said; needs matplotlib."
)
@click.option("--json", "form", flag_value="json", help="One JSON object; with --all or --kinds a list.")
@click.option("--markdown", "form", flag_value="markdown", help="The table as in docs/quality.md.")
def command(
    labelled: Path | None,
    folder: Path | None,
    truth: Path | None,
    kinds: bool,
    seeds: int,
    train_minutes: int,
    detectors: tuple[str, ...],
    seed: int,
    plot: Path | None,
    form: str | None,
) -> None:
    """Train on the first minutes of a labelled file, judge on all that follow.

    Reports the plain counter of announcements, the three detectors and the ensemble. Budgets, weights and debounce are
    those of the settings.
    """
    if sum((labelled is not None, folder is not None, kinds)) != 1:
        raise InputError("evaluate: one of --labelled FILE, --all DIR and --kinds expected")
    if labelled is None and (plot is not None or truth is not None):
        raise InputError("evaluate: --plot and --truth go with --labelled FILE")
    if kinds:
        from retrainers.evaluate_kinds import run

        run(seeds, train_minutes, detectors or ROWS, form, trainer(), _status)
        return
    files = [labelled] if labelled is not None else labelled_files(folder or Path())
    documents = []
    for file in files:
        beside = truth if truth is not None else truth_beside(file)
        try:
            documents.append(judge(file, beside, train_minutes, detectors or ROWS, seed, plot))
        except BgpdriftError as error:
            if labelled is not None:
                raise
            documents.append({"file": str(file), "error": str(error)})
    _print(documents, form, alone=labelled is not None)
    if any("error" in document for document in documents):
        sys.exit(1)


def judge(
    file: Path, truth: Path | None, train_minutes: int, detectors: Sequence[str], seed: int, plot: Path | None
) -> dict[str, Any]:
    """Evaluate one file; draw it if asked."""
    from bgpdrift.lab.labelled_sets.reading import read_labelled
    from bgpdrift.settings import load
    from retrainers.evaluation import as_fields, evaluate

    settings, groups = load(), read_labelled(file, truth)
    with _status(file.name) as tell:
        try:
            found = evaluate(
                groups, trainer(), settings, train_minutes=train_minutes, seed=seed, wanted=detectors, tell=tell
            )
        except InputError as error:
            raise InputError(f"{file}: {error}") from error
    if plot is not None:
        from retrainers.evaluation_plot import plot as draw

        draw(found, plot, file.name)
    return as_fields(found, str(file), train_minutes)


def labelled_files(folder: Path) -> list[Path]:
    """Files of a folder that look like labelled minutes, by name."""
    if not folder.is_dir():
        raise InputError(f"--all {folder}: no such folder")
    found = sorted(path for path in folder.iterdir() if path.is_file() and path.name.endswith(ENDINGS))
    if not found:
        raise InputError(f"--all {folder}: no file that ends in {', '.join(ENDINGS)}")
    return found


def truth_beside(file: Path) -> Path | None:
    """The ground truth that lies beside a file: ``NAME.truth.json`` for ``NAME.ndjson`` and its like."""
    beside = file.with_name(file.name.split(".")[0] + TRUTH_ENDING)
    return beside if beside.is_file() else None


def trainer() -> Callable[[str, Sequence[Any], int], tuple[Any, Any]]:
    """Training as the retrainers do it."""
    from bgpdrift.settings import load
    from retrainers import training

    history_minutes = load().detectors.history_minutes

    def train(model: str, frames: Sequence[Any], seed: int) -> tuple[Any, Any]:
        try:
            trained = training.train(model, frames, seed=seed, history_minutes=history_minutes)
        except ModuleNotFoundError as error:
            if error.name == f"retrainers.fit_{model}":
                raise InputError(f"{model}: this version cannot train it yet") from error
            raise
        return trained.detector, trained.calibration

    return train


@contextmanager
def _status(title: str) -> Iterator[Callable[[str], None]]:
    """Say on a terminal what is being done; elsewhere say nothing."""
    from rich.console import Console

    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda _: None
        return
    with console.status(title) as status:
        yield lambda text: status.update(f"{title}: {text}")


def _print(documents: Sequence[dict[str, Any]], form: str | None, alone: bool) -> None:
    from retrainers.evaluation_table import as_markdown, show

    if form == "json":
        import msgspec

        shown: Any = documents[0] if alone else documents
        click.echo(msgspec.json.format(msgspec.json.encode(shown), indent=2))
    elif form == "markdown":
        click.echo(as_markdown(documents), nl=False)
    else:
        show(documents)


def main() -> None:
    """Run; bad input and bad settings exit 2, other errors 1, as with every `bgpdrift` command."""
    try:
        command(prog_name="bgpdrift evaluate")
    except (InputError, SettingsError) as error:
        click.echo(f"bgpdrift: {error}", err=True)
        sys.exit(2)
    except BgpdriftError as error:
        click.echo(f"bgpdrift: {error}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
