"""The gate: is a picture a B-scan, as it was recorded, like what a run was trained on?

It reads the features that fall out of the run's answer (``oct_core.models.features``), so it costs
no further pass, and it judges what the network gets: the crop, prepared. Each question has a score:
0 for the median validation scan, 1 at the threshold that 2 % of the validation scans exceed,
linearly between and beyond.

- bscan and upright: multinomial logistic regression in the principal components of the training
  scans' standardised features, between the training scans, the same scans changed (upside down,
  turned, inverted, false-coloured) and drawn pictures that are no B-scan: outlier exposure with a
  few outliers seen (Hendrycks, Mazeika & Dietterich 2019). Their log odds are the scores. A scan
  that is rather turned than all else together (as recorded, inverted, coloured, no B-scan) is
  certainly not upright: the threshold alone, set by few validation scans, lets too many pass.
- familiar: the mean of two distances to the training scans, each on its own scale of validation
  scans: the cosine distance to the fifth nearest (Sun et al. 2022), which rises where a network is
  likely to be wrong, and Mahalanobis' distance to the nearest class mean with a shrunk covariance
  (Lee et al. 2018; Ledoit & Wolf 2004), which tells devices apart.

An ensemble's score is the mean of its members', on the scale of its own validation scores. No torch
here.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oct_core.errors import CheckpointError
from oct_core.metrics.curves import auc
from oct_core.runs.files import read_predictions, write_atomically
from oct_core.scans.colour import colour_share
from oct_core.scans.edit import CHANGES
from oct_core.types import (
    Float32Array,
    FloatArray,
    GateScores,
    IntArray,
    Prediction,
    PredictionTable,
    RunCard,
    Scan,
)

FILE = "gate.npz"
FALSE_ALARMS = 0.02
"""Of the validation scans, that each threshold is exceeded by."""
DIMENSIONS = 96
NEIGHBOUR = 5
_CLIP = 8.0
"""Standard deviations that a feature may lie off the training scans' mean."""
_PENALTY = 0.01
"""Inverse strength of the logistic regression's penalty."""
_PLAIN, _PICTURE = "", "picture"
KINDS: tuple[str, ...] = (_PLAIN, *CHANGES, _PICTURE)
"""What the regression tells apart, in the order of its columns."""
_TURNS = tuple(KINDS.index(change) for change in CHANGES[:3])
COLOURED = 0.1
"""Share of coloured pixels from which on a picture counts as false-coloured."""
_CERTAIN = 9.0
"""The score of what is beyond doubt: colours, and a scan that is rather turned than anything else.
"""
GRAY_VALUES = "gray values"
"""The change of a gray picture that is taken for a false-coloured one: of another device, or gray
values that colours left.
"""


@dataclass(frozen=True, eq=False)
class Gate:
    """What was fitted for one run, arrays of float32.

    centre, scale : (D,), mean and standard deviation of the training scans' features. basis : (D,
    k), principal components. weights : (k + 1, len(KINDS)), of the regression, intercepts last.
    bank : (n, k), the training scans, of length 1. means : (classes, k). precision : (k, k).
    distances : (2, 2), median and threshold of the two distances on the validation scans. levels :
    (3, 2), median and threshold of the raw scores there, in the order of QUESTIONS.
    """

    centre: Float32Array
    scale: Float32Array
    basis: Float32Array
    weights: Float32Array
    bank: Float32Array
    means: Float32Array
    precision: Float32Array
    distances: Float32Array
    levels: Float32Array

    def scores(self, features: Float32Array) -> FloatArray:
        """float64 (N, 3), in the order of QUESTIONS, of features (N, D)."""
        return on_scale(self.measure(features), self.levels)

    def log_odds(self, features: Float32Array) -> FloatArray:
        """float64 (N, len(KINDS)) of features (N, D), up to one constant a row."""
        return self._log_odds(self._project(features))

    def _project(self, features: Float32Array) -> FloatArray:
        return project_features(features, self.centre, self.scale, self.basis)

    def _log_odds(self, projected: FloatArray) -> FloatArray:
        odds: FloatArray = projected @ self.weights[:-1] + self.weights[-1]
        return odds

    def measure(self, features: Float32Array) -> FloatArray:
        """float64 (N, 3), the scores of features (N, D) before they are put on their scale."""
        projected = self._project(features)
        odds = self._log_odds(projected)
        picture = odds[:, -1] - np.logaddexp.reduce(odds[:, :-1], axis=1)
        changed = np.logaddexp.reduce(odds[:, 1:-1], axis=1) - odds[:, 0]
        familiar = on_scale(self.measure_distances(projected), self.distances).mean(1)
        return np.stack([picture, changed, familiar], 1)

    def measure_distances(self, projected: FloatArray) -> FloatArray:
        """float64 (N, 2) of projected features (N, k): cosine distance to the fifth nearest
        training scan, Mahalanobis' distance to the nearest class.
        """
        return np.stack(
            [
                cosine_distance(projected, self.bank),
                mahalanobis(projected, self.means, self.precision),
            ],
            1,
        )


def project_features(
    features: Float32Array, centre: Float32Array, scale: Float32Array, basis: Float32Array
) -> FloatArray:
    """(N, D) -> (N, k): standardised, clipped, in principal components."""
    standard = (np.asarray(features, dtype=np.float64) - centre) / scale
    return np.asarray(np.clip(standard, -_CLIP, _CLIP) @ basis, dtype=np.float64)


def _unit(rows: FloatArray) -> FloatArray:
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12))


def cosine_distance(rows: FloatArray, bank: Float32Array) -> FloatArray:
    """(N,): 1 - cosine to the NEIGHBOUR-th nearest row of ``bank``, whose rows have length 1."""
    distances = 1 - _unit(rows) @ bank.T
    place = min(NEIGHBOUR, bank.shape[0]) - 1
    return np.asarray(np.partition(distances, place, axis=1)[:, place])


def mahalanobis(rows: FloatArray, means: Float32Array, precision: Float32Array) -> FloatArray:
    """(N,): the least Mahalanobis distance to one of the means (classes, k)."""
    apart = rows[:, None] - means
    squares = np.einsum("nck,kl,ncl->nc", apart, precision, apart)
    return np.asarray(np.sqrt(np.maximum(squares.min(1), 0)))


def on_scale(raw: FloatArray, levels: NDArray[Any]) -> FloatArray:
    """Raw scores (N, q) on the scale of levels (q, 2): 0 at the first and below, 1 at the
    second.
    """
    low, high = levels[:, 0], levels[:, 1]
    return np.asarray(np.maximum((raw - low) / np.maximum(high - low, 1e-6), 0.0))


def find_levels(raw: FloatArray) -> FloatArray:
    """(q, 2): the median of each column of (N, q), and the value that FALSE_ALARMS exceed."""
    return np.stack(
        [np.median(raw, axis=0), np.quantile(raw, 1 - FALSE_ALARMS, axis=0, method="higher")], 1
    )


def compare_scores(usual: FloatArray, others: FloatArray) -> tuple[FloatArray, FloatArray]:
    """What tells other scans from usual ones by their scores (N, 3), question by question: the area
    under the ROC curve, 0.5 by chance, and the share of the others above 1. float64 (3,) each.
    """
    other = np.repeat([False, True], [len(usual), len(others)])
    scores = np.concatenate([usual, others])
    areas = np.array([auc(other, scores[:, place]) for place in range(scores.shape[1])])
    return areas, np.asarray((others > 1).mean(axis=0), dtype=np.float64)


@dataclass(frozen=True, eq=False)
class Samples:
    """Features (N, D) that a gate is fitted on.

    train, labels : the training scans, as recorded, and their classes. plain : further scans as
    recorded, such as corrupted ones. changed : by change, one of CHANGES. pictures : of no B-scan.
    validation : scans as recorded that decide the thresholds.
    """

    train: Float32Array
    labels: IntArray
    plain: Float32Array
    changed: Mapping[str, Float32Array]
    pictures: Float32Array
    validation: Float32Array


def fit_gate(samples: Samples) -> Gate:
    """The gate of a run; the same samples give the same one."""
    from sklearn.covariance import LedoitWolf
    from sklearn.linear_model import LogisticRegression

    centre, scale = samples.train.mean(0), samples.train.std(0) + np.float32(1e-6)
    standard = np.clip((samples.train - centre) / scale, -_CLIP, _CLIP)
    _, _, components = np.linalg.svd(standard - standard.mean(0), full_matrices=False)
    basis = np.ascontiguousarray(components[:DIMENSIONS].T, dtype=np.float32)

    def project(features: Float32Array) -> FloatArray:
        return project_features(features, centre, scale, basis)

    groups = [
        np.concatenate([samples.train, samples.plain]),
        *(samples.changed[change] for change in CHANGES),
        samples.pictures,
    ]
    kinds = np.repeat(np.arange(len(groups)), [len(group) for group in groups])
    regression = LogisticRegression(C=_PENALTY, solver="newton-cholesky")
    regression.fit(project(np.concatenate(groups)), kinds)
    weights = np.concatenate([regression.coef_.T, regression.intercept_[None]])

    train = project(samples.train)
    classes, place = np.unique(samples.labels, return_inverse=True)
    means = np.stack([train[place == k].mean(0) for k in range(len(classes))])
    shrunk = LedoitWolf(assume_centered=True).fit(train - means[place])
    gate = Gate(
        centre=centre,
        scale=scale,
        basis=basis,
        weights=weights.astype(np.float32),
        bank=_unit(train).astype(np.float32),
        means=means.astype(np.float32),
        precision=shrunk.precision_.astype(np.float32),
        distances=np.zeros((2, 2), np.float32),
        levels=np.zeros((3, 2), np.float32),
    )
    distances = find_levels(gate.measure_distances(project(samples.validation)))
    gate = replace(gate, distances=distances.astype(np.float32))
    levels = find_levels(gate.measure(samples.validation))
    return replace(gate, levels=levels.astype(np.float32))


def write_gate(folder: Path, gate: Gate) -> str:
    """Write gate.npz of the run in ``folder``; returns its sha256."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **vars(gate))
    write_atomically(folder / FILE, buffer.getvalue())
    return hashlib.sha256(buffer.getvalue()).hexdigest()


def read_gate(card: RunCard) -> Gate | None:
    """The gate of a run, None if none has been fitted; raises CheckpointError for a damaged one, or
    one that is not of the run's card or weights.
    """
    about = card.raw.get("gate")
    if not about:
        return None
    path = card.folder / FILE
    try:
        data = path.read_bytes()
        sound = (
            hashlib.sha256(data).hexdigest() == about["sha256"]
            and about["weights_sha256"] == card.weights_sha256
        )
        if not sound:
            raise ValueError("it is not the file of the run's card")
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            return Gate(**{field.name: arrays[field.name] for field in fields(Gate)})
    except (OSError, ValueError, KeyError, TypeError, EOFError) as error:
        raise CheckpointError(
            "{path} cannot be used ({error}); fit it anew: python -m oct_core gate {run} --data "
            "DATA",
            path=path,
            error=error,
            run=card.name,
        ) from error


@dataclass(frozen=True, eq=False)
class Gates:
    """The gates of one run or of several that are asked together.

    gates : by run name. levels : (3, 2), median and threshold of the mean of the members' scores on
    the validation scans.
    """

    gates: Mapping[str, Gate]
    levels: FloatArray

    def score(self, scan: Scan, predictions: Sequence[Prediction]) -> GateScores | None:
        """The scores of a scan that was read; None if a prediction has no features.

        predictions : one a run. A picture in colour is false-coloured, whatever its gray values
        look like.
        """
        pairs = [
            (self.gates[prediction.run], prediction.features[None])
            for prediction in predictions
            if prediction.features is not None
        ]
        if len(pairs) < len(predictions):
            return None
        scores = self._combine([gate.scores(features) for gate, features in pairs])
        bscan, upright, familiar = map(float, scores[0])
        odds = [gate.log_odds(features)[0] for gate, features in pairs]
        turned = float(np.mean([_turned(row) for row in odds])) > 0
        if turned:
            upright = max(upright, _CERTAIN)
        change = _change(scan, odds, turned) if upright > 1 else ""
        coloured = colour_share(scan) > COLOURED
        if coloured:
            upright, change = max(upright, _CERTAIN), "false colour"
        elif change == "false colour":
            change = GRAY_VALUES
        return GateScores(bscan, upright, familiar, change)

    def of_tables(self, tables: Sequence[PredictionTable]) -> FloatArray | None:
        """float64 (N, 3) of the same scans in each table, one a run; None without their scores."""
        rows = [table.gate for table in tables if table.gate is not None]
        return self._combine(rows) if rows and len(rows) == len(tables) else None

    def _combine(self, scores: Sequence[FloatArray]) -> FloatArray:
        if len(scores) == 1:
            return scores[0]
        return on_scale(np.mean(scores, axis=0), self.levels)


def _turned(odds: FloatArray) -> float:
    """Log odds (len(KINDS),) -> the log odds of a turned scan against everything else."""
    others = [place for place in range(len(KINDS)) if place not in _TURNS]
    return float(np.logaddexp.reduce(odds[list(_TURNS)]) - np.logaddexp.reduce(odds[others]))


def _change(scan: Scan, odds: Sequence[FloatArray], turned: bool) -> str:
    """What was done to a changed scan, one of CHANGES: inverted, where its layout says so, else
    what most of the members take it for; "" for no B-scan.
    """
    from oct_core.scans.likeness import looks_inverted  # loads scipy, pages need it later

    if not turned and looks_inverted(scan):
        return "inverted"
    places = list(_TURNS) if turned else list(range(1, len(KINDS)))
    votes = [KINDS[places[int(row[places].argmax())]] for row in odds]
    change = max(votes, key=votes.count)
    return "" if change == _PICTURE else change


def read_gates(cards: Sequence[RunCard]) -> Gates | None:
    """The gates of those runs; None unless each has one and its validation scans' scores. Raises
    CheckpointError as ``read_gate`` does.
    """
    gates = {card.name: gate for card in cards if (gate := read_gate(card)) is not None}
    if len(gates) < len(cards):
        return None
    by_scan = []
    for card in cards:
        table = read_predictions(card.folder).of_split("val")
        if table.gate is None:
            return None
        by_scan.append(dict(zip(table.sha256.tolist(), table.gate, strict=True)))
    common = [key for key in by_scan[0] if all(key in other for other in by_scan)]
    if not common:
        return None
    means = np.mean([[scores[key] for key in common] for scores in by_scan], axis=0)
    return Gates(gates, find_levels(means))
