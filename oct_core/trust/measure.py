"""Every score of the maps of one scan: what the report sums up and the viewer shows for one map."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from oct_core.explanations.methods import ExplainableRun
from oct_core.explanations.pieces import InPieces
from oct_core.registry import Registry
from oct_core.scans.preprocess import Rows
from oct_core.trust import faithfulness
from oct_core.trust.localisation import energy_inside, mass_shares, pointing_hit, retina_band
from oct_core.types import Explanation, Float32Array, Mask, Scan
from oct_core.words import message


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


MEASURES: Registry[Measure] = Registry(message("measure"))
_RISE = "Petsiuk et al. 2018, arXiv:1806.07421"
_ADEBAYO = "Adebayo et al. 2018, arXiv:1810.03292"
_OURS = message("this project")
_ROWS = (
    (
        "deletion_mean",
        message("Deletion (mean fill)"),
        message(
            "Area under the class probability while the most relevant pixels are replaced "
            "first, by the scan's mean gray value. 0 to 1."
        ),
        "lower",
        _RISE,
    ),
    (
        "insertion_mean",
        message("Insertion (mean fill)"),
        message(
            "Area under the class probability while the most relevant pixels return first, "
            "into the scan's mean gray value. 0 to 1."
        ),
        "higher",
        _RISE,
    ),
    (
        "deletion_blur",
        message("Deletion (blurred fill)"),
        message(
            "Like deletion, with the blurred scan (Gaussian, 10 pixels at 224) in place of "
            "the removed pixels. 0 to 1."
        ),
        "lower",
        _RISE,
    ),
    (
        "insertion_blur",
        message("Insertion (blurred fill)"),
        message("Like insertion, into the blurred scan (Gaussian, 10 pixels at 224). 0 to 1."),
        "higher",
        _RISE,
    ),
    (
        "road",
        message("ROAD"),
        message(
            "Half the difference in class probability between removing the least and the "
            "most relevant 20, 40, 60 and 80% of the pixels, each imputed from its "
            "surroundings. -0.5 to 0.5; 0 is uninformative."
        ),
        "higher",
        "Rong et al. 2022, arXiv:2202.00449",
    ),
    (
        "average_drop",
        message("Average drop"),
        message(
            "Share of the class probability lost when only what the map highlights is left. 0 to 1."
        ),
        "lower",
        "Chattopadhay et al. 2018, arXiv:1710.11063",
    ),
    (
        "average_increase",
        message("Average increase"),
        message(
            "Share of scans whose class becomes more probable when only what the map "
            "highlights is left. 0 to 1."
        ),
        "higher",
        "Chattopadhay et al. 2018, arXiv:1710.11063",
    ),
    (
        "pointing",
        message("Pointing game"),
        message(
            "Share of phantoms where the map's largest value lies on the lesion, among the "
            "phantoms with a lesion that the model classifies correctly. 0 to 1."
        ),
        "higher",
        "Zhang et al. 2016, arXiv:1608.00507",
    ),
    (
        "energy",
        message("Energy on the lesion"),
        message(
            "Share of the map's sum that lies on the lesion, over the same phantoms. 0 to "
            "1; compare it with the lesion's area."
        ),
        "higher",
        "Wang et al. 2020, arXiv:1910.01279",
    ),
    (
        "lesion_area",
        message("Lesion area"),
        message(
            "Share of the picture that the lesion covers: the energy of a map that is the "
            "same everywhere."
        ),
        "",
        "",
    ),
    (
        "mass_retina",
        message("On the retina"),
        message(
            "Share of the map's sum between the inner limiting membrane and Bruch's "
            "membrane. The band is estimated from the scan. It was checked on phantoms and "
            "can be wrong where a lesion disrupts the layers, as CNV does."
        ),
        "",
        _OURS,
    ),
    (
        "mass_above",
        message("Above the retina"),
        message("Share of the map's sum in the vitreous."),
        "",
        _OURS,
    ),
    (
        "mass_below",
        message("Below the retina"),
        message("Share of the map's sum in the choroid and sclera."),
        "",
        _OURS,
    ),
    (
        "mass_borders",
        message("On the borders"),
        message("Share of the map's sum in the outer 3% of each side."),
        "",
        _OURS,
    ),
    (
        "mass_wedges",
        message("On wedges"),
        message("Share of the map's sum on the white corners that rotation leaves."),
        "",
        _OURS,
    ),
    (
        "no_evidence",
        message("No evidence"),
        message("Share of scans with a map that is zero everywhere."),
        "",
        _OURS,
    ),
    (
        "rank_correlation",
        message("Rank correlation with random weights"),
        message(
            "Spearman's correlation of the magnitudes of a map before and after blocks of "
            "the network, from the head down, get random weights. 1 is the same map, 0 "
            "nothing in common. Verdict: the larger of the values with the upper half of "
            "the blocks random and with all; below 0.25 the map follows the weights, from "
            "0.5 on it fails."
        ),
        "lower",
        _ADEBAYO,
    ),
    (
        "ssim",
        message("Structural similarity with random weights"),
        message(
            "SSIM (Gaussian window, sigma 1.5) of the same two maps, each scaled to its "
            "maximum. 1 is the same map. Maps that are mostly near zero are alike by this "
            "measure whatever they show, so it has no part in the verdict."
        ),
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


def _seen(values: Float32Array, rows: Rows, side: int) -> Float32Array:
    """The part of a map of the whole scan that the network saw; of one in the network's own pixels
    exactly these.
    """
    height, first = rows.whole(side)
    if values.shape == (height, side):
        return values[first : first + side]
    return values[rows.at(values.shape[0])]


@dataclass(frozen=True)
class ScoreOptions:
    """How maps are scored. fills, steps : of the deletion and insertion curves. extended : ROAD,
    drop and increase too. precision : of the model's passes, see ``faithfulness.Trial``.
    """

    fills: tuple[str, ...] = ("mean",)
    steps: int = faithfulness.STEPS
    extended: bool = False
    precision: str = "float32"


def faithfulness_scores(
    run: ExplainableRun,
    scan: Scan,
    maps: Sequence[Float32Array],
    target: str,
    options: ScoreOptions | None = None,
) -> list[dict[str, float]]:
    """Deletion and insertion areas of each map of one scan, by measure name; with
    ``options.extended`` also ROAD, drop and increase.

    maps : float32 (H, W) each, any size (the scan's, or the network's). target : the class
    followed; its probability has the run's temperature. Takes the run's lock. Raises
    ExplanationError for NaN or another precision, UnknownNameError for another fill.
    """
    options = options or ScoreOptions()
    x = run.inputs([scan])
    side = int(x.shape[-1])
    # Magnitudes first: between neighbours of different sign, an average over a signed map would
    # cancel.
    rows = run.rows(scan)
    magnitudes = [np.abs(_seen(values, rows, side)) for values in maps]
    sized = [
        faithfulness.at_network_size(values, side)
        if values.shape != (side, side)
        else torch.from_numpy(values)
        for values in magnitudes
    ]
    trial = faithfulness.Trial(
        InPieces(run.model, run.lock),
        x.expand(len(maps), -1, -1, -1),
        torch.stack(sized).to(x.device),
        torch.full((len(maps),), run.card.classes.index(target), device=x.device),
        run.card.temperature,
        precision=options.precision,
    )
    columns: dict[str, list[float]] = {}
    with run.lock.slow():
        for fill in options.fills:
            curves = faithfulness.curves(trial, fill, options.steps)
            columns[f"deletion_{fill}"] = curves.deletion_area.tolist()
            columns[f"insertion_{fill}"] = curves.insertion_area.tolist()
        if options.extended:
            columns["road"] = faithfulness.road(trial).score.tolist()
            masked = faithfulness.masked(trial)
            columns["average_drop"] = masked.drop.tolist()
            columns["average_increase"] = masked.increase.tolist()
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
    rows = []
    for values in (stretched(np.abs(each), (height, width)) for each in maps):
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
        rows.append(scores)
    return rows


def map_scores(run: ExplainableRun, scan: Scan, explanation: Explanation) -> Mapping[str, float]:
    """What the viewer shows beside one map: deletion_mean, insertion_mean and the shares of mass by
    region.
    """
    return {
        **faithfulness_scores(run, scan, [explanation.values], explanation.target)[0],
        **place_scores(scan, [explanation.values])[0],
    }
