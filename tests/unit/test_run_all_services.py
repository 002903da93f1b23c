"""The main program, if Python finds another package named `supervisor`."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

PROGRAM = Path(__file__).parents[2] / "run_all_services.py"


def test_the_package_of_the_same_name_from_pypi_is_recognized(tmp_path):
    shutil.copy(PROGRAM, tmp_path)
    (tmp_path / "supervisor").mkdir()
    (tmp_path / "supervisor" / "__init__.py").write_text("#\n")
    (tmp_path / "supervisor" / "supervisord.py").write_text("def main(): pass\n")
    call = [sys.executable, "-S", str(tmp_path / PROGRAM.name), "status"]
    done = subprocess.run(call, cwd=tmp_path, capture_output=True, text=True, env=os.environ, timeout=30)
    assert done.returncode == 2
    assert f"{tmp_path / 'supervisor'} is not bgpdrift's" in done.stderr
    assert "an environment of its own" in done.stderr
    assert len(done.stderr.splitlines()) == 1
