"""Every score of the maps of one scan: what the report sums up and the viewer shows for one map."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from oct_core.explanations.methods import ExplainableRun
from oct_core.registry import Registry
from oct_core.trust import faithfulness
from oct_core.trust.localisation import energy_inside, mass_shares, pointing_hit, retina_band
from oct_core.trust.sanity import FOLLOWS, PARTLY
from oct_core.types import Explanation, Float32Array, Mask, Scan


@dataclass(frozen=True)
class Measure:
    """One score. definition : in words, with its range. better : "higher", "lower" or "" (neither).
    source : the paper.
    """

    name: str
    title: str
    definition: str
    better: str
    source: str


MEASURES: Registry[Measure] = Registry("measure")
_RISE = "Petsiuk et al. 2018, arXiv:1806.07421"
_ADEBAYO = "Adebayo et al. 2018, arXiv:1810.03292"
_MEAN, _BLUR = "the scan's mean gray", "the blurred scan (Gaussian, 10 pixels at 224)"
_ROWS = (
    (
        "deletion_mean",
        "Deletion (mean fill)",
        f"Area under the class probability while the most relevant pixels are replaced first, by "
        f"{_MEAN}. 0 to 1.",
        "lower",
        _RISE,
    ),
    (
        "insertion_mean",
        "Insertion (mean fill)",
        f"Area under the class probability while the most relevant pixels return first into "
        f"{_MEAN}. 0 to 1.",
        "higher",
        _RISE,
    ),
    (
        "deletion_blur",
        "Deletion (blurred fill)",
        f"As deletion, with {_BLUR} behind the removed pixels. 0 to 1.",
        "lower",
        _RISE,
    ),
    (
        "insertion_blur",
        "Insertion (blurred fill)",
        f"As insertion, into {_BLUR}. 0 to 1.",
        "higher",
        _RISE,
    ),
    (
        "road",
        "ROAD",
        "Half the gap in class probability between removing the least and the most relevant 20, "
        "40, 60 and 80% of the pixels, "
        "each imputed from its surroundings. -0.5 to 0.5; 0 tells nothing.",
        "higher",
        "Rong et al. 2022, arXiv:2202.00449",
    ),
    (
        "average_drop",
        "Average drop",
        "Share of the class probability lost when only what the map shows is left. 0 to 1.",
        "lower",
        "Chattopadhay et al. 2018, arXiv:1710.11063",
    ),
    (
        "average_increase",
        "Average increase",
        "Share of scans whose class becomes more probable when only what the map shows is left. "
        "0 to 1.",
        "higher",
        "Chattopadhay et al. 2018, arXiv:1710.11063",
    ),
    (
        "pointing",
        "Pointing game",
        "Share of phantoms, among those with a lesion that the model reads rightly, where the "
        "map's largest value lies on the "
        "lesion. 0 to 1.",
        "higher",
        "Zhang et al. 2016, arXiv:1608.00507",
    ),
    (
        "energy",
        "Energy on the lesion",
        "Share of the map's sum that lies on the lesion, over the same phantoms. 0 to 1; compare "
        "it with the lesion's area.",
        "higher",
        "Wang et al. 2020, arXiv:1910.01279",
    ),
    (
        "lesion_area",
        "Lesion area",
        "Share of the picture that the lesion covers: what energy a map without any aim would "
        "have.",
        "",
        "",
    ),
    (
        "mass_retina",
        "On the retina",
        "Share of the map's sum between the inner limiting membrane and Bruch's membrane. The band "
        "is estimated from the scan; it is "
        "checked on phantoms, and can miss where a lesion breaks the layers, as CNV does.",
        "",
        "this project",
    ),
    (
        "mass_above",
        "Above the retina",
        "Share of the map's sum in the vitreous.",
        "",
        "this project",
    ),
    (
        "mass_below",
        "Below the retina",
        "Share of the map's sum in choroid and sclera.",
        "",
        "this project",
    ),
    (
        "mass_borders",
        "On the borders",
        "Share of the map's sum in the outer 3% of each side.",
        "",
        "this project",
    ),
    (
        "mass_wedges",
        "On wedges",
        "Share of the map's sum on white corners that rotation left.",
        "",
        "this project",
    ),
    (
        "no_evidence",
        "No evidence",
        "Share of scans with a map that is zero everywhere.",
        "",
        "this project",
    ),
    (
        "rank_correlation",
        "Rank correlation with random weights",
        "Spearman's correlation of the magnitudes of a map before and after blocks of the network, "
        "from the head down, get random weights. "
        "1 is the same map, 0 nothing in common. Verdict: the larger of the values with the upper "
        "half of the blocks random and with all; "
        f"below {FOLLOWS} the map follows the weights, from {PARTLY} on it fails.",
        "lower",
        _ADEBAYO,
    ),
    (
        "ssim",
        "Structural similarity with random weights",
        "SSIM (Gaussian window, sigma 1.5) of the same two maps, each scaled to its maximum. 1 is "
        "the same map. Maps that are mostly near "
        "zero are alike by this measure whatever they show, so it takes no part in the verdict.",
        "lower",
        f"Wang et al. 2004, doi:10.1109/TIP.2003.819861; {_ADEBAYO}",
    ),
)
for _row in _ROWS:
    MEASURES.add(_row[0], Measure(*_row))


def stretched(values: Float32Array, shape: tuple[int, int]) -> Float32Array:
    """A map (h, w) at another size, bilinear."""
    if values.shape == shape:
        return values
    tensor = torch.from_numpy(values)[None, None]
    sized: Float32Array = functional.interpolate(
        tensor, size=shape, mode="bilinear", align_corners=False
    )[0, 0].numpy()
    return sized


def faithfulness_scores(
    run: ExplainableRun,
    scan: Scan,
    maps: Sequence[Float32Array],
    target: str,
    fills: Sequence[str] = ("mean",),
    steps: int = faithfulness.STEPS,
    extended: bool = False,
    precision: str = "float32",
) -> list[dict[str, float]]:
    """Deletion and insertion areas of each map of one scan, by measure name; with ``extended`` also
    ROAD, drop and increase.

    maps : float32 (H, W) each, any size (the scan's, or the network's). target : the class
    followed; its probability has the run's temperature. precision : of the model's passes, see
    ``faithfulness.curves``. Takes the run's lock. Raises ExplanationError for NaN or another
    precision, UnknownNameError for another fill.
    """
    x = run.inputs([scan])
    side = int(x.shape[-1])
    # Magnitudes first: between neighbours of different sign, an average over a signed map would
    # cancel.
    magnitudes = [np.abs(values) for values in maps]
    sized = torch.stack(
        [
            faithfulness.at_network_size(one, side)
            if one.shape != (side, side)
            else torch.from_numpy(one)
            for one in magnitudes
        ]
    )
    sized = sized.to(x.device)
    many = x.expand(len(maps), -1, -1, -1)
    targets = torch.full((len(maps),), run.card.classes.index(target), device=x.device)
    temperature = run.card.temperature
    columns: dict[str, Sequence[float]] = {}
    with run.lock:
        for fill in fills:
            curves = faithfulness.curves(
                run.model, many, sized, targets, fill, steps, temperature, precision=precision
            )
            columns[f"deletion_{fill}"], columns[f"insertion_{fill}"] = (
                curves.deletion_area.tolist(),
                curves.insertion_area.tolist(),
            )
        if extended:
            masked = faithfulness.masked(
                run.model, many, sized, targets, temperature, precision=precision
            )
            road = faithfulness.road(
                run.model, many, sized, targets, temperature=temperature, precision=precision
            )
            columns["road"] = road.score.tolist()
            columns["average_drop"], columns["average_increase"] = (
                masked.drop.tolist(),
                masked.increase.tolist(),
            )
    return [{name: values[index] for name, values in columns.items()} for index in range(len(maps))]


def place_scores(
    scan: Scan, maps: Sequence[Float32Array], lesion: Mask | None = None
) -> list[dict[str, float]]:
    """Where each map lies: shares of mass by region; with a lesion mask (H, W) also the pointing
    game, energy and its area.

    maps : float32 (h, w) each, stretched to the scan if need be.
    """
    height, width = scan.pixels.shape
    band = retina_band(scan.pixels)
    found = []
    for values in (stretched(np.abs(one), (height, width)) for one in maps):
        scores = {
            f"mass_{region}": share
            for region, share in mass_shares(values, scan.pixels, band).items()
        }
        scores["no_evidence"] = float(not values.any())
        if lesion is not None and lesion.any():
            scores |= {
                "pointing": pointing_hit(values, lesion),
                "energy": energy_inside(values, lesion),
                "lesion_area": float(lesion.mean()),
            }
        found.append(scores)
    return found


def map_scores(run: ExplainableRun, scan: Scan, explanation: Explanation) -> Mapping[str, float]:
    """What the viewer shows beside one map: deletion_mean, insertion_mean and the shares of mass by
    region.
    """
    return {
        **faithfulness_scores(run, scan, [explanation.values], explanation.target)[0],
        **place_scores(scan, [explanation.values])[0],
    }
