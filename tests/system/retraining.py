"""A retrainer that trains at once, and meets its end where it is told: ``retraining.py MODEL END EVENT [ARGUMENTS…]``.

Instead of training it takes the model in force, so that all but the training is as in life. END, when the worker reports
EVENT: ``worker`` or ``parent`` is killed, ``grow`` takes more and more memory, ``wait`` lets the test do what it wants.
"""

import os
import signal
import sys
import time
from functools import partial
from pathlib import Path

from retrainers.program import program


def trained_already(folder, model, frames, *, progress, **options):  # type: ignore[no-untyped-def]
    import numpy as np

    from bgpdrift.models.artifact import read
    from bgpdrift.models.loading import builder
    from bgpdrift.verdicts.calibration import Calibration
    from retrainers.training import HeldOut, Trained

    found = read(folder / f"{model}.safetensors", model)
    build = builder(model, 360)
    assert build is not None
    detector = build(found.content)
    rows = sum(int(frame.clean.sum()) for frame in frames)
    progress("fit", 1.0)
    progress("calibrate", 1.0)
    held_out = []
    for frame in frames:
        said = detector.score(frame)
        used = frame.clean & np.array([not why for why in said.abstained])
        may_alarm = np.array([said.may_alarm(i) for i in range(len(used))])
        held_out.append(
            HeldOut(frame.collector, frame.peer, frame.window_start[used], said.score[used], may_alarm[used])
        )
    scores = np.concatenate([part.score for part in held_out])
    calibration = Calibration.from_fields(found.calibration)
    return Trained(found.content, detector, calibration, scores, rows, len(scores), tuple(held_out))


def meet(end: str) -> None:
    if end in ("worker", "parent"):
        os.kill(os.getpid() if end == "worker" else os.getppid(), signal.SIGKILL)
    held = []
    while end == "grow":
        held.append(b"x" * 20_000_000)
        time.sleep(0.01)
    Path("waiting").touch()
    time.sleep(600)


def work(end, event, settings, model, options, claim, quiet, say):  # type: ignore[no-untyped-def]
    from retrainers.worker import work as real_work

    def say_and_end(line):  # type: ignore[no-untyped-def]
        say(line)
        if line["event"] == event:
            meet(end)

    train = partial(trained_already, settings.artifacts_path)
    return real_work(settings, model, options, claim, quiet, say_and_end, train)


if __name__ == "__main__":
    model, end, event, *arguments = sys.argv[1:]
    program(model, partial(work, end, event)).main(arguments)
