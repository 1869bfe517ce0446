"""The gate: its distances against other libraries and literal twins, its scale, what it notices,
its file, and several gates asked together.
"""

from __future__ import annotations

import json
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.distance import mahalanobis as scipy_mahalanobis
from sklearn.covariance import LedoitWolf
from sklearn.neighbors import NearestNeighbors

from oct_core.errors import CheckpointError
from oct_core.runs.files import SCHEMA, write_card, write_predictions
from oct_core.scans.edit import CHANGES, invert
from oct_core.scans.phantom import make_phantom
from oct_core.trust.gate import (
    FILE,
    KINDS,
    NEIGHBOUR,
    Gate,
    Gates,
    Samples,
    cosine_distance,
    find_levels,
    fit_gate,
    mahalanobis,
    on_scale,
    read_gate,
    read_gates,
    write_gate,
)
from oct_core.types import (
    CLASSES,
    Float32Array,
    FloatArray,
    GateScores,
    Prediction,
    PredictionTable,
    RunCard,
    Scan,
)

D = 12
GRAY = Scan(np.zeros((32, 32), np.uint8))


def around(place: int, count: int, seed: int, size: float = 8.0) -> Float32Array:
    """Features that lie around one corner of a space of D dimensions."""
    centre = np.zeros(D)
    centre[place] = size
    rng = np.random.default_rng([place, seed])
    return (centre + rng.standard_normal((count, D))).astype(np.float32)


def samples(seed: int = 0) -> Samples:
    """Training scans of two classes, each change and pictures in corners of their own."""
    train = np.concatenate([around(0, 60, seed), around(1, 60, seed)])
    return Samples(
        train=train,
        labels=np.repeat([0, 1], 60),
        plain=around(0, 20, seed + 1),
        changed={change: around(2 + k, 40, seed) for k, change in enumerate(CHANGES)},
        pictures=around(2 + len(CHANGES), 40, seed),
        validation=np.concatenate([around(0, 100, seed + 2), around(1, 100, seed + 2)]),
    )


@pytest.fixture(scope="module")
def gate() -> Gate:
    return fit_gate(samples())


def test_mahalanobis_is_that_of_scipy_to_the_nearest_mean_and_of_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    rows, means = rng.standard_normal((7, 4)), rng.standard_normal((3, 4)).astype(np.float32)
    fitted = LedoitWolf(assume_centered=True).fit(rng.standard_normal((30, 4)))
    precision = fitted.precision_.astype(np.float32)
    found = mahalanobis(rows, means, precision)
    for row, value in zip(rows, found, strict=True):
        expected = min(scipy_mahalanobis(row, mean, precision) for mean in means)
        assert value == pytest.approx(expected, rel=1e-5)
        literal = min(
            sum(
                (row[i] - mean[i]) * precision[i, j] * (row[j] - mean[j])
                for i in range(4)
                for j in range(4)
            )
            ** 0.5
            for mean in means
        )
        assert value == pytest.approx(float(literal), rel=1e-5)
    to_origin = mahalanobis(rows, np.zeros((1, 4), np.float32), precision)
    np.testing.assert_allclose(to_origin**2, fitted.mahalanobis(rows), rtol=1e-4)


@pytest.mark.parametrize("held", [3, 5, 20])
def test_cosine_distance_is_that_of_scikit_learn_to_the_fifth_neighbour(held: int) -> None:
    rng = np.random.default_rng(1)
    rows, bank = rng.standard_normal((6, 5)), rng.standard_normal((held, 5))
    unit = (bank / np.linalg.norm(bank, axis=1, keepdims=True)).astype(np.float32)
    found = cosine_distance(rows, unit)
    neighbours = NearestNeighbors(n_neighbors=min(NEIGHBOUR, held), metric="cosine").fit(bank)
    np.testing.assert_allclose(found, neighbours.kneighbors(rows)[0][:, -1], atol=1e-6)
    for row, value in zip(rows, found, strict=True):
        apart = sorted(
            1 - sum(a * b for a, b in zip(row, other, strict=True)) / np.hypot.reduce(row)
            for other in unit
        )
        assert value == pytest.approx(float(apart[min(NEIGHBOUR, held) - 1]), abs=1e-6)


def test_the_scale_is_0_at_the_median_and_below_and_1_where_2_percent_exceed() -> None:
    rng = np.random.default_rng(2)
    raw = np.stack([rng.standard_normal(500), rng.exponential(size=500)], 1)
    levels = find_levels(raw)
    np.testing.assert_allclose(levels[:, 0], np.median(raw, axis=0))
    for column, (_, high) in zip(raw.T, levels, strict=True):
        assert (column > high).sum() == sorted(column)[::-1].index(high) <= 0.02 * 500
    scaled = on_scale(
        np.stack([levels[:, 0] - 3, levels[:, 0], levels.mean(1), levels[:, 1]]), levels
    )
    np.testing.assert_allclose(scaled, np.repeat([[0.0], [0.0], [0.5], [1.0]], 2, 1))
    beyond = on_scale(levels[None, :, 0] + 3 * (levels[:, 1] - levels[:, 0]), levels)
    np.testing.assert_allclose(beyond, 3.0)
    same = find_levels(np.ones((9, 1)))
    assert np.isfinite(on_scale(np.ones((2, 1)), same)).all()


def test_two_percent_of_the_validation_scans_are_above_each_threshold(gate: Gate) -> None:
    scores = gate.scores(samples().validation)
    assert scores.shape == (200, 3) and (scores >= 0).all()
    assert ((scores > 1.0001).sum(0) <= 4).all(), "2 % of 200"
    assert ((scores > 0.9999).sum(0) >= 4).all()


def test_pictures_and_each_change_are_noticed_and_named(gate: Gate) -> None:
    assert list(KINDS) == ["", *CHANGES, "picture"]
    assert (gate.scores(around(2 + len(CHANGES), 20, 9))[:, 0] > 1).mean() > 0.9
    for place, change in enumerate(CHANGES):
        features = around(2 + place, 20, 9)
        assert (gate.scores(features)[:, 1] > 1).mean() > 0.9, change
        found = [one_gate(gate, row) for row in features]
        named = "gray values" if change == "false colour" else change
        assert [scores.change for scores in found].count(named) > 17
        turned = change in CHANGES[:3]
        assert (sum(scores.upright >= 9 for scores in found) > 17) is turned, change
    unknown = around(D - 1, 20, 9, 12.0)
    assert (gate.scores(unknown)[:, 2] > 1).mean() > 0.9, "nothing of the kind was ever seen"
    fresh = np.concatenate([around(0, 100, 11), around(1, 100, 11)])
    assert ((gate.scores(fresh) > 1).mean(0) < 0.08).all()


def test_the_raw_scores_are_the_log_odds_written_out(gate: Gate) -> None:
    features = np.concatenate([around(0, 2, 5), around(4, 2, 5)])
    raw = gate.measure(features)
    for row, values in zip(features, raw, strict=True):
        standard = np.clip((row.astype(np.float64) - gate.centre) / gate.scale, -8, 8)
        odds = np.exp(standard @ gate.basis @ gate.weights[:-1] + gate.weights[-1])
        assert values[0] == pytest.approx(np.log(odds[-1] / odds[:-1].sum()), rel=1e-6)
        assert values[1] == pytest.approx(np.log(odds[1:-1].sum() / odds[0]), rel=1e-6)


def test_the_same_samples_give_the_same_gate(gate: Gate) -> None:
    again = fit_gate(samples())
    for field in fields(Gate):
        ours, theirs = getattr(gate, field.name), getattr(again, field.name)
        np.testing.assert_array_equal(ours, theirs)
        assert ours.dtype == np.float32
    assert gate.weights.shape == (D + 1, len(KINDS)) and gate.means.shape == (2, D)
    np.testing.assert_allclose(np.linalg.norm(gate.bank, axis=1), 1, rtol=1e-5)


def run_card(folder: Path, name: str = "mine", raw: dict[str, object] | None = None) -> RunCard:
    folder.mkdir(exist_ok=True)
    return RunCard(name, folder, "done", "vgg16", CLASSES, {}, "ab" * 32, 1.0, 1, raw or {})


def with_gate(folder: Path, gate: Gate, name: str = "mine") -> RunCard:
    """A run with that gate, and its card on disk."""
    card = run_card(folder, name)
    about = {"sha256": write_gate(folder, gate), "weights_sha256": card.weights_sha256}
    raw = {
        "schema": SCHEMA,
        "status": "done",
        "architecture": "vgg16",
        "classes": CLASSES,
        "preprocessing": {},
        "gate": about,
    }
    write_card(folder, raw)
    return replace(card, raw=raw)


def test_a_gate_is_read_as_it_was_written_and_holds_no_pickle(gate: Gate, tmp_path: Path) -> None:
    card = with_gate(tmp_path, gate)
    found = read_gate(card)
    assert found is not None
    for field in fields(Gate):
        np.testing.assert_array_equal(getattr(found, field.name), getattr(gate, field.name))
    with np.load(tmp_path / FILE, allow_pickle=False) as arrays:
        assert set(arrays.files) == {field.name for field in fields(Gate)}
    assert write_gate(tmp_path, gate) == card.raw["gate"]["sha256"], "the same bytes each time"


def test_a_run_without_a_gate_has_none(tmp_path: Path) -> None:
    assert read_gate(run_card(tmp_path)) is None
    assert read_gate(run_card(tmp_path, raw={"gate": {}})) is None
    assert read_gates([run_card(tmp_path)]) is None


@pytest.mark.parametrize("fault", ["cut", "gone", "other weights", "card without hash"])
def test_a_gate_that_is_not_of_the_run_is_refused_with_the_way_out(
    gate: Gate, tmp_path: Path, fault: str
) -> None:
    card = with_gate(tmp_path, gate)
    file = tmp_path / FILE
    if fault == "cut":
        file.write_bytes(file.read_bytes()[:100])
    elif fault == "gone":
        file.unlink()
    elif fault == "other weights":
        card = replace(card, weights_sha256="cd" * 32)
    else:
        card = replace(card, raw={"gate": {"weights_sha256": card.weights_sha256}})
    with pytest.raises(CheckpointError) as caught:
        read_gate(card)
    words = str(caught.value)
    assert str(file) in words and "cannot be used" in words
    assert words.endswith("fit it anew: python -m oct_core gate mine --data DATA")


def prediction(run: str, features: Float32Array | None) -> Prediction:
    return Prediction(run, np.zeros(4, np.float32), np.full(4, 0.25), CLASSES, features)


def table(gate: FloatArray | None, shas: list[str]) -> PredictionTable:
    count = len(shas)
    return PredictionTable(
        np.array(["val"] * count),
        np.array(shas),
        np.array(shas),
        np.array(shas),
        np.zeros(count, np.int64),
        np.zeros((count, 4), np.float32),
        CLASSES,
        gate,
    )


def one_gate(gate: Gate, features: Float32Array) -> GateScores:
    scores = Gates({"a": gate}, gate.levels).score(GRAY, [prediction("a", features)])
    assert scores is not None
    return scores


def test_a_turn_is_certain_where_most_of_the_models_see_it_whatever_the_threshold(
    gate: Gate, other: Gate
) -> None:
    far = np.array([[0.0, 1000.0]] * 3)
    together = Gates({"a": gate, "b": other}, far)
    turned, usual = around(2, 1, 4)[0], around(0, 1, 6)[0]
    scores = together.score(GRAY, [prediction("a", turned), prediction("b", turned)])
    assert scores is not None and scores.upright == 9 and scores.change == "upside down"
    scores = together.score(GRAY, [prediction("a", usual), prediction("b", usual)])
    assert scores is not None and scores.upright < 1 and scores.change == ""


def test_a_layout_that_is_right_when_inverted_is_told_so(gate: Gate) -> None:
    strict = Gates({"a": gate, "b": gate}, np.array([[0.0, 1.0], [-9.0, -8.0], [0.0, 1.0]]))
    phantom = make_phantom("DME", 3).scan
    pictures = around(2 + len(CHANGES), 1, 9)[0]
    told = [
        strict.score(scan, [prediction("a", pictures), prediction("b", pictures)])
        for scan in (phantom, invert(phantom))
    ]
    assert [scores.change for scores in told if scores is not None] == ["", "inverted"]


def test_what_is_no_bscan_is_not_told_to_be_turned(gate: Gate) -> None:
    strict = Gates({"a": gate, "b": gate}, np.array([[0.0, 1.0], [-9.0, -8.0], [0.0, 1.0]]))
    for features in around(2 + len(CHANGES), 10, 9):
        scores = strict.score(GRAY, [prediction("a", features), prediction("b", features)])
        assert scores is not None and scores.bscan > 1 and scores.upright > 1
        assert scores.change == ""


@pytest.fixture(scope="module")
def other() -> Gate:
    return fit_gate(samples(3))


def test_several_gates_are_the_mean_of_their_scores_on_its_own_scale(
    gate: Gate, other: Gate, tmp_path: Path
) -> None:
    gates = {"a": gate, "b": other}
    validation = {name: each.scores(samples(8).validation) for name, each in gates.items()}
    cards = []
    shas = [f"{number:064x}" for number in range(200)]
    for name, each in gates.items():
        cards.append(with_gate(tmp_path / name, each, name))
        order = np.arange(200) if name == "a" else np.arange(200)[::-1]
        rows = table(validation[name][order], [shas[place] for place in order])
        write_predictions(tmp_path / name, rows)
    together = read_gates(cards)
    assert together is not None
    mean = (validation["a"] + validation["b"]) / 2
    levels = find_levels(mean)
    np.testing.assert_allclose(together.levels, levels, atol=1e-4)

    features = around(5, 1, 4)[0]
    scores = together.score(GRAY, [prediction("a", features), prediction("b", features)])
    raw = (gate.scores(features[None]) + other.scores(features[None]))[0] / 2
    expected = np.maximum((raw - levels[:, 0]) / (levels[:, 1] - levels[:, 0]), 0)
    assert scores is not None
    found = [scores.bscan, scores.upright, scores.familiar]
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3)
    assert scores.change == CHANGES[3] and scores.upright > 1

    tables = [table(validation[name], shas) for name in gates]
    combined = together.of_tables(tables)
    assert combined is not None
    np.testing.assert_allclose(combined, on_scale(mean, levels), rtol=1e-3, atol=1e-3)
    assert ((combined > 1.001).sum(0) <= 4).all() and ((combined > 0.999).sum(0) >= 4).all()
    assert together.of_tables([tables[0], table(None, shas)]) is None
    assert together.of_tables([]) is None

    write_predictions(tmp_path / "b", table(None, shas))
    assert read_gates(cards) is None, "no scores of the second: nothing to set the scale by"
    assert read_gates([cards[0], run_card(tmp_path / "c", "c")]) is None
    elsewhere = [f"{number + 500:064x}" for number in range(200)]
    write_predictions(tmp_path / "b", table(validation["b"], elsewhere))
    assert read_gates(cards) is None, "no scan that both have"


def test_one_gate_alone_keeps_its_scale(gate: Gate) -> None:
    alone = Gates({"a": gate}, np.array([[5.0, 9.0]] * 3))
    features = around(0, 1, 6)
    scores = alone.score(GRAY, [prediction("a", features[0])])
    expected = gate.scores(features)[0]
    assert scores == GateScores(*map(float, expected), "")
    rows = np.random.default_rng(0).random((2, 3))
    np.testing.assert_array_equal(alone.of_tables([table(rows, ["x", "y"])]), rows)


def test_without_features_there_is_no_score(gate: Gate) -> None:
    gates = Gates({"a": gate, "b": gate}, np.array([[0.0, 1.0]] * 3))
    features = around(0, 1, 6)[0]
    assert gates.score(GRAY, [prediction("a", features), prediction("b", None)]) is None


def test_a_picture_in_colour_is_false_coloured_whatever_its_features_say(gate: Gate) -> None:
    gates = Gates({"a": gate}, np.array([[0.0, 1.0]] * 3))
    usual = prediction("a", around(0, 1, 6)[0])
    mask = np.zeros((32, 32), bool)
    mask[:2] = True
    few = gates.score(replace(GRAY, colour=mask), [usual])
    assert few is not None and few.change == "", "a caption's worth of colour"
    many = gates.score(replace(GRAY, colour=~mask), [usual])
    assert many is not None and many.change == "false colour" and many.upright > 1
    assert many.bscan == few.bscan and json.dumps(many.familiar) == json.dumps(few.familiar)
