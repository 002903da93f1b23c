"""Which earlier version comes back when one disappoints; a pure choice, carried out by `bgpdrift.models.model_registry`."""

from collections.abc import Mapping, Sequence

from bgpdrift.errors import InputError
from bgpdrift.models.model_files import ModelFile, ModelFiles

ROLLED_BACK_NOTE = "rolled back: "
"""How the note on a file begins that disappointed in force; those of the gate begin otherwise."""
NOT_BY_ITSELF = frozenset({"rolled_back", "rejected"})


def choose_rollback(files: ModelFiles, states: Mapping[str, str], to: str | None = None) -> Sequence[ModelFile]:
    """Choose what to put back in force, best first: should one turn out unusable, the next is tried.

    Without ``to`` these are the backups, newest first, but for the version in force and those that were rolled back or
    refused. A person may name any backup, also a version that was rolled back once; never one that the gate refused.

    Parameters
    ----------
    files : ModelFiles
        What lies in the artifact directory.
    states : mapping of str to str
        State by version, as far as the store knows.
    to : str, optional
        A version.

    Raises
    ------
    InputError
        There is nothing to go back to; the message names the versions there are.
    """
    there = [file for file in files.backups if not file.problem and file.version != files.active_version]
    set_aside = [file for file in files.rejected if not file.problem and file.reason.startswith(ROLLED_BACK_NOTE)]
    if to is None:
        chosen = [file for file in there if states.get(file.version) not in NOT_BY_ITSELF]
        if not chosen:
            raise InputError(f"{files.model}: nothing to go back to: {_listed(there, set_aside)}")
        return chosen
    if to == files.active_version:
        raise InputError(f"{files.model}: version {to} is in force")
    chosen = [file for file in (*there, *set_aside) if file.version == to and states.get(to) != "rejected"]
    if not chosen:
        raise InputError(f"{files.model}: no backup of version {to}: {_listed(there, set_aside)}")
    return chosen


def _listed(there: Sequence[ModelFile], set_aside: Sequence[ModelFile]) -> str:
    backups = ", ".join(dict.fromkeys(file.version for file in there)) or "none"
    rolled_back = ", ".join(dict.fromkeys(file.version for file in set_aside))
    return f"backups of other versions: {backups}" + (f"; rolled back before: {rolled_back}" if rolled_back else "")
