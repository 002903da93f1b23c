"""Every command prints on any terminal."""

import io
import os
import subprocess
import sys

import click
import pytest
from rich.table import Table

from bgpdrift.terminal import make_console, prepare_stream

TEXT = "Zürich – 5 ≥ 4 … 日 \udcff"


@pytest.mark.parametrize(
    ("encoding", "shown"),
    [
        ("ascii", "Z?rich - 5 > 4 ~ ? \\udcff"),
        ("latin-1", "Zürich - 5 > 4 ~ ? \\udcff"),
        ("utf-8", "Zürich – 5 ≥ 4 … 日 \\udcff"),
    ],
)
def test_a_character_that_the_terminal_lacks_becomes_one_that_it_has(encoding, shown):
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding)
    prepare_stream(stream)

    print(TEXT, file=stream)
    click.echo(TEXT, file=stream)
    make_console(file=stream, width=80).print(TEXT)

    stream.flush()
    assert [line.rstrip() for line in raw.getvalue().decode(encoding).splitlines()] == [shown] * 3


def test_a_console_shows_text_from_outside_as_it_is_and_runs_no_control_sequence():
    stream = io.StringIO()
    table = Table("name")
    table.add_row("[red]rrc00[/] :smile: \x1b[2J\x9b2J\u202e")

    make_console(file=stream, width=80, force_terminal=True).print(table)

    assert r"[red]rrc00[/] :smile: \x1b[2J\x9b2J\u202e" in stream.getvalue()


def test_a_closed_standard_output_is_no_failure_and_no_other_file_gets_its_number(tmp_path):
    code = (
        "import sys, bgpdrift.entry_point as edge\n"
        f"def run():\n    file = open({str(tmp_path / 'other')!r}, 'w'); print('text'); file.close()\n"
        "sys.exit(edge.run_program('p', run))"
    )
    done = subprocess.run(["bash", "-c", '"$0" -c "$1" >&- 2>&- <&-', sys.executable, code], check=False)
    assert done.returncode == 0
    assert (tmp_path / "other").read_text() == ""
    assert os.environ.get("PYTHONIOENCODING") is None
