"""``torchvision.models``, loaded without torch's compiler.

torchvision.ops imports ``torch._dynamo.utils`` for one function, which only roi_align calls. That
import takes a second, as long as torch itself, and 150 MB: it is put off until the function is
called. For the tenth of a second that torchvision takes to load, the module's name stands for that
function alone.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING

_COMPILER = "torch._dynamo.utils"


def _is_compile_supported(device_type: str) -> bool:
    return bool(importlib.import_module(_COMPILER).is_compile_supported(device_type))


def _load() -> ModuleType:
    if "torchvision" in sys.modules or _COMPILER in sys.modules:
        return importlib.import_module("torchvision.models")
    stand_in = ModuleType(_COMPILER)
    stand_in.is_compile_supported = _is_compile_supported  # type: ignore[attr-defined]
    sys.modules[_COMPILER] = stand_in
    try:
        return importlib.import_module("torchvision.models")
    except (ImportError, AttributeError):
        pass  # a torchvision that asks the compiler for more gets it
    finally:
        del sys.modules[_COMPILER]
    return importlib.import_module("torchvision.models")


if TYPE_CHECKING:
    from torchvision import models as models
else:
    models = _load()
