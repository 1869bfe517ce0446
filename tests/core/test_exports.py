"""CSV files that leave the program: one writer, and no cell that a spreadsheet runs."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from oct_core import cli
from oct_core.exports import PREDICTION_COLUMNS, prediction_rows, predictions_csv, table_csv
from oct_core.types import CLASSES, GateScores, Judgement, Prediction, Reason, Verdict

PROBABILITIES = np.array([0.7, 0.2, 0.0999996, 0.0000004])


def prediction(classes: tuple[str, ...] = CLASSES, run: str = "vgg16") -> Prediction:
    order = [CLASSES.index(label) for label in classes]
    return Prediction(run, np.zeros(4, np.float32), PROBABILITIES[order], classes)


ANSWER = Verdict("answer", "CNV", 0.7, prediction_set=("CNV",))


def judgement(classes: tuple[str, ...] = CLASSES) -> Judgement:
    return Judgement(prediction(classes), ANSWER)


def rows_of(data: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(data.decode("utf-8", "surrogateescape"), newline="")))


def test_predictions_have_named_columns_and_six_decimals() -> None:
    header, row = rows_of(predictions_csv([("a, b.png", judgement())]))
    assert tuple(header) == PREDICTION_COLUMNS
    assert header[:7] == ["image", "run", "predicted", "p_CNV", "p_DME", "p_DRUSEN", "p_NORMAL"]
    assert header[7:9] == ["verdict", "reason"]
    assert header[9:-1] == ["gate_bscan", "gate_upright", "gate_familiar", "gate_change"]
    assert header[-1] == "notes" and row[-1] == ""
    noted = replace(judgement(), notes=("page 1 of 2", "damaged"))
    assert rows_of(predictions_csv([("a.png", noted)]))[1][-1] == "page 1 of 2; damaged"
    assert row[:7] == ["a, b.png", "vgg16", "CNV", "0.700000", "0.200000", "0.100000", "0.000000"]
    assert row[7:] == ["answer", "", "", "", "", "", ""], "no gate: empty, not a number"


def test_the_row_of_the_ensemble_comes_before_its_members_each_with_its_own_verdict() -> None:
    doubt = Verdict(
        "refer",
        "CNV",
        0.7,
        (
            Reason("upside down"),
            Reason("disagree", (("CNV", "vgg16/mine"), ("DME", "resnet50"))),
        ),
    )
    member = Judgement(prediction(), ANSWER, GateScores(0.25, 0.5, 1.0))
    whole = Judgement(
        prediction(run="ensemble"), doubt, GateScores(0.5, 7.0, 2.25, "upside down"), (member,)
    )
    _, first, second = rows_of(predictions_csv([("a.png", whole)]))
    assert (first[1], second[1]) == ("ensemble", "vgg16")
    assert first[7:] == [
        "refer",
        "it looks upside down: turn it; the models disagree: VGG16, mine say CNV; "
        "ResNet50 says DME",
        "0.500",
        "7.000",
        "2.250",
        "upside down",
        "",
    ]
    assert second[7:] == ["answer", "", "0.250", "0.500", "1.000", "", ""]
    assert [row[:2] for row in prediction_rows([("a.png", whole)])] == [
        ("a.png", "ensemble"),
        ("a.png", "vgg16"),
    ]


def test_a_run_with_its_classes_in_another_order_is_written_under_their_names() -> None:
    turned = predictions_csv([("a.png", judgement(("NORMAL", "DME", "CNV", "DRUSEN")))])
    assert turned == predictions_csv([("a.png", judgement())])


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_a_name_that_a_spreadsheet_would_run_gets_an_apostrophe(start: str) -> None:
    name = f"{start}HYPERLINK(1).png"
    [_, row] = rows_of(predictions_csv([(name, judgement())]))
    assert row[0] == "'" + name
    # Inside a name it stays as it is; a line break there begins no row.
    [_, row] = rows_of(predictions_csv([(f"scan{name}", judgement())]))
    assert row[0] == f"scan{name}"


def test_numbers_below_zero_stay_numbers_and_nothing_is_an_empty_cell() -> None:
    table = table_csv(["measure", "value"], [("-x", -0.5), ("gain", None)])
    assert table == b"measure,value\n'-x,-0.5\ngain,\n"


def test_a_name_that_is_not_utf_8_keeps_its_bytes() -> None:
    name = b"b\xe4d.png".decode("utf-8", "surrogateescape")
    assert b"\nb\xe4d.png,vgg16," in predictions_csv([(name, judgement())])


def test_command_line_and_viewer_write_the_same_bytes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    st = pytest.importorskip("streamlit")
    from pages.ui.viewer.predictions import table_of_all

    answers = [("=1+1.png", judgement()), ("b.png", judgement())]
    monkeypatch.setattr("oct_core.cli.predict.predict_files", lambda *_: (answers, []))
    out = tmp_path / "out.csv"
    assert cli.main(["predict", "x.png", "--out", str(out), "--device", "cpu"]) == 0
    handed: list[bytes] = []
    monkeypatch.setattr(st, "dataframe", lambda *_, **__: None)
    monkeypatch.setattr(st, "download_button", lambda _label, data, *_, **__: handed.append(data))
    table_of_all(answers)
    assert handed == [out.read_bytes()]
    assert b"\n'=1+1.png,vgg16,CNV," in handed[0]
