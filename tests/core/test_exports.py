"""CSV files that leave the program: one writer, and no cell that a spreadsheet runs."""

from __future__ import annotations

import csv
import io
from typing import Any

import numpy as np
import pytest

from oct_core import cli
from oct_core.exports import PREDICTION_COLUMNS, predictions_csv, table_csv
from oct_core.types import CLASSES, Prediction

PROBABILITIES = np.array([0.7, 0.2, 0.0999996, 0.0000004])


def prediction(classes: tuple[str, ...] = CLASSES) -> Prediction:
    order = [CLASSES.index(label) for label in classes]
    return Prediction("vgg16", np.zeros(4, np.float32), PROBABILITIES[order], classes)


def rows_of(data: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(data.decode("utf-8", "surrogateescape"), newline="")))


def test_predictions_have_named_columns_and_six_decimals() -> None:
    header, row = rows_of(predictions_csv([("a, b.png", prediction())]))
    assert tuple(header) == PREDICTION_COLUMNS
    assert header == ["image", "run", "predicted", "p_CNV", "p_DME", "p_DRUSEN", "p_NORMAL"]
    assert row == ["a, b.png", "vgg16", "CNV", "0.700000", "0.200000", "0.100000", "0.000000"]


def test_a_run_with_its_classes_in_another_order_is_written_under_their_names() -> None:
    turned = predictions_csv([("a.png", prediction(("NORMAL", "DME", "CNV", "DRUSEN")))])
    assert turned == predictions_csv([("a.png", prediction())])


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_a_name_that_a_spreadsheet_would_run_gets_an_apostrophe(start: str) -> None:
    name = f"{start}HYPERLINK(1).png"
    [_, row] = rows_of(predictions_csv([(name, prediction())]))
    assert row[0] == "'" + name
    # Inside a name it stays as it is; a line break there begins no row.
    [_, row] = rows_of(predictions_csv([(f"scan{name}", prediction())]))
    assert row[0] == f"scan{name}"


def test_numbers_below_zero_stay_numbers_and_nothing_is_an_empty_cell() -> None:
    table = table_csv(["measure", "value"], [("-x", -0.5), ("gain", None)])
    assert table == b"measure,value\n'-x,-0.5\ngain,\n"


def test_a_name_that_is_not_utf_8_keeps_its_bytes() -> None:
    name = b"b\xe4d.png".decode("utf-8", "surrogateescape")
    assert b"\nb\xe4d.png,vgg16," in predictions_csv([(name, prediction())])


def test_command_line_and_viewer_write_the_same_bytes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    st = pytest.importorskip("streamlit")
    from pages.ui.viewer.predictions import table_of_all

    answers = [("=1+1.png", prediction()), ("b.png", prediction())]
    monkeypatch.setattr("oct_core.cli.predict.predict_files", lambda *_: (answers, []))
    out = tmp_path / "out.csv"
    assert cli.main(["predict", "x.png", "--out", str(out), "--device", "cpu"]) == 0
    handed: list[bytes] = []
    monkeypatch.setattr(st, "dataframe", lambda *_, **__: None)
    monkeypatch.setattr(st, "download_button", lambda _label, data, *_, **__: handed.append(data))
    table_of_all([name for name, _ in answers], [[each] for _, each in answers])
    assert handed == [out.read_bytes()]
    assert b"\n'=1+1.png,vgg16,CNV," in handed[0]
