"""A run as an ONNX file, for programs without torch: probabilities of prepared scans.

The packages of the extra "onnx" are needed to write one, not to use the app.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from oct_core.errors import ExportError
from oct_core.runs.files import write_atomically
from oct_core.runs.weights import LoadedRun
from oct_core.scans.phantom import make_phantom
from oct_core.types import CLASSES, FloatArray

PACKAGES = ("onnx", "onnxscript", "onnxruntime")
"""What the extra "onnx" installs."""
INPUT, OUTPUT = "gray", "probabilities"
TOLERANCE = 1e-4
"""By how much a probability may differ from torch's."""
_PHANTOM_SEED = 3_000_000
_PER_CLASS = 2
_ROUNDS = 5


@dataclass(frozen=True)
class OnnxExport:
    """How a file did beside torch on the CPU.

    difference : the largest one of a probability, over ``scans`` phantoms. seconds, torch_seconds :
    of answering them all, the best of several rounds. bytes : of the file.
    """

    difference: float
    scans: int
    seconds: float
    torch_seconds: float
    bytes: int

    @property
    def ratio(self) -> float:
        """How many times as fast as torch."""
        return self.torch_seconds / self.seconds


class _Answers(nn.Module):
    """Calibrated probabilities instead of logits."""

    def __init__(self, run: LoadedRun) -> None:
        super().__init__()
        self.model, self.temperature = run.model, run.card.temperature

    def forward(self, gray: Tensor) -> Tensor:
        return torch.softmax(self.model(gray) / self.temperature, dim=1)


def metadata_of(run: LoadedRun) -> dict[str, str]:
    """What the file says of itself; lists and dicts are JSON."""
    size = run.preprocessing.size
    return {
        "run": run.name,
        "architecture": run.architecture.name,
        "classes": json.dumps(run.classes),
        "temperature": repr(run.card.temperature),
        "preprocessing": json.dumps(run.preprocessing.to_dict()),
        "weights_sha256": run.card.weights_sha256,
        INPUT: f"float32 (scans, 1, {size}, {size}), 0 black to 1 white, of scans brought to this "
        "size as preprocessing says; its mean and std are inside the network",
        OUTPUT: "float32 (scans, classes), softmax(logits / temperature), in the order of classes",
    }


def export_onnx(run: LoadedRun, path: Path) -> OnnxExport:
    """Write the run, on the CPU, to ``path``, for any number of scans at once, once ONNX Runtime
    gives the same probabilities as the run on synthetic scans of each class.

    Raises ExportError if a package is missing, or the probabilities differ by over TOLERANCE; then
    nothing is written.
    """
    missing = [name for name in PACKAGES if find_spec(name) is None]
    if missing:
        raise ExportError(
            "writing ONNX needs {missing}, which the app does not; install what it takes: "
            "python -m pip install {packages}",
            missing=", ".join(missing),
            packages=" ".join(PACKAGES),
        )
    data = _convert(run)
    result = _compare(run, data)
    if result.difference > TOLERANCE:
        raise ExportError(
            "the probabilities of ONNX Runtime differ from torch's by {difference:.2g}, over "
            "{tolerance:.0e}; {path} is not written: try other versions of {packages}",
            difference=result.difference,
            tolerance=TOLERANCE,
            path=path,
            packages=", ".join(PACKAGES),
        )
    write_atomically(path, data)
    return result


def _convert(run: LoadedRun) -> bytes:
    size = run.preprocessing.size
    program = torch.onnx.export(
        _Answers(run).eval(),
        (torch.zeros(2, 1, size, size),),
        input_names=[INPUT],
        output_names=[OUTPUT],
        dynamic_shapes=({0: torch.export.Dim("scans")},),
        verbose=False,
    )
    assert program is not None
    program.model.metadata_props.update(metadata_of(run))
    data: bytes = program.model_proto.SerializeToString()
    return data


def _compare(run: LoadedRun, data: bytes) -> OnnxExport:
    """All phantoms at once and one alone, by both."""
    import onnxruntime  # of the extra

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    scans = [
        make_phantom(label, _PHANTOM_SEED + seed).scan
        for label in CLASSES
        for seed in range(_PER_CLASS)
    ]
    gray = run.inputs(scans)

    def ask_onnx(some: Tensor) -> FloatArray:
        return np.asarray(session.run([OUTPUT], {INPUT: some.numpy()})[0], dtype=np.float64)

    def ask_torch() -> Tensor:
        with run.lock, torch.inference_mode():
            return run.model(gray)  # type: ignore[no-any-return]

    expected = np.stack([prediction.probabilities for prediction in run.predict(scans)])
    found = np.concatenate([ask_onnx(gray), ask_onnx(gray[:1])])
    rounds = [(_seconds(lambda: ask_onnx(gray)), _seconds(ask_torch)) for _ in range(_ROUNDS)]
    seconds, torch_seconds = np.min(rounds, axis=0).tolist()
    return OnnxExport(
        difference=float(np.abs(found - np.concatenate([expected, expected[:1]])).max()),
        scans=len(scans),
        seconds=seconds,
        torch_seconds=torch_seconds,
        bytes=len(data),
    )


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
