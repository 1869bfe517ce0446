"""Does a map depend on what the network learned? Cascading parameter randomisation.

Adebayo et al. 2018, "Sanity Checks for Saliency Maps", arXiv:1810.03292, section 3: the weights are
replaced by fresh random ones from the head downwards, block by block, and the maps before and after
are compared. A map that stays the same shows the picture, not the network.

The model is copied; the run is left as it was. Fresh weights are He normal as in torchvision, and
the batch norms among them measure their statistics anew on the scans: with the old ones, a deep
random network gives dead or exploding activations, and a map could change for that reason alone.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy import ndimage, stats
from torch import Tensor, nn

from oct_core.errors import ExplanationError
from oct_core.explanations.api import explain, select_layers
from oct_core.explanations.capture import capture
from oct_core.explanations.methods import ExplainableRun
from oct_core.models.catalog import ARCHITECTURES
from oct_core.models.networks import GrayClassifier, first_modules
from oct_core.runs.turns import ModelLock
from oct_core.scans.preprocess import Rows
from oct_core.trust.randomisation import half_depth, verdict
from oct_core.types import Explanation, Float32Array, FloatArray, RunCard, Scan

HEAD = "head"


@dataclass(frozen=True, eq=False)
class ModelRun:
    """A model that is no loaded run (a randomised copy, a toy), in the form that ``explain`` takes.

    prepare : scans -> (N, 1, S, S). layers : name -> module of this model.
    """

    card: RunCard
    model: nn.Module
    lock: ModelLock
    layers: dict[str, nn.Module]
    prepare: Callable[[Sequence[Scan]], Tensor]

    def inputs(self, scans: Sequence[Scan]) -> Tensor:
        """(N, 1, S, S) in [0, 1]."""
        return self.prepare(scans)

    def rows(self, scan: Scan) -> Rows:
        """All of them: what it is given is what its model sees."""
        height = scan.pixels.shape[0]
        return Rows(0, height, height)


@dataclass(frozen=True, eq=False)
class Stage:
    """One step of the cascade. depth : blocks that are random, 0 is the trained model. name : the
    block made random last.

    maps : [scan][map], as ``explain`` gives them; all at the network's size.
    """

    depth: int
    name: str
    maps: list[list[Explanation]]


@dataclass(frozen=True)
class Similarity:
    """How alike two stages' maps are, by scan: float64 (N,). rank_correlation and ssim : 1 is the
    same map, 0 nothing alike.
    """

    method: str
    layer: str
    depth: int
    stage: str
    rank_correlation: FloatArray
    ssim: FloatArray


def rank_correlation(first: Float32Array, second: Float32Array) -> float:
    """Spearman's rank correlation of the magnitudes of two maps, -1 to 1; ties share ranks (agrees
    with scipy.stats.spearmanr).

    Two maps without variation are the same (1); if only one has none, they have nothing in common
    (0).
    """
    one, two = _pair(first, second)
    flat = [np.ptp(values) == 0 for values in (one, two)]
    if any(flat):
        return float(all(flat))
    ranks = [stats.rankdata(values) for values in (one, two)]
    return float(np.corrcoef(*ranks)[0, 1])


def _pair(first: Float32Array, second: Float32Array) -> tuple[FloatArray, FloatArray]:
    if first.shape != second.shape or first.ndim != 2:
        raise ExplanationError(
            "expected two maps (H, W) of one shape, got {first} and {second}; stretch one to "
            "the other",
            first=first.shape,
            second=second.shape,
        )
    if not (np.isfinite(first).all() and np.isfinite(second).all()):
        raise ExplanationError(
            "expected finite map values, got NaN or infinity; explain the scan again"
        )
    return np.abs(first.astype(np.float64)), np.abs(second.astype(np.float64))


def ssim(first: Float32Array, second: Float32Array) -> float:
    """Structural similarity of the magnitudes of two maps, each scaled to [0, 1] by its maximum: -1
    to 1, 1 is the same.

    Wang et al. 2004, doi:10.1109/TIP.2003.819861: Gaussian window (sigma 1.5), K1 0.01, K2 0.03.
    Agrees with scikit-image's structural_similarity(gaussian_weights=True,
    use_sample_covariance=False, data_range=1).
    """
    one, two = (values / (values.max(initial=0.0) or 1.0) for values in _pair(first, second))

    def local_mean(values: FloatArray) -> FloatArray:
        return np.asarray(ndimage.gaussian_filter(values, 1.5, truncate=3.5), dtype=np.float64)

    mean_one, mean_two = local_mean(one), local_mean(two)
    variances = local_mean(one * one) - mean_one**2 + local_mean(two * two) - mean_two**2
    covariance = local_mean(one * two) - mean_one * mean_two
    like = (2 * mean_one * mean_two + 0.01**2) * (2 * covariance + 0.03**2)
    values = like / ((mean_one**2 + mean_two**2 + 0.01**2) * (variances + 0.03**2))
    edge = 5  # scikit-image leaves the half window at the edges out
    inner = values[edge:-edge, edge:-edge] if min(values.shape) > 2 * edge else values
    return float(inner.mean())


def chance_correlation(cells: int) -> float:
    """How far from 0 the rank correlation of two unrelated maps of so many cells lies in one case
    of twenty: 1.96 / sqrt(cells - 1).
    """
    return 1.0 if cells < 3 else min(1.0, 1.96 / math.sqrt(cells - 1))


def layer_grid(run: ExplainableRun, layer: str, scan: Scan) -> tuple[int, int]:
    """(h, w) of the output of a named layer; raises ExplanationError for a layer that does not
    exist.
    """
    modules, x = select_layers(run.layers, [layer]), run.inputs([scan])
    with run.lock, torch.no_grad(), capture(modules) as captured:
        run.model(x)
    height, width = captured.outputs[layer].shape[2:]
    return int(height), int(width)


def blocks(model: GrayClassifier, architecture: str) -> list[tuple[str, list[nn.Module]]]:
    """The leaf modules with parameters by block, from the head down to the first named layer; each
    module stands once.
    """
    layers = list(ARCHITECTURES.get(architecture).layers)
    ends = [first_modules(model, architecture, count) for count in range(len(layers) + 1)]
    leaves = [module for module in model.backbone.modules() if not any(module.children())]
    parts = [(name, ends[index + 1][len(ends[index]) :]) for index, name in enumerate(layers)]
    parts.append((HEAD, leaves[len(ends[-1]) :]))
    return [
        (name, [leaf for leaf in part if any(True for _ in leaf.parameters())])
        for name, part in reversed(parts)
    ]


@torch.no_grad()
def randomise(modules: Iterable[nn.Module], generator: torch.Generator) -> None:
    """Fresh weights in place: He normal for convolutions, normal (0.01) for linear layers, ones and
    zeros for batch norms.
    """
    for module in modules:
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(
                module.weight, mode="fan_out", nonlinearity="relu", generator=generator
            )
        elif isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, 0.0, 0.01, generator=generator)
        elif isinstance(module, nn.BatchNorm2d):
            module.reset_parameters()
        else:
            raise ExplanationError(
                "expected convolutions, linear layers and batch norms, got {kind}; extend "
                "sanity.randomise",
                kind=type(module).__name__,
            )
        bias = getattr(module, "bias", None)
        if bias is not None:
            bias.zero_()


@torch.no_grad()
def _measure_statistics(model: nn.Module, norms: Sequence[nn.BatchNorm2d], x: Tensor) -> None:
    """One pass in which the given batch norms, and only they, take the mean and variance of these
    scans.
    """
    for norm in norms:
        norm.momentum = None
        norm.reset_running_stats()
        norm.train()
    try:
        model(x)
    finally:
        for norm in norms:
            norm.eval()


def cascade(
    run: ExplainableRun,
    scans: Sequence[Scan],
    methods: Sequence[str] | None = None,
    layers: Sequence[str] | None = None,
    seed: int = 0,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[Stage]:
    """Maps of the trained model (depth 0) and of copies with more and more random blocks, head
    first.

    Parameters
    ----------
    run : a loaded run; only copied, under its lock.
    scans : at least one. Each map explains the class that the TRAINED model predicts, at every
    depth.
    methods, layers : as in ``explain``. seed : of the fresh weights. progress : called with (stages
    done, stages in all).

    Returns one Stage a depth, len(layers of the architecture) + 2 in all.
    Raises ExplanationError for no scan, and as ``explain`` does.
    """
    if not scans:
        raise ExplanationError(
            "expected at least one scan to compare maps on, got none; pass a phantom"
        )
    with run.lock, torch.no_grad():
        x = run.inputs(scans)
        model = copy.deepcopy(run.model)
        targets = model(x).argmax(1).tolist()
    if not isinstance(model, GrayClassifier):
        raise ExplanationError(
            "expected a network of this project (GrayClassifier), got {kind}; load the run anew",
            kind=type(model).__name__,
        )
    small = _at_input_size(x)
    paths = {
        name: path
        for path, module in run.model.named_modules()
        for name, layer in run.layers.items()
        if module is layer
    }
    copied = ModelRun(
        run.card,
        model,
        ModelLock(),
        {name: model.get_submodule(paths[name]) for name in run.layers},
        lambda _: x,
    )
    parts, generator = blocks(model, run.card.architecture), torch.Generator().manual_seed(seed)
    model.cpu()  # the generator is the CPU's, so that a seed gives the same weights on every device
    stages: list[Stage] = []
    norms: list[nn.BatchNorm2d] = []
    for depth, (name, modules) in enumerate([("trained", []), *parts]):
        model.cpu()
        randomise(modules, generator)
        norms += [module for module in modules if isinstance(module, nn.BatchNorm2d)]
        model.to(x.device)
        _measure_statistics(model, norms, x)
        stages.append(
            Stage(
                depth, name, explain(small, copied, targets, methods, layers, batch_size=len(small))
            )
        )
        progress(depth + 1, len(parts) + 1)
    return stages


def _at_input_size(x: Tensor) -> list[Scan]:
    """Stand-ins whose size makes ``explain`` give maps at the network's own size."""
    return [Scan((gray * 255).round().byte().cpu().numpy()) for gray in x[:, 0]]


def compare(stages: Sequence[Stage]) -> list[Similarity]:
    """Each random stage against the trained one, map by map; raises ExplanationError without a
    trained stage.
    """
    if not stages or stages[0].depth != 0:
        raise ExplanationError("expected the stages that cascade gives, the trained one first")
    trained = stages[0].maps
    found = []
    for stage in stages[1:]:
        for index, one in enumerate(trained[0]):
            pairs = [
                (before[index].values, after[index].values)
                for before, after in zip(trained, stage.maps, strict=True)
            ]
            correlations = np.array([rank_correlation(*pair) for pair in pairs])
            found.append(
                Similarity(
                    one.method,
                    one.layer,
                    stage.depth,
                    stage.name,
                    correlations,
                    np.array([ssim(*pair) for pair in pairs]),
                )
            )
    return found


def verdicts(similarities: Sequence[Similarity]) -> Mapping[tuple[str, str], str]:
    """(method, layer) -> the verdict in words, from the mean over scans."""
    means = {
        (one.method, one.layer, one.depth): float(one.rank_correlation.mean())
        for one in similarities
    }
    deepest = max((one.depth for one in similarities), default=0)
    return {
        (method, layer): verdict(means[method, layer, half_depth(deepest)], whole)
        for (method, layer, depth), whole in means.items()
        if depth == deepest
    }


__all__ = [
    "ModelRun",
    "Similarity",
    "Stage",
    "blocks",
    "cascade",
    "chance_correlation",
    "compare",
    "half_depth",
    "layer_grid",
    "randomise",
    "rank_correlation",
    "ssim",
    "verdict",
    "verdicts",
]
