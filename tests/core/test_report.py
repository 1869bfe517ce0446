"""The report: what it plans, how it goes on after a stop, and how it sums up."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import stats

from oct_core.data.pack import REPORT, Pack, open_pack, prepare
from oct_core.data.split import SplitOptions
from oct_core.errors import CheckpointError, DataError, MetricError, ReportError
from oct_core.explanations.api import explain_with_predictions
from oct_core.figures.charts.explanations import REGION_TITLES
from oct_core.models.networks import build_model
from oct_core.runs.files import write_card
from oct_core.runs.weights import load_run, load_runs, weights_bytes
from oct_core.scans.phantom import make_phantom
from oct_core.scans.preprocess import Preprocessing
from oct_core.trust import report as module
from oct_core.trust.faithfulness import Trial, curves
from oct_core.trust.report import PartFile, ReportOptions, Task, plan, write_report
from oct_core.trust.report_file import merged, read_report, report_path
from oct_core.trust.report_items import PHANTOM_SEED, phantom_items, validation_items
from oct_core.trust.report_summary import mean_interval, summarise
from oct_core.trust.sanity import verdict
from oct_core.types import CLASSES

SMALL = ReportOptions(phantoms=2, validation=0, wider=0, steps=1, resamples=20, height=64, width=64)


@pytest.fixture(scope="session")
def one_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoints root with one run of random weights at 64 px."""
    folder = tmp_path_factory.mktemp("root") / "resnet50"
    folder.mkdir()
    torch.manual_seed(0)
    preprocessing = Preprocessing(size=64)
    data = weights_bytes(
        build_model("resnet50", len(CLASSES), preprocessing.mean, preprocessing.std)
    )
    (folder / "weights.safetensors").write_bytes(data)
    card = {
        "schema": 1,
        "name": "resnet50",
        "status": "done",
        "architecture": "resnet50",
        "classes": list(CLASSES),
        "preprocessing": preprocessing.to_dict(),
        "weights_sha256": hashlib.sha256(data).hexdigest(),
        "temperature": 1.1,
    }
    write_card(folder, card)
    return folder.parent


def test_every_map_is_scored_at_the_networks_size_beside_every_baseline(
    one_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "wider_methods", lambda: ["hirescam"])
    report = write_report(
        tmp_path / "report.json",
        load_runs(root=one_run),
        options=replace(SMALL, height=96, width=130, wider=1),
        root=one_run,
    )
    layers = ["stem", "layer1", "layer2", "layer3", "layer4"]
    baselines = {
        ("random_map", "input"),
        ("centred_gaussian", "input"),
        ("gradient_magnitude", "input"),
    }
    core = {("guided_backprop", "input"), *baselines} | {
        (method, layer) for method in ("gradcam", "guided_gradcam") for layer in layers
    }
    last = {
        ("hirescam", "layer4"),
        ("gradcam", "layer4"),
        ("guided_gradcam", "layer4"),
        ("guided_backprop", "input"),
        *baselines,
    }
    by_kind = {
        kind: [row for row in report["rows"] if row["kind"] == kind] for kind in ("core", "wider")
    }
    assert {(row["method"], row["layer"]) for row in by_kind["core"]} == core
    assert {(row["method"], row["layer"]) for row in by_kind["wider"]} == last
    scored = {
        "deletion_mean",
        "insertion_mean",
        "deletion_blur",
        "insertion_blur",
        "road",
        "average_drop",
        "average_increase",
    }
    assert {row["measure"] for row in by_kind["core"]} >= scored | {
        f"mass_{place}" for place in REGION_TITLES
    } | {"no_evidence"}
    run, item = load_run("resnet50", root=one_run), phantom_items(1, 96, 130)[0]
    ((prediction, (seen,)),) = explain_with_predictions(
        item.scan, run, methods=["guided_backprop"], network_size=True
    )
    height, first = run.rows(item.scan).whole(64)
    assert seen.values.shape == (height, 64)
    x, target = run.inputs([item.scan]), torch.tensor([CLASSES.index(prediction.predicted)])
    values = torch.from_numpy(seen.values[first : first + 64])[None]
    direct = curves(Trial(run.model, x, values, target, run.card.temperature), "mean", 1)
    found = {
        row["measure"]: row["value"]
        for row in by_kind["wider"]
        if row["method"] == "guided_backprop"
    }
    assert found["deletion_mean"] == pytest.approx(direct.deletion_area[0], abs=1e-4)
    assert found["insertion_mean"] == pytest.approx(direct.insertion_area[0], abs=1e-4)


def test_a_validation_scan_whose_file_is_gone_or_changed_is_not_mixed_with_the_others(
    tmp_path: Path,
) -> None:
    source = tmp_path / "scans"
    for label in CLASSES:
        for patient in range(12):
            (source / label).mkdir(parents=True, exist_ok=True)
            Image.fromarray(make_phantom(label, patient, 96, 130).pixels).save(
                source / label / f"{label}-{patient}{CLASSES.index(label)}-1.png"
            )
    prepare(
        source,
        tmp_path / "data",
        SplitOptions(repool=True, test_fraction=0.5, val_fraction=0.5),
        64,
        workers=1,
    )
    whole = validation_items(tmp_path / "data", 4)
    assert not any(item.packed for item in whole) and {
        item.scan.pixels.shape for item in whole
    } == {(96, 130)}
    changed = next(
        Path(record.path)
        for record in open_pack(tmp_path / "data").records
        if record.sha256.startswith(whole[0].key[4:])
    )
    Image.fromarray(make_phantom("CNV", 99, 96, 130).pixels).save(changed)
    with pytest.raises(DataError, match="holds the rows of the retina only"):
        validation_items(tmp_path / "data", 4)
    # In version 1 the packed picture shows the whole scan and stands in for it.
    prepared = tmp_path / "data" / REPORT
    prepared.write_text(json.dumps(json.loads(prepared.read_text()) | {"preprocessing_version": 1}))
    again = validation_items(tmp_path / "data", 4)
    assert [item.packed for item in again] == [True, False, False, False] and again[
        0
    ].scan.pixels.shape == (64, 64)
    assert again[0].key != whole[0].key


def figures_of(report: dict[str, Any]) -> list[dict[str, Any]]:
    return sorted(report["rows"], key=lambda row: json.dumps(row, sort_keys=True))


def test_stopped_in_the_middle_it_goes_on_to_the_same_rows(
    one_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = write_report(
        tmp_path / "whole.json", load_runs(root=one_run), options=SMALL, root=one_run
    )
    calls: list[str] = []
    real = module._score_scan

    def until_the_second(task: Any, *rest: Any) -> Any:
        calls.append(task.key)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(task, *rest)

    monkeypatch.setattr(module, "_score_scan", until_the_second)
    with pytest.raises(KeyboardInterrupt):
        write_report(tmp_path / "cut.json", load_runs(root=one_run), options=SMALL, root=one_run)
    part = write_report(
        tmp_path / "cut.json",
        load_runs(root=one_run),
        options=replace(SMALL, minutes=1e-9),
        root=one_run,
    )
    assert not part["complete"] and part["tasks"] == {"done": 1, "planned": 2}
    again = write_report(
        tmp_path / "cut.json", load_runs(root=one_run), options=SMALL, root=one_run
    )
    assert again["complete"] and len(calls) == 3, "the finished task is not done twice"
    assert figures_of(again) == figures_of(whole)
    found = read_report(tmp_path / "cut.json")
    assert found is not None and found.raw == json.loads(json.dumps(again))
    assert set(found.measures) >= {row["measure"] for row in found.rows} and found.sources == [
        "phantoms"
    ]


def test_one_run_is_measured_anew_and_the_others_stay_while_their_weights_do(
    one_run: Path, tmp_path: Path
) -> None:
    for name in ("resnet50", "second", "third"):
        shutil.copytree(one_run / "resnet50", tmp_path / "runs" / name)
        write_card(
            tmp_path / "runs" / name,
            json.loads((one_run / "resnet50" / "card.json").read_text()) | {"name": name},
        )
    out, root = tmp_path / "report.json", tmp_path / "runs"
    write_report(out, load_runs(["second", "third"], root=root), options=SMALL, root=root)
    (tmp_path / "report.tasks.jsonl").unlink()
    card = json.loads((root / "third" / "card.json").read_text())
    write_card(root / "third", card | {"weights_sha256": "0" * 64})
    more = replace(SMALL, phantoms=3)
    found = write_report(out, load_runs(["resnet50"], root=root), options=more, root=root)
    assert list(found["runs"]) == ["resnet50", "second"], (
        "third has other weights now: what was measured of it is gone"
    )
    assert (
        {row["run"] for row in found["rows"]}
        == {"resnet50", "second"}
        == set(found["right"])
        == set(found["lesions"])
    )
    assert {
        row["n"] for row in found["rows"] if row["run"] == "second" and row["measure"] == "road"
    } == {2}
    assert found["tasks"] == {"done": 5, "planned": 5} and found["complete"]
    assert (
        found["note"].startswith("resnet50: Measured on 3 synthetic scans only")
        and "second: Measured on 2 synthetic" in found["note"]
    )
    anew = write_report(
        out, load_runs(["second"], root=root), options=replace(more, minutes=1e-9), root=root
    )
    assert (anew["runs"]["second"]["tasks"], anew["complete"]) == (
        {"done": 0, "planned": 3},
        False,
    ), "measured anew, not mixed with the old"


def test_the_note_says_on_what_was_measured() -> None:
    def report_of(**scans: int) -> dict[str, Any]:
        return {
            "runs": {"a": {"scans": scans, "tasks": {"done": 1, "planned": 1}, "seconds": None}}
        }

    one, other = (
        report_of(phantoms=2, validation=4, packed=0),
        report_of(phantoms=2, validation=4, packed=1),
    )
    assert (
        merged(one, {})["note"]
        == "Measured on 2 synthetic scans and 4 validation scans; the test part is never used."
    )
    assert "The file of 1 scan was missing" in merged(other, {})["note"]
    other["runs"]["vgg16"] = other["runs"].pop("a")
    both = merged(one, other)
    assert (
        list(both["runs"]) == ["vgg16", "a"]
        and both["note"].startswith("vgg16: Measured")
        and " a: Measured on 2" in both["note"]
    )


def test_lines_of_other_weights_and_lines_cut_short_are_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "report.tasks.jsonl"
    items = phantom_items(4, 64, 64)
    first, second, third, other = (
        Task("core", run, (item,)) for run, item in zip(("a", "a", "a", "b"), items, strict=True)
    )
    PartFile(path, {"a": "old", "b": "kept"}).append(first, [{"kind": "core"}], 1.0)
    PartFile(path, {"a": "old", "b": "kept"}).append(other, [], 1.0)
    now = PartFile(path, {"a": "new", "b": "kept"})
    now.append(second, [], 2.0)
    with path.open("a") as file:
        file.write('{"fingerprint": "new", "key": "core/cut", "ro')
    now.append(third, [], 3.0)
    assert list(now.read()) == [other.key, second.key, third.key], (
        "only the run with other weights starts anew"
    )
    assert PartFile(tmp_path / "none", {"a": "new"}).read() == {}


def test_other_weights_or_settings_change_the_fingerprint_and_more_scans_do_not(
    one_run: Path,
) -> None:
    runs = {run.name: run for run in load_runs(root=one_run)}
    now = module._fingerprints(runs, SMALL)
    other = replace(runs["resnet50"].card, weights_sha256="0" * 64)
    changed = {"resnet50": replace(runs["resnet50"], card=other)}
    assert (
        module._fingerprints(changed, SMALL)
        != now
        != module._fingerprints(runs, replace(SMALL, steps=9))
    )
    assert module._fingerprints(runs, replace(SMALL, phantoms=9, minutes=3.0)) == now


def test_only_validation_scans_are_taken_new_patients_first(
    tiny_pack: Pack, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    digests = [hashlib.sha256(record.path.encode()).hexdigest() for record in tiny_pack.records]
    records = tuple(
        replace(record, sha256=digest)
        for record, digest in zip(tiny_pack.records, digests, strict=True)
    )
    pack = Pack(tmp_path, records, tiny_pack.pixels, tiny_pack.size, preprocessing_version=1)
    monkeypatch.setattr("oct_core.trust.report_items.open_pack", lambda folder: pack)
    items = validation_items(tmp_path, 99)
    allowed = {f"val-{record.sha256[:16]}-packed" for record in records if record.split == "val"}
    assert {item.key for item in items} == allowed and len(items) == len(allowed)
    assert [item.label for item in items[:4]] == ["CNV", "DME", "DRUSEN", "NORMAL"]
    assert all(item.source == "validation" and item.lesion is None for item in items)
    few = validation_items(tmp_path, 4)
    assert len({item.patient for item in few}) == 4
    nothing = Pack(
        tmp_path,
        tuple(replace(record, split="test") for record in tiny_pack.records),
        tiny_pack.pixels,
        tiny_pack.size,
    )
    monkeypatch.setattr("oct_core.trust.report_items.open_pack", lambda folder: nothing)
    with pytest.raises(DataError, match="no validation scan"):
        validation_items(tmp_path, 4)


def test_phantoms_take_the_classes_in_turn_from_seeds_of_their_own() -> None:
    items = phantom_items(5, 64, 64)
    assert [item.label for item in items] == ["CNV", "DME", "DRUSEN", "NORMAL", "CNV"]
    assert (
        items[4].key.endswith(str(PHANTOM_SEED + 1)) and len({item.patient for item in items}) == 5
    )


def test_the_plan_is_balanced_and_every_key_is_its_own() -> None:
    phantoms = phantom_items(4, 64, 64)
    real = [
        replace(item, key=f"val-{k}", source="validation") for k, item in enumerate(phantoms[:2])
    ]
    tasks = plan(["a", "b"], phantoms, real, ReportOptions(wider=2))
    assert len({task.key for task in tasks}) == len(tasks)
    core = [task for task in tasks if task.kind == "core"]
    assert [task.items[0].source for task in core[:8:2]] == ["phantoms", "validation"] * 2 and len(
        core
    ) == 12
    sanity = [task for task in tasks if task.kind == "sanity"]
    assert sanity == tasks[:2] and [item.source for item in sanity[0].items] == [
        "phantoms",
        "validation",
    ]


def test_the_mean_and_its_interval_equal_a_literal_bootstrap() -> None:
    values, patients = np.array([0.1, 0.4, 0.35, 0.8, 0.6]), np.array(["a", "a", "b", "c", "c"])
    found = mean_interval(values, patients, resamples=4000, seed=3)
    random, means = np.random.default_rng(0), []
    for _ in range(4000):
        drawn = random.choice(["a", "b", "c"], 3)
        means.append(
            np.mean(
                [
                    value
                    for patient in drawn
                    for value, owner in zip(values, patients, strict=True)
                    if owner == patient
                ]
            )
        )
    assert found.value == pytest.approx(values.mean())
    np.testing.assert_allclose(
        [found.low, found.high], np.percentile(means, [2.5, 97.5]), atol=0.03
    )
    alone = mean_interval([0.2, 0.4], ["a", "a"])
    assert alone.value == pytest.approx(0.3) and np.isnan([alone.low, alone.high]).all()
    with pytest.raises(MetricError, match="leave undefined ones out"):
        mean_interval([0.2, np.nan], ["a", "b"])


def test_a_proportion_that_never_fails_does_not_claim_to_be_certain() -> None:
    every = mean_interval([1.0] * 6, list("aabbcc"), proportion=True)
    expected = stats.binomtest(3, 3).proportion_ci(method="exact")
    assert (every.low, every.high) == pytest.approx((expected.low, 1))
    never = {
        one["measure"]: one
        for one in summarise(
            [row(str(k), str(k), True, pointing=0.0, energy=0.0) for k in range(6)], 20
        )["rows"]
    }
    assert never["pointing"]["high"] == pytest.approx(
        stats.binomtest(0, 6).proportion_ci(method="exact").high, abs=1e-4
    )
    assert never["energy"]["high"] == 0, "not a proportion: no resample can say more"


def row(scan: str, patient: str, right: bool, **values: float) -> dict[str, Any]:
    about = {"kind": "core", "run": "r", "method": "gradcam", "layer": "l", "source": "phantoms"}
    return about | {
        "scan": scan,
        "patient": patient,
        "right": right,
        "lesion": scan != "3",
        "values": values,
    }


def test_the_summary_counts_averages_and_judges() -> None:
    stage = {
        "kind": "sanity",
        "run": "r",
        "method": "gradcam",
        "layer": "l",
        "patients": ["p", "q"],
        "ssim": [0.5, 0.7],
    }
    rows = [
        row("1", "p", True, road=0.1, energy=0.5),
        row("2", "q", False, road=0.3),
        row("3", "q", True, road=0.2, energy=0.7),
        stage | {"depth": 2, "stage": "deep", "rank_correlation": [0.8, 0.6]},
        stage | {"depth": 1, "stage": "head", "rank_correlation": [0.1, 0.1]},
        {"kind": "skipped", "run": "r", "method": "ablationcam", "reason": "too large"},
    ]
    found = summarise(rows, resamples=50)
    table = {one["measure"]: one for one in found["rows"]}
    assert (table["road"]["n"], table["road"]["patients"], table["road"]["value"]) == (3, 2, 0.2)
    assert (table["energy"]["n"], table["energy"]["value"]) == (2, 0.6), (
        "undefined scans are left out, not counted as 0"
    )
    assert found["verdicts"] == [
        {"run": "r", "method": "gradcam", "layer": "l", "verdict": verdict(0.1, 0.7)}
    ], "half and whole"
    assert found["lesions"] == {"r": {"n": 2, "right": 1}}
    assert found["right"] == {"r": {"phantoms": {"n": 3, "right": 2}}}
    assert found["skipped"] == [{"run": "r", "method": "ablationcam", "reason": "too large"}]
    assert found["sanity"][0]["ssim"]["value"] == 0.6


def test_the_report_lies_where_the_variable_says(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("OCT_REPORT", str(tmp_path / "other.json"))
    assert report_path() == tmp_path / "other.json" and read_report() is None
    monkeypatch.delenv("OCT_REPORT")
    assert report_path().parts[-2:] == ("reports", "explanations.json")


def test_a_report_with_a_damaged_row_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"schema": 3, "rows": [{"run": "r"}], "sanity": []}')
    with pytest.raises(ReportError, match=r"complete, tasks, .*rows"):
        read_report(tmp_path / "a.json")


def test_options_and_roots_that_cannot_be_used_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="at least 1 phantom"):
        ReportOptions(phantoms=0)
    with pytest.raises(DataError, match="minutes above 0"):
        ReportOptions(minutes=0)
    with pytest.raises(DataError, match="precision of float32, bfloat16"):
        ReportOptions(precision="float16")
    with pytest.raises(CheckpointError, match="there is no finished run in"):
        load_runs(root=tmp_path)
    with pytest.raises(CheckpointError, match="expected at least one run, got none"):
        write_report(tmp_path / "out.json", [])
