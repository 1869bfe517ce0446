"""See what neural networks see in retinal OCT scans: training, metrics, explanations.

``load_run``, ``predict`` and ``explain`` are loaded on first use, so ``import oct_core`` stays
light.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"
__all__ = ["__version__", "explain", "load_run", "predict"]

_PUBLIC = {
    "load_run": "oct_core.runs.weights",
    "predict": "oct_core.runs.predict",
    "explain": "oct_core.explanations",
}


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'oct_core' has no attribute {name!r}")
    return getattr(importlib.import_module(_PUBLIC[name]), name)
