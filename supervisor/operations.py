"""Carries out what an operator requests, by command or by signal: start, stop, restart, reload.

A request takes effect at once and completes later; nothing here waits. `supervisor.sequencer` decides which service is next in
a shutdown or a rolling restart, and `supervisor.supervised` what a state means.
"""

from collections.abc import Callable, Mapping

from bgpdrift.clock import Clock
from bgpdrift.errors import SettingsError
from bgpdrift.settings import Settings
from supervisor.active_settings import ActiveSettings
from supervisor.desired_state import DesiredState
from supervisor.journal import Journal
from supervisor.lifecycle import WITH_PROCESS, State
from supervisor.log_capture import LineWriter
from supervisor.log_files import LogFiles
from supervisor.policies import build_limits, build_log_limits, build_restart_policy
from supervisor.reloading import find_changed_keys, is_concerned
from supervisor.sequencer import Sequencer
from supervisor.supervised import SupervisedService
from supervisor.upstream import UpstreamNotifier


class Operations:
    """The operations on one system.

    Parameters
    ----------
    units : mapping of str to SupervisedService
        All services, in starting order.
    launch_settings : mapping of str to Settings
        The settings with which the last process of each service was started.
    kill : callable
        Sends KILL to the process group of a service.
    advance : callable
        Acts on changed states.
    settings, desired, sequencer, upstream, journal, clock, writer, files
        The supervisor's.
    """

    def __init__(
        self,
        units: Mapping[str, SupervisedService],
        launch_settings: Mapping[str, Settings],
        kill: Callable[[str], None],
        advance: Callable[[], None],
        *,
        settings: ActiveSettings,
        desired: DesiredState,
        sequencer: Sequencer,
        upstream: UpstreamNotifier,
        journal: Journal,
        clock: Clock,
        writer: LineWriter,
        files: LogFiles,
    ) -> None:
        self._units, self._launch_settings, self._kill, self._advance = units, launch_settings, kill, advance
        self._settings, self._desired, self._sequencer, self._upstream = settings, desired, sequencer, upstream
        self._journal, self._clock, self._writer, self._files = journal, clock, writer, files
        self.is_stopping = False
        """Whether all services are being stopped."""

    def stop_all(self, reason: str, now: bool = False) -> None:
        """Stop all services and the supervisor; ``now`` kills the processes at once."""
        if not self.is_stopping:
            self._journal.log("info", "supervisor.stopping", reason=reason)
            self._upstream.report_stopping()
            self.is_stopping = True
            self._sequencer.begin_shutdown()
        if now:
            self._journal.log("warning", "supervisor.killing_services", reason=reason)
            self._sequencer.begin_shutdown(at_once=True)
            for name in self._units:
                self._kill(name)
        self._advance()

    def start_service(self, name: str) -> None:
        """Start one service, also under later supervisors.

        Raises
        ------
        OSError
            The desired state could not be stored; nothing was changed.
        """
        self._desired.write_stopped(self._desired.read_stopped(self._units) - {name})
        self._units[name].start()
        self._advance()

    def stop_service(self, name: str) -> None:
        """Stop one service until it is started again, also under later supervisors.

        Raises
        ------
        OSError
            The desired state could not be stored; nothing was changed.
        """
        self._desired.write_stopped(self._desired.read_stopped(self._units) | {name})
        self._units[name].stop()
        self._advance()

    def restart(self, names: list[str]) -> None:
        """Replace the process of one service at once, or those of several one after the other.

        Raises
        ------
        SettingsError, OSError
            Changed settings cannot be applied; nothing was restarted.
        """
        self._accept_settings()
        self._sequencer.not_restarted = []
        if len(names) > 1:
            self._sequencer.begin_restart(names)
        elif self._units[names[0]].state is State.STOPPED:
            self.start_service(names[0])
        else:
            self._units[names[0]].restart()
        self._advance()

    def reload(self) -> tuple[list[str], list[str]]:
        """Apply changed settings.

        Returns
        -------
        (list of str, list of str)
            The changed settings, and the services that are restarted for them one after the other.

        Raises
        ------
        SettingsError, OSError
            The settings are refused; the old ones stay active.
        """
        before = self._accept_settings()
        keys = sorted(find_changed_keys(before, self._settings.current))
        concerned = [name for name in self._units if self._is_concerned(name)]
        self._sequencer.add_to_restart(concerned)
        if concerned:
            self._upstream.report_reloading(self._clock.monotonic())
        self._journal.log("info", "settings.reloaded", changed=keys, restarting=concerned)
        self._advance()
        return keys, concerned

    def _accept_settings(self) -> Settings:
        try:
            before = self._settings.reload()
        except (SettingsError, OSError) as error:
            self._journal.log("error", "settings.refused", error=str(error))
            raise
        settings = self._settings.current
        for unit in self._units.values():
            unit.set_limits(build_limits(settings, unit.service), build_restart_policy(settings))
        self._files.limits = build_log_limits(settings)
        self._files.total_bytes = settings.supervisor.log_total_bytes
        self._writer.call(self._files.enforce_cap)
        self._journal.configure(settings.logs.level, settings.logs.form)
        return before

    def _is_concerned(self, name: str) -> bool:
        if self._units[name].state not in WITH_PROCESS or name not in self._launch_settings:
            return False
        changed = find_changed_keys(self._launch_settings[name], self._settings.current)
        return is_concerned(self._units[name].service, changed)
