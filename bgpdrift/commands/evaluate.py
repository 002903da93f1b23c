"""`bgpdrift evaluate`: how good the detectors are on labelled minutes; hands over to `python -m retrainers.evaluate`.

A process of its own, since judging means training, and bgpdrift loads no training library. Options and output are that
program's.
"""

import click


@click.command(
    "evaluate",
    add_help_option=False,
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def command(arguments: tuple[str, ...]) -> None:
    """Judge the detectors on labelled minutes; `--help` of the program it starts names the options."""
    import subprocess
    import sys

    try:
        done = subprocess.run([sys.executable, "-m", "retrainers.evaluate", *arguments], check=False)  # noqa: S603
    except KeyboardInterrupt:  # the child had it too
        sys.exit(130)
    sys.exit(done.returncode if done.returncode >= 0 else 128 - done.returncode)
