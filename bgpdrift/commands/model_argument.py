"""The MODEL argument of commands: the name of a registered detector's model, or of its service."""

from typing import Any

import click

from bgpdrift.detector_registry import find
from bgpdrift.errors import InputError


class ModelName(click.ParamType):  # type: ignore[type-arg]  # generic in click 8.3 only
    """Accept both names of a registered detector; the command receives the name of the model."""

    name = "model"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Look the name up; an unknown one is a usage error that lists those that exist."""
        try:
            return find(str(value)).name
        except InputError as error:
            self.fail(str(error), param, ctx)


MODEL = ModelName()
