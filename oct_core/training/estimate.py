"""How long a training will take, said once after its first steps."""

from __future__ import annotations

import time

_AFTER = 5


class Estimate:
    """Times the first steps. The very first is left out: it warms the device up."""

    def __init__(self, epochs: int) -> None:
        self.epochs = epochs
        self._start: float | None = None
        self._first: tuple[int, int] | None = None
        self._said = False

    def after_step(self, epoch: int, done: int, total: int) -> str | None:
        """A sentence after the fifth further step, else None."""
        if self._said:
            return None
        if self._start is None:
            self._start, self._first = time.perf_counter(), (epoch, done)
            return None
        assert self._first is not None
        steps = (epoch - self._first[0]) * total + done - self._first[1]
        if steps < min(_AFTER, total - 1):
            return None
        self._said = True
        left = (self.epochs - epoch + 1) * total - done
        return f"about {readable((time.perf_counter() - self._start) / steps * left)} to go"


def readable(seconds: float) -> str:
    """5400 -> "1 h 30 min"."""
    minutes = round(seconds / 60)
    if minutes < 1:
        return f"{max(1, round(seconds))} s"
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
