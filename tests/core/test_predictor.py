"""Whatever answers scans is taken where answers are needed: here one without any network."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from oct_core import predict
from oct_core.cli.predict import predict_files, scan_files
from oct_core.evaluation import phantom_accuracy
from oct_core.explanations import explain_with_predictions
from oct_core.exports import predictions_csv
from oct_core.runs.ensemble import Ensemble
from oct_core.runs.predictor import Predictor, make_prediction
from oct_core.runs.weights import LoadedRun
from oct_core.scans.phantom import make_phantom
from oct_core.trust.verdict import VerdictRule, give_verdict
from oct_core.types import CLASSES, Judgement, Prediction, Scan


@dataclass(frozen=True)
class ByBrightness:
    """Calls a scan by its mean gray value: dark is NORMAL, bright CNV."""

    name: str = "by-brightness"
    title: str = "Brightness"
    colour: str = "#000000"
    classes: tuple[str, ...] = CLASSES[::-1]

    def predict(self, scans: Sequence[Scan]) -> list[Prediction]:
        return [self._one(float(scan.pixels.mean()) / 255) for scan in scans]

    def _one(self, share: float) -> Prediction:
        logits = np.array([1 - share, 0, 0, share], dtype=np.float32) * 10
        chances = np.exp(logits) / np.exp(logits).sum()
        return Prediction(self.name, logits, chances.astype(np.float64), self.classes)


def test_a_predictor_without_a_network_goes_through_files_csv_and_phantoms(tmp_path: Path) -> None:
    for name, gray in (("bright.png", 250), ("dark.png", 5)):
        Image.fromarray(np.full((64, 64), gray, dtype=np.uint8)).save(tmp_path / name)
    predictor: Predictor = ByBrightness()
    both = Ensemble((predictor, replace(predictor, name="twin")))

    def judge(scans: Sequence[Scan]) -> list[Judgement]:
        return [
            Judgement(answer, give_verdict(answer, None, VerdictRule(), None))
            for answer in both.predict(scans)
        ]

    judged, unreadable = predict_files(scan_files([tmp_path]), judge)
    rows = list(csv.DictReader(io.StringIO(predictions_csv(judged).decode())))
    assert not unreadable
    assert [(Path(row["image"]).name, row["run"], row["predicted"]) for row in rows] == [
        ("bright.png", "ensemble", "CNV"),
        ("dark.png", "ensemble", "NORMAL"),
    ]
    # The columns are in the order of CLASSES, whatever the predictor's own.
    assert float(rows[0]["p_CNV"]) == max(float(rows[0][f"p_{label}"]) for label in CLASSES)
    found = phantom_accuracy(predictor, per_class=2)
    scans = [make_phantom(label, 2_000_000 + seed).scan for label in CLASSES for seed in range(2)]
    called = [prediction.predicted for prediction in predict(scans, predictor)]
    right = [call == label for call, label in zip(called, np.repeat(CLASSES, 2), strict=True)]
    assert found["n"] == 8 and found["accuracy"] == sum(right) / 8


def test_a_run_of_one_network_is_a_predictor(demo_run: Callable[[str], LoadedRun]) -> None:
    run = demo_run("densenet121")
    predictor: Predictor = run
    assert (predictor.name, predictor.title, predictor.classes) == (
        "densenet121",
        "DenseNet121",
        CLASSES,
    )
    assert predictor.colour.startswith("#") and len(predictor.colour) == 7
    other = replace(run, card=replace(run.card, name="mine"))
    assert (other.title, other.colour) == ("DenseNet121 (mine)", run.colour)


def test_a_prediction_is_made_in_one_way_written_out(
    demo_run: Callable[[str], LoadedRun],
) -> None:
    run = demo_run("densenet121")
    card = replace(run.card, temperature=1.7)
    logits = [3.0, -1.5, 0.25, 2.0]
    found = make_prediction(card, logits)
    powers = [math.exp(logit / 1.7) for logit in logits]
    np.testing.assert_allclose(
        found.probabilities, [power / sum(powers) for power in powers], rtol=1e-12
    )
    assert (found.run, found.classes, found.logits.dtype) == (card.name, card.classes, np.float32)
    warm = replace(run, card=card)
    scan = make_phantom("DME", 3, 64, 80).scan
    [(explained, _)] = explain_with_predictions(
        scan, warm, methods=["gradcam"], layers=["denseblock4"]
    )
    [answered] = predict(scan, warm)
    np.testing.assert_allclose(explained.probabilities, answered.probabilities, atol=1e-5)
    weights = [math.exp(float(logit) / 1.7) for logit in explained.logits]
    np.testing.assert_allclose(
        explained.probabilities, [weight / sum(weights) for weight in weights], rtol=1e-12
    )


@pytest.mark.parametrize("batch_size", [1, 3])
def test_a_predictor_is_asked_a_batch_at_a_time(batch_size: int) -> None:
    sizes: list[int] = []

    class Counting(ByBrightness):
        def predict(self, scans: Sequence[Scan]) -> list[Prediction]:
            sizes.append(len(scans))
            return super().predict(scans)

    scans = [make_phantom("CNV", seed, 64, 64).scan for seed in range(4)]
    assert len(predict(scans, Counting(), batch_size)) == 4
    assert sizes == {1: [1] * 4, 3: [3, 1]}[batch_size]
