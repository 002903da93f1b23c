"""A recorded process: its record in a copy of the directory, and a process that ``/proc`` hides."""

import shutil
import subprocess
import sys
from pathlib import Path

import msgspec

from bgpdrift.process.identity import (
    ProcessIdentity,
    identify,
    identify_self,
    is_alive,
    is_alive_in,
    record,
)
from helpers.users import build_prefix


def test_a_record_in_a_copy_of_its_directory_names_no_process_of_the_copy(tmp_path):
    original, copy = tmp_path / "original", tmp_path / "copy"
    original.mkdir()
    (original / "record").write_bytes(msgspec.json.encode(record(identify_self(), original)))
    shutil.copytree(original, copy)

    def is_recorded_process_alive(directory: Path) -> bool:
        owner = msgspec.json.decode((directory / "record").read_bytes(), type=ProcessIdentity)
        return is_alive_in(owner, directory)

    assert is_recorded_process_alive(original)
    assert not is_recorded_process_alive(copy)


def test_a_record_whose_directory_is_gone_names_no_process(tmp_path):
    owner = record(identify_self(), tmp_path / "none")
    assert not is_alive_in(owner, tmp_path)


ASK = """
import sys, msgspec
from bgpdrift.process.identity import ProcessIdentity, is_alive
for text in sys.argv[1:]:
    print(is_alive(msgspec.json.decode(text, type=ProcessIdentity)))
"""


def test_a_process_of_another_user_that_proc_hides_counts_as_running():
    """Its claim must not be given to another run while it works."""
    hidden = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    owner = identify(hidden.pid)
    assert owner is not None
    another_boot = msgspec.structs.replace(owner, boot_id="another boot")
    gone = msgspec.structs.replace(owner, pid=2**22 + 1)
    command = [*build_prefix(hides_others=True), sys.executable, "-c", f"import sys; sys.path[:] = {sys.path!r}\n{ASK}"]
    done = subprocess.run(
        [*command, *(msgspec.json.encode(one).decode() for one in (owner, another_boot, gone))],
        capture_output=True,
        text=True,
        check=True,
    )
    hidden.communicate(timeout=30)
    assert done.stdout.split() == ["True", "False", "False"]
    assert not is_alive(owner)
