"""The child that verifies a model file: ``python -m bgpdrift.models.verify FILE MODEL [HISTORY_MINUTES]``.

It makes the checks that a detector makes: digest, schema, bounds, construction of the detector, self-test. Exit code 0 is a
usable file; otherwise the last line of output names the problem. The limits are set before anything large is imported.
"""

import sys

from bgpdrift.models.verification import (
    CPU_LIMIT_S,
    DEFAULT_HISTORY_MINUTES,
    EXIT_BAD,
    EXIT_DAMAGED,
    EXIT_DISK,
    EXIT_GOOD,
    MEMORY_LIMIT_BYTES,
)
from bgpdrift.process.child import limit_own_resources


def main(arguments: list[str]) -> int:
    """Verify a file; returns the exit code."""
    limit_own_resources(CPU_LIMIT_S, MEMORY_LIMIT_BYTES)
    from pathlib import Path

    from bgpdrift.errors import ArtifactError, DigestMismatchError
    from bgpdrift.models import artifact
    from bgpdrift.models.loading import builder

    path, model = Path(arguments[0]), arguments[1]
    history_minutes = int(arguments[2]) if len(arguments) > 2 else DEFAULT_HISTORY_MINUTES
    try:
        build = builder(model, history_minutes)
        if build is None:
            raise ArtifactError(f"{model}: this version of the program cannot run one")
        artifact.run_self_test(artifact.from_bytes(artifact.read_once(path).raw, path.name, model), build)
    except DigestMismatchError as error:
        print("expected and found:", error.expected or "-", error.actual or "-")
        return EXIT_DAMAGED
    except ArtifactError as error:
        print(" ".join(str(error).split()))
        return EXIT_BAD
    except OSError as error:
        print(f"{path}: cannot be read: {error.strerror}")
        return EXIT_DISK
    except MemoryError:
        print(f"{path.name}: needs more than {MEMORY_LIMIT_BYTES:,} bytes of memory")
        return EXIT_BAD
    return EXIT_GOOD


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
