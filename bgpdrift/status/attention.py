"""Reads what needs a person: the facts, the disk and the supervisor's answer; `bgpdrift.status.decision` decides.

The facts come from the file of the drift monitor. Without a fresh file they come from the store, which takes longer: only
then a database library is loaded.
"""

from typing import Any

from bgpdrift.attention import Attention
from bgpdrift.process.disk_space import DiskLevel, assess_disk, describe_disk, measure_free_bytes
from bgpdrift.settings import Settings
from bgpdrift.status.decision import decide
from bgpdrift.status.facts import Facts, read_facts
from bgpdrift.status.supervised import Supervised, convert


def read_attention(settings: Settings, now: float, status: Any = None) -> Attention:
    """Read everything and decide.

    Parameters
    ----------
    settings : Settings
        Of the data directory.
    now : float
        Wall-clock time, epoch seconds.
    status : object, optional
        The supervisor's status document, or an object with its attributes; None if no supervisor runs.
    """
    facts = read_facts(settings.state_path, now) or read_from_store(settings, now)
    supervised = Supervised() if status is None else convert(status)
    return decide(facts, supervised, find_disk_problem(settings), settings, now).attention


def read_from_store(settings: Settings, now: float) -> Facts:
    """Read the facts from the store and the artifact directory."""
    from bgpdrift.status import files, records, view

    max_wait_s = min(records.MAX_WAIT_S, settings.store.busy_timeout_s)
    found = records.read(settings.store_url, max_wait_s, with_series=False)
    return view.build_facts(found, files.read_files(settings.artifacts_path, settings.logs_path), settings, now)


def find_disk_problem(settings: Settings) -> str:
    """Describe why the disk under the data directory is too full; empty if it is not, or cannot be measured."""
    try:
        free = measure_free_bytes(settings.data_path)
    except OSError:
        return ""
    low, reserve = settings.supervisor.disk_low_bytes, settings.store.reserve_bytes
    level = assess_disk(free, low, reserve, DiskLevel.PLENTY)
    return describe_disk(level, free, settings.data_path)
