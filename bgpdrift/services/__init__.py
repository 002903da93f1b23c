"""One thin module per service: build the parts, loop, report readiness. Run with ``python -m bgpdrift.services NAME``.

Importing this package pins the math libraries to one thread, before any of them is loaded: two math threads beside one
busy process turn an inference of 1 ms into 127 ms at the 99th percentile.
"""

import os

for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS"):
    os.environ[_variable] = "1"
