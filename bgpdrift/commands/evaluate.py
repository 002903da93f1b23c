"""`bgpdrift evaluate`: how good the detectors are on labelled minutes they were not trained on.

Reads the options and prints. `bgpdrift.lab.evaluation` trains, scores and counts.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from bgpdrift.terminal import echo, echo_json


@click.command("evaluate", context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--labelled",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Labelled file: SFU columns or lines of `bgpdrift features`.",
)
@click.option(
    "--all", "folder", metavar="DIR", type=click.Path(path_type=Path), help="Evaluate every labelled file in DIR."
)
@click.option(
    "--truth", metavar="FILE", type=click.Path(path_type=Path), help="Ground truth written by `bgpdrift simulate`."
)
@click.option("--kinds", is_flag=True, help="Simulate incidents of every kind and print which detector finds which.")
@click.option("--seeds", default=3, show_default=True, metavar="N", help="Number of simulated worlds, with --kinds.")
@click.option("--train-minutes", default=2880, show_default=True, metavar="N", help="Minutes used for training.")
@click.option("--detector", "detectors", multiple=True, metavar="NAME", help="Evaluate only this detector; repeatable.")
@click.option("--seed", default=0, show_default=True, metavar="N", help="Seed of all random numbers.")
@click.option("--plot", metavar="PNG", type=click.Path(path_type=Path), help="Also draw the scores; needs matplotlib.")
@click.option("--json", "form", flag_value="json", help="Print one JSON object; with --all or --kinds a list.")
@click.option("--markdown", "form", flag_value="markdown", help="Print the table in Markdown.")
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
    """Train on the first minutes of a labelled file and evaluate on all later minutes.

    Reports the plain announcement counter, each detector and the ensemble. Alarm budgets, weights and debounce are those
    of the settings.
    """
    import sys

    import msgspec

    from bgpdrift.errors import InputError
    from bgpdrift.lab.evaluation import incident_kinds, labelled_files, table
    from bgpdrift.lab.evaluation.evaluation import find_row
    from bgpdrift.settings import load

    if sum((labelled is not None, folder is not None, kinds)) != 1:
        raise InputError("evaluate: expected exactly one of --labelled FILE, --all DIR and --kinds")
    if labelled is None and (plot is not None or truth is not None):
        raise InputError("evaluate: --plot and --truth are allowed only with --labelled FILE")
    names = tuple(find_row(name) for name in detectors)
    options = labelled_files.Options(load(), train_minutes, names, seed)
    if kinds:
        worlds = incident_kinds.evaluate_worlds(seeds, options, _status)
        if form == "json":
            echo_json(msgspec.json.format(msgspec.json.encode(worlds), indent=2))
        else:
            as_table = incident_kinds.as_markdown if form == "markdown" else incident_kinds.as_text
            echo(as_table(worlds), nl=False)
        return
    if labelled is not None:
        documents = [labelled_files.evaluate_file(labelled, options, _status, truth, plot)]
    else:
        documents = labelled_files.evaluate_folder(folder or Path(), options, _status)
    if form == "json":
        shown = documents if labelled is None else documents[0]
        echo_json(msgspec.json.format(msgspec.json.encode(shown), indent=2))
    elif form == "markdown":
        echo(table.as_markdown(documents), nl=False)
    else:
        table.show(documents)
    if any("error" in document for document in documents):
        sys.exit(1)


@contextmanager
def _status(title: str) -> Iterator[Callable[[str], None]]:
    """Show on a terminal what is being done; elsewhere print nothing."""
    from bgpdrift.terminal import make_console

    console = make_console(stderr=True)
    if not console.is_terminal:
        yield lambda _: None
        return
    with console.status(title) as status:
        yield lambda text: status.update(f"{title}: {text}")
