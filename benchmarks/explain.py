"""How fast are the maps? Ours against pytorch-grad-cam, torchcam, Captum and the limit, in one
process, in turn.

    python benchmarks/explain.py [--size 224] [--threads 2] [--repeats 7] [--stress 24x50]

Work of one round: three models, one scan, Grad-CAM of five layers, guided backpropagation and
guided Grad-CAM, maps at the network's input size (torchcam has no guided maps: its layers only).
The limit: per model one forward and two backward passes over one graph from the input, parameters
frozen, no maps made. Seconds are medians over rounds after one warm-up; ratios are medians of the
ratios within a round. The last line is JSON.
"""

from __future__ import annotations

import argparse
import copy
import ctypes
import gc
import json
import statistics
import sys
import threading
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from oct_core.errors import OctError
from oct_core.explanations import METHODS, Request, explain, passes
from oct_core.explanations.gradcam import upsample
from oct_core.models.catalog import ARCHITECTURES
from oct_core.models.networks import build_model, layer_modules
from oct_core.runs.weights import load_run
from oct_core.scans.phantom import make_phantom
from oct_core.scans.preprocess import Preprocessing
from oct_core.types import CLASSES

NAMES = ("gradcam", "guided_backprop", "guided_gradcam")


@dataclass(eq=False)
class Subject:
    """One model twice: frozen as a loaded run has it, and with trainable parameters as other
    libraries expect it.
    """

    name: str
    frozen: nn.Module
    trainable: nn.Module
    x: Tensor
    target: int
    weights: str

    def layers(self, model: nn.Module) -> dict[str, nn.Module]:
        return layer_modules(model, self.name)  # type: ignore[arg-type]


def load(name: str) -> tuple[nn.Module, str]:
    """The shipped run if there is one, else random weights; the figures do not depend on it."""
    from oct_core.runs.weights import load_run

    try:
        return load_run(name).model, "shipped"
    except OctError:
        torch.manual_seed(0)
        return build_model(name, len(CLASSES), (0.5,) * 3, (0.25,) * 3).eval().requires_grad_(
            False
        ), "random"


def subject(name: str, size: int, device: str, batch: int = 1) -> Subject:
    model, weights = load(name)
    model = model.to(device)
    pixels = Preprocessing(size).prepare(make_phantom("DME", 1).pixels)
    x = torch.tensor(pixels)[None, None].float().div(255).to(device).repeat(batch, 1, 1, 1)
    with torch.no_grad():
        target = int(model(x[:1]).argmax())
    return Subject(name, model, copy.deepcopy(model).requires_grad_(True), x, target, weights)


def ours(one: Subject) -> list[Tensor]:
    layers = one.layers(one.frozen)
    shared = passes(one.frozen, layers, one.x, [one.target] * len(one.x))
    request = Request(one.frozen, layers, shared)
    size = (one.x.shape[-2], one.x.shape[-1])
    return [
        upsample(maps, size)
        for name in NAMES
        for maps in METHODS.get(name).compute(request).values()
    ]


def limit(one: Subject) -> None:
    x = one.x.clone().requires_grad_(True)
    score = one.frozen(x)[:, one.target].sum()
    torch.autograd.grad(score, x, retain_graph=True)
    torch.autograd.grad(score, x)


def pytorch_grad_cam(one: Subject) -> list[Any]:
    from pytorch_grad_cam import GradCAM, GuidedBackpropReLUModel
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    cams = []
    for layer in one.layers(one.trainable).values():
        with GradCAM(model=one.trainable, target_layers=[layer]) as cam:
            cams.append(cam(input_tensor=one.x, targets=[ClassifierOutputTarget(one.target)])[0])
    guided = GuidedBackpropReLUModel(model=one.trainable, device=one.x.device)(
        one.x.clone(), target_category=one.target
    )
    return [*cams, guided, *(cam[:, :, None] * guided for cam in cams)]


def torchcam(one: Subject) -> list[Tensor]:
    from torchcam.methods import GradCAM

    with GradCAM(one.trainable, target_layer=list(one.layers(one.trainable).values())) as extractor:
        scores = one.trainable(one.x)
        cams = extractor(one.target, scores)
    return [upsample(cam, (one.x.shape[-2], one.x.shape[-1])) for cam in cams]


def captum(one: Subject) -> list[Tensor]:
    from captum.attr import GuidedBackprop, LayerAttribution, LayerGradCam

    size = (one.x.shape[-2], one.x.shape[-1])
    x = one.x.clone().requires_grad_(True)
    cams = []
    for layer in one.layers(one.trainable).values():
        cam = LayerGradCam(one.trainable, layer).attribute(
            x, target=one.target, relu_attributions=True
        )
        cams.append(LayerAttribution.interpolate(cam, size, interpolate_mode="bilinear"))
    guided = GuidedBackprop(one.trainable).attribute(x, target=one.target)
    return [*cams, guided, *(cam * guided for cam in cams)]


LIBRARIES: dict[str, Callable[[Subject], Any]] = {
    "ours": ours,
    "limit": limit,
    "pytorch_grad_cam": pytorch_grad_cam,
    "torchcam": torchcam,
    "captum": captum,
}


def _resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * 4096 / 2**20


def peak_mb(work: Callable[[], Any]) -> float | None:
    """How far resident memory rises while ``work`` runs, sampled every 2 ms; None where there is no
    /proc.
    """
    if not Path("/proc/self/statm").exists():
        return None
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    start, samples, done = _resident_mb(), [0.0], threading.Event()

    def watch() -> None:
        while not done.wait(0.002):
            samples.append(_resident_mb() - start)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        work()
    finally:
        done.set()
        watcher.join()
    return round(max(samples), 1)


def _clear(subjects: list[Subject]) -> None:
    for one in subjects:
        one.trainable.zero_grad(set_to_none=True)


def measure(subjects: list[Subject], repeats: int) -> dict[str, list[float]]:
    """Seconds of each library, one value a round; libraries take turns so that a busy machine hits
    all alike.
    """
    seconds: dict[str, list[float]] = {name: [] for name in LIBRARIES}
    for turn in range(repeats + 1):
        for name, work in LIBRARIES.items():
            start = time.perf_counter()
            for one in subjects:
                work(one)
            elapsed = time.perf_counter() - start
            if turn:
                seconds[name].append(elapsed)
            _clear(subjects)
        print(f"round {turn} of {repeats}{' (warm-up)' if not turn else ''}", flush=True)
    return seconds


def median_ratio(above: list[float], below: list[float]) -> float:
    return round(statistics.median(a / b for a, b in zip(above, below, strict=True)), 3)


def stress(threads: int, calls: int) -> dict[str, Any]:
    """Many threads on one loaded run, which has its own lock: are all maps of ``explain``
    identical?
    """
    run, scan = load_run("resnet50"), make_phantom("DME", 1, 96, 128).scan

    def call(_: int) -> list[NDArray[np.float32]]:
        return [one.values for one in explain(scan, run)[0]]

    expected = call(0)
    with ThreadPoolExecutor(threads) as pool:
        same = [
            all(map(np.array_equal, maps, expected))
            for maps in pool.map(call, range(threads * calls))
        ]
    return {"threads": threads, "calls": calls, "different": same.count(False)}


def seconds_on_gpu(work: Callable[[], Any], repeats: int = 10) -> float:
    """Of one piece of work, all that it started included; three before, which choose kernels."""
    for _ in range(3):
        work()
    torch.cuda.synchronize()
    start = time.perf_counter()
    for _ in range(repeats):
        work()
    torch.cuda.synchronize()
    return (time.perf_counter() - start) / repeats


def on_gpu(size: int, batch: int = 64) -> dict[str, Any] | None:
    """Maps a second at a large batch, all on the device, and the ratio to the limit there, by
    architecture; None without a GPU.
    """
    if not torch.cuda.is_available():
        return None
    rates, ratios = {}, {}
    for name in ARCHITECTURES:
        one = subject(name, size, "cuda", batch)
        made = len(ours(one)) * batch
        spent = seconds_on_gpu(lambda one=one: ours(one))  # type: ignore[misc]
        least = seconds_on_gpu(lambda one=one: limit(one))  # type: ignore[misc]
        rates[name], ratios[name] = round(made / spent), round(spent / least, 3)
        del one
        torch.cuda.empty_cache()
    return {
        "device": torch.cuda.get_device_name(),
        "batch": batch,
        "maps_per_second": rates,
        "ratio_to_limit": ratios,
    }


def report(subjects: list[Subject], seconds: dict[str, list[float]], size: int) -> dict[str, Any]:
    memory = {}
    for name, work in LIBRARIES.items():
        memory[name] = peak_mb(lambda work=work: [work(one) for one in subjects])  # type: ignore[misc]
        _clear(subjects)
    return {
        "size": size,
        "threads": torch.get_num_threads(),
        "weights": sorted({one.weights for one in subjects}),
        "speedup_vs_grad_cam": median_ratio(seconds["pytorch_grad_cam"], seconds["ours"]),
        "ratio_to_limit": median_ratio(seconds["ours"], seconds["limit"]),
        "seconds": {name: round(statistics.median(values), 4) for name, values in seconds.items()},
        "peak_mb": memory,
        "gpu": on_gpu(size),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--size", type=int, default=224, help="pixels a side of the network's input"
    )
    parser.add_argument("--threads", type=int, default=2, help="threads torch may use")
    parser.add_argument("--repeats", type=int, default=7, help="rounds after the warm-up")
    parser.add_argument(
        "--stress",
        metavar="THREADSxCALLS",
        help="check identical maps under threads, such as 24x50",
    )
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    # The other libraries warn on every call (Captum of the hooks it sets).
    warnings.filterwarnings("ignore", category=UserWarning)
    subjects = [subject(name, options.size, "cpu") for name in ARCHITECTURES]
    result = report(subjects, measure(subjects, options.repeats), options.size)
    if options.stress:
        threads, calls = (int(part) for part in options.stress.split("x"))
        result["stress"] = stress(threads, calls)
    print(f"{'':18}{'seconds':>10}{'peak MB':>10}")
    for name in LIBRARIES:
        print(
            f"{name:18}{result['seconds'][name]:10.3f}"
            f"{result['peak_mb'][name] or float('nan'):10.0f}"
        )
    print(f"{result['ratio_to_limit']:.3f} of the limit with {result['threads']} threads")
    for name, ratio in (result["gpu"] or {}).get("ratio_to_limit", {}).items():
        print(f"{name} on the GPU: {ratio:.3f} of the limit")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
