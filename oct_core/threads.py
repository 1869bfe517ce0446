"""How the threads of torch's CPU operations wait for each other. Loads no torch."""

from __future__ import annotations

import os

_SPIN = "1000"


def yield_when_waiting() -> None:
    """Let a thread that waits for another give up its core early. Call before torch is loaded; a choice of the user's own stays.

    GNU's OpenMP spins first, by default for a few milliseconds at each of the hundreds of operations of a pass: on a machine whose
    cores have other work (a training, say), that keeps the very core that the other thread needs. benchmarks/busy.py measures it.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", _SPIN)
