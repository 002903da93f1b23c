"""What needs a person now: the types that the decision, the commands and the supervisor's command line share.

`bgpdrift.status.decision` decides. The exit codes are the same in ``run_all_services.py status``, ``check_drift_status`` and
``bgpdrift doctor``.
"""

import msgspec

EXIT_OK, EXIT_UNRELIABLE, EXIT_USAGE, EXIT_NOT_RUNNING, EXIT_ACTION = 0, 1, 2, 3, 10
"""Nothing needs a person · the system does not work as a whole · invalid arguments or settings · no supervisor runs · a
decision is needed."""


class Command(msgspec.Struct, frozen=True):
    """A command to type."""

    command: str
    effect: str


class Action(msgspec.Struct, frozen=True):
    """One thing that needs a person."""

    kind: str
    """What it is about: ``supervisor``, ``service``, ``disk``, ``store``, ``data``, ``monitor``, ``incident``, ``approval``,
    ``model``, ``drift`` or ``retraining``."""
    subject: str
    """Model, service, or number of the incident or approval request; empty for the system as a whole."""
    exit_code: int
    message: str
    commands: tuple[Command, ...] = ()


class Attention(msgspec.Struct, frozen=True):
    """Everything that needs a person, in one value."""

    headline: str
    """One line without a final stop."""
    exit_code: int
    actions: tuple[Action, ...] = ()
    """The most urgent first."""
