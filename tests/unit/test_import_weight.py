"""Services start eight times on a small machine, so each must load few modules; measured in fresh interpreters."""

import pkgutil
import subprocess
import sys

import pytest

import bgpdrift
import bgpdrift.services
import supervisor


def modules(package):
    found = [package.__name__]
    found += [
        info.name
        for info in pkgutil.walk_packages(package.__path__, package.__name__ + ".")
        if "__main__" not in info.name
    ]
    return sorted(found)


HEAVY = ("torch", "sklearn", "scipy", "pandas", "alembic")
LIBRARY = [name for name in modules(bgpdrift) if ".migrations" not in name]


def loaded_after(names):
    """Heavy top-level modules an import of all ``names`` brings in."""
    code = f"import importlib, sys\nfor n in {names!r}: importlib.import_module(n)\nprint(*sorted(set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    return set(done.stdout.split())


def test_nothing_in_the_library_loads_a_training_library():
    assert loaded_after(LIBRARY) & set(HEAVY) == set()


@pytest.mark.parametrize("name", modules(supervisor))
def test_the_supervisor_loads_no_numerics_and_no_database(name):
    assert loaded_after([name]) & {"numpy", "sqlalchemy", "alembic", "scipy", "torch", "sklearn"} == set()


def test_the_store_loads_no_numerics_and_no_alembic():
    assert loaded_after(["bgpdrift.store"]) & {"numpy", "alembic", "rich"} == set()


def test_help_loads_no_database():
    assert loaded_after(["bgpdrift.cli"]) & {"numpy", "sqlalchemy", "rich", "msgspec"} == set()
