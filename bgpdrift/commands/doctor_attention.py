"""The part of `bgpdrift doctor` that states what needs a person, as ``check_drift_status`` does."""

import time

from bgpdrift.attention import EXIT_ACTION, EXIT_OK, Action
from bgpdrift.commands.doctor_checks import Finding
from bgpdrift.settings import Settings

CHECK = "needs you"


def find_actions(loaded: Settings, has_failed: bool) -> tuple[list[Finding], int]:
    """Return a finding for each thing that needs a person, and the exit code of the decision.

    Parameters
    ----------
    loaded : Settings
        Of the data directory.
    has_failed : bool
        Whether a check failed; then nothing is said to be in order.
    """
    from bgpdrift.status.program import read_status

    status = read_status(loaded, time.time())
    findings = [_describe(action) for action in status.actions]
    if not findings and not (has_failed and status.exit_code == EXIT_OK):
        advice = "wait, then run `bgpdrift doctor` again"
        findings.append(Finding(CHECK, "ok" if status.exit_code == EXIT_OK else "warn", status.headline, advice))
    return findings, status.exit_code


def _describe(action: Action) -> Finding:
    advice = "; ".join(f"{command.command} ({command.effect})" for command in action.commands)
    return Finding(CHECK, "warn" if action.exit_code == EXIT_ACTION else "fail", action.message, advice)
