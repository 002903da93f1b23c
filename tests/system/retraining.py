"""A retrainer that trains at once and ends as the test demands: ``retraining.py MODEL END EVENT [ARGUMENTS…]``.

It takes the active model instead of training, so that only the training differs from a real run. END happens when the worker
reports EVENT: ``worker`` or ``parent`` is killed, ``grow`` takes more and more memory, ``wait`` waits until the test creates
the file ``go``.
"""

import os
import signal
import sys
import time
from functools import partial
from pathlib import Path

from retrainers.program import program


def return_active_model(folder, model, frames, *, progress, **options):  # type: ignore[no-untyped-def]
    import numpy as np

    from bgpdrift.models.artifact import read
    from bgpdrift.models.loading import builder
    from bgpdrift.verdicts.calibration import Calibration
    from retrainers.training import HeldOut, Trained

    artifact = read(folder / f"{model}.safetensors", model)
    build = builder(model, 360)
    assert build is not None
    detector = build(artifact.content)
    rows = sum(int(frame.clean.sum()) for frame in frames)
    progress("fit", 1.0)
    progress("calibrate", 1.0)
    held_out = []
    for frame in frames:
        scores_of_frame = detector.score(frame)
        used = frame.clean & np.array([not why for why in scores_of_frame.abstained])
        may_alarm = np.array([scores_of_frame.may_alarm(i) for i in range(len(used))])
        held_out.append(
            HeldOut(frame.collector, frame.peer, frame.window_start[used], scores_of_frame.score[used], may_alarm[used])
        )
    scores = np.concatenate([part.score for part in held_out])
    calibration = Calibration.from_fields(artifact.calibration)
    return Trained(artifact.content, detector, calibration, scores, rows, len(scores), tuple(held_out))


def end_run(end: str) -> None:
    if end in ("worker", "parent"):
        os.kill(os.getpid() if end == "worker" else os.getppid(), signal.SIGKILL)
    blocks = []
    while end == "grow":
        blocks.append(b"x" * 20_000_000)
        time.sleep(0.01)
    Path("waiting").touch()
    while not Path("go").exists():
        time.sleep(0.05)


def work(end, event, settings, model, options, claim, quiet, say):  # type: ignore[no-untyped-def]
    from retrainers.worker import work as real_work

    def report_and_end(line):  # type: ignore[no-untyped-def]
        say(line)
        if line["event"] == event:
            end_run(end)

    train = partial(return_active_model, settings.artifacts_path)
    return real_work(settings, model, options, claim, quiet, report_and_end, train)


if __name__ == "__main__":
    model, end, event, *arguments = sys.argv[1:]
    program(model, partial(work, end, event)).main(arguments)
