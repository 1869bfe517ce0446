"""Which versions of what something was made with, as run cards and map files record it."""

from __future__ import annotations

import platform
from contextlib import suppress
from importlib import metadata

import oct_core

_PACKAGES = (
    "torch",
    "torchvision",
    "numpy",
    "scipy",
    "scikit-learn",
    "pillow",
    "safetensors",
    "grad-cam",
)


def versions() -> dict[str, str]:
    """oct_core, python and the packages that are installed -> version."""
    versions_by_name = {"oct_core": oct_core.__version__, "python": platform.python_version()}
    for name in _PACKAGES:
        with suppress(metadata.PackageNotFoundError):  # grad-cam is not needed to train
            versions_by_name[name] = metadata.version(name)
    return versions_by_name
