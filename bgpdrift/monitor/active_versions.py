"""The active version of each model, read from its file again only after the file changed."""

from pathlib import Path
from typing import Any

from bgpdrift.models.artifact import identity_of
from bgpdrift.models.paths import current_path
from bgpdrift.models.publication import active_version


class ActiveVersions:
    """Cache of the active versions in one artifact folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._cache: dict[str, tuple[Any, str]] = {}

    def get(self, model: str) -> str:
        """Return the active version of a model; "" if no model file can be read."""
        try:
            identity = identity_of(current_path(self._folder, model).stat())
        except OSError:
            return ""
        if model not in self._cache or self._cache[model][0] != identity:
            self._cache[model] = (identity, active_version(self._folder, model))
        return self._cache[model][1]
