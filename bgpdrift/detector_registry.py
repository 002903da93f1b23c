"""The registry of detectors: one record for each, from which settings, services, ensemble, retrainers and commands derive.

This module decides the names, the default settings and the code of every detector. The code is named by dotted strings
and is loaded when it is used, so that the settings and the supervisor import neither numpy nor a database.

An installed distribution adds a detector with an entry point of the group `ENTRY_POINT_GROUP` that names a
`DetectorRecord`::

    [project.entry-points."bgpdrift.detectors"]
    volume = "volume_detector.record:RECORD"

Every process reads the entry points, so that services and retrainers know the detector too. The module of the record must
import nothing else that is large, because every process imports it.
"""

import importlib
import os
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from bgpdrift.errors import InputError, SettingsError

ENTRY_POINT_GROUP = "bgpdrift.detectors"
SERVICE_SUFFIX = "_detector"
RESERVED_NAMES = frozenset({"announcements_counter", "ensemble"})
"""Rows of the quality tables that are no detectors."""

_NAME = re.compile(r"[a-z][a-z0-9_]{0,47}")


class DetectorRecord(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that is particular to one detector.

    Attributes
    ----------
    name : str
        Name of the model: of its file ``<name>.safetensors``, its rows in the store, and its table
        ``[detectors.<name>]`` of the settings.
    title : str
        The detector in a sentence, such as "the isolation forest".
    summary : str
        What it does, in one sentence for people.
    build : str
        ``module:function``, called as ``function(content, history_minutes=...)``. Returns a
        `bgpdrift.detectors.interface.Detector`.
    train : str
        ``module:function``, called as `retrainers.training.Trainer` declares. Returns a
        `bgpdrift.detectors.interface.ModelContent`. Only retrainers load it.
    share : str
        ``module:function``, called as ``function(frames, history_minutes=...)`` before the first fit of a training run;
        each fit receives the result as ``shared``. Empty if the fits of one run have nothing in common.
    folds : int
        Stretches of the cross-fitting that calibrates the model. Fewer leave each fit less to learn from.
    weight : float
        Default of ``detectors.<name>.weight``.
    auto_retrain : bool
        Default of ``detectors.<name>.auto_retrain``.
    anomaly_rate_shift : float
        Default of ``detectors.<name>.anomaly_rate_shift``.
    default_model : str
        ``package:path`` of the packaged default model. Empty if the detector abstains until a model is trained.
    rule_names : str
        ``module:constant`` with the names of the rules that its scores may report in ``rules_fired``. Empty if it
        reports none.
    """

    name: str
    title: str
    summary: str
    build: str
    train: str
    share: str = ""
    folds: int = 4
    weight: float = 0.30
    auto_retrain: bool = True
    anomaly_rate_shift: float = 0.20
    default_model: str = ""
    rule_names: str = ""

    @property
    def service(self) -> str:
        """Name of the service that runs it."""
        return self.name + SERVICE_SUFFIX

    @property
    def retrain_command(self) -> str:
        """Name of the console script that retrains it."""
        return f"retrain_{self.name}"

    def load_builder(self) -> Callable[..., Any]:
        """Import the function that builds the detector."""
        return _load_function(self.build)

    def load_trainer(self) -> Callable[..., Any]:
        """Import the function that fits a model."""
        return _load_function(self.train)

    def load_share(self) -> Callable[..., Any] | None:
        """Import the function that computes what the fits of one run share, if there is one."""
        return _load_function(self.share) if self.share else None

    def load_rule_names(self) -> tuple[str, ...]:
        """Import the names of its rules; empty if it reports none."""
        return tuple(load_object(self.rule_names)) if self.rule_names else ()

    def read_default_model(self) -> bytes | None:
        """Read the packaged default model; None if there is none."""
        from importlib import resources

        package, _, path = self.default_model.partition(":")
        return resources.files(package).joinpath(path).read_bytes() if package else None


BUILT_IN = (
    DetectorRecord(
        name="heuristic",
        title="the rules",
        summary="Rules with learned thresholds compare each minute with the baseline of its collector.",
        build="bgpdrift.detectors.heuristic:build",
        train="retrainers.fit_heuristic:fit",
        share="retrainers.fit_heuristic:share",
        anomaly_rate_shift=0.30,
        default_model="bgpdrift.detectors:defaults/heuristic.safetensors",
        rule_names="bgpdrift.detectors.rules:RULE_NAMES",
    ),
    DetectorRecord(
        name="isolation_forest",
        title="the isolation forest",
        summary="An isolation forest finds minutes whose message counts are easy to separate from all others.",
        build="bgpdrift.detectors.isolation_forest:build",
        train="retrainers.fit_isolation_forest:fit",
        folds=3,
    ),
    DetectorRecord(
        name="lstm",
        title="the LSTM",
        summary="A recurrent autoencoder finds minutes that it cannot reconstruct from the hour before them.",
        build="bgpdrift.detectors.lstm:build",
        train="retrainers.fit_lstm:fit",
        weight=0.40,
    ),
)
"""The detectors of this distribution, in the order in which they are listed and started."""


def load_object(path: str) -> Any:
    """Import what ``module:name`` or ``module:name.attribute`` names.

    Raises
    ------
    SettingsError
        The module cannot be imported, or has no such name.

    Examples
    --------
    >>> load_object("os:path.sep")
    '/'
    """
    module, _, names = path.partition(":")
    try:
        found: Any = importlib.import_module(module)
        for name in names.split("."):
            found = getattr(found, name)
    except (ImportError, AttributeError, ValueError) as error:
        raise SettingsError(f"detector registry: {path!r} cannot be loaded: {error}") from error
    return found


def find(name: str) -> DetectorRecord:
    """Find a detector by the name of its model or of its service.

    Raises
    ------
    InputError
        No detector has this name. The message lists the names that exist.

    Examples
    --------
    >>> find("lstm_detector").name
    'lstm'
    >>> find("lstn")
    Traceback (most recent call last):
    bgpdrift.errors.InputError: no detector is named 'lstn'; the detectors are heuristic, isolation_forest, lstm
    """
    record = BY_NAME.get(name) or BY_NAME.get(name.removesuffix(SERVICE_SUFFIX))
    if record is None:
        raise InputError(f"no detector is named {name!r}; the detectors are {', '.join(MODELS)}")
    return record


def check_records(records: Iterable[DetectorRecord]) -> dict[str, DetectorRecord]:
    """Refuse records that cannot work together; return them by name.

    Raises
    ------
    SettingsError
        A name is invalid, reserved or used twice, or one name followed by ``_`` begins another: then the name of a file
        such as ``<name>_<version>.safetensors`` would not tell whose it is.

    Examples
    --------
    >>> base = DetectorRecord(name="volume", title="", summary="", build="", train="")
    >>> check_records([base, msgspec.structs.replace(base, name="volume_7")])
    Traceback (most recent call last):
    bgpdrift.errors.SettingsError: detector registry: 'volume_7': begins with the name of the detector 'volume'
    """
    by_name: dict[str, DetectorRecord] = {}
    for record in records:
        problem = ""
        if not _NAME.fullmatch(record.name):
            problem = "expected small letters, digits and underscores, a letter first"
        elif record.name in RESERVED_NAMES:
            problem = "this name is reserved"
        elif record.name in by_name:
            problem = "this name is registered twice"
        elif not 0.0 <= record.weight <= 1.0:
            problem = f"expected a weight from 0 to 1, not {record.weight!r}"
        for other in by_name:
            for longer, shorter in ((record.name, other), (other, record.name)):
                if longer.startswith(f"{shorter}_"):
                    problem = f"begins with the name of the detector {shorter!r}"
        if problem:
            raise SettingsError(f"detector registry: {record.name!r}: {problem}")
        by_name[record.name] = record
    return by_name


def installed_records(search_path: Iterable[str]) -> list[DetectorRecord]:
    """Load the records of installed distributions, in the order of their entry points' names.

    Raises
    ------
    SettingsError
        An entry point cannot be loaded, or names something else than a record.
    """
    if not _names_group(search_path):
        return []
    from importlib import metadata

    records = []
    for entry in sorted(metadata.entry_points(group=ENTRY_POINT_GROUP), key=lambda entry: entry.name):
        record = load_object(entry.value)
        if not isinstance(record, DetectorRecord):
            raise SettingsError(f"detector registry: {entry.value!r} is no DetectorRecord")
        records.append(record)
    return records


def _names_group(search_path: Iterable[str]) -> bool:
    """Whether any installed distribution has entry points of the group.

    Reads the files directly: the import of `importlib.metadata` costs 30 ms, which every command would pay.
    """
    group = f"[{ENTRY_POINT_GROUP}]".encode()
    for folder in dict.fromkeys(search_path):
        try:
            names = os.listdir(folder or ".")  # noqa: PTH208 - a Path for each entry costs more than the rest
        except OSError:
            continue
        for name in names:
            if not name.endswith((".dist-info", ".egg-info")):
                continue
            try:
                if group in Path(folder, name, "entry_points.txt").read_bytes():
                    return True
            except OSError:
                continue
    return False


def _load_function(path: str) -> Callable[..., Any]:
    function: Callable[..., Any] = load_object(path)
    return function


BY_NAME: Mapping[str, DetectorRecord] = check_records([*BUILT_IN, *installed_records(sys.path)])
"""Every registered detector by the name of its model: those of this distribution first."""
DETECTORS: tuple[DetectorRecord, ...] = tuple(BY_NAME.values())
MODELS: tuple[str, ...] = tuple(BY_NAME)
"""Names of all models."""
