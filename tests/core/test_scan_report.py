"""The report of one scan: what is in it, drawn alike as HTML and as PDF, and what never is."""

from __future__ import annotations

import hashlib
import html
import re
import zlib
from collections.abc import Iterator
from contextlib import closing
from dataclasses import fields, is_dataclass, replace
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import numpy as np
import pypdfium2
import pytest
import torch

from oct_core.figures.final_figure import FigureRow
from oct_core.figures.pictures import GUIDED_WARNING
from oct_core.models.catalog import ARCHITECTURES
from oct_core.runs.ensemble import mean_prediction
from oct_core.scan_report.content import MAPS_REMARK, ReportChoices, ScanReport, make_report
from oct_core.scan_report.html_page import html_page
from oct_core.scan_report.pdf_page import pdf_page
from oct_core.scans.edit import turn
from oct_core.scans.phantom import make_phantom
from oct_core.types import (
    CLASS_TITLES,
    CLASSES,
    Explanation,
    GateScores,
    Judgement,
    Prediction,
    Reason,
    RunCard,
    Verdict,
)
from oct_core.words import RESEARCH_LINE, language, say

NAME = "Hong^Gildong 1961 <OD_foveal>.png"
SCAN = turn(replace(make_phantom("DME", 3, 96, 160).scan, name=NAME, source="upload"), "over")
CHOICES = ReportChoices(datetime(2026, 3, 4, 5, 6, tzinfo=UTC))
TITLES = {"gradcam": "Grad-CAM", "guided_backprop": "Guided <b>", "hirescam": "HiResCAM"}
RAMP = np.linspace(0, 1, 96 * 160, dtype=np.float32).reshape(96, 160)


def row(run: str, most: float, layers: int = 1, empty: bool = False) -> FigureRow:
    """A model with a Grad-CAM of some layers and a guided map, and if asked an empty map."""
    rest = (1 - most) / 3
    answer = Prediction(run, np.zeros(4, np.float32), np.array([rest, most, rest, rest]))
    sha256 = hashlib.sha256(run.encode()).hexdigest()
    entry = ARCHITECTURES.get(run)
    raw = {"version": 2, "size": 224}
    card = RunCard(run, Path(run), "done", run, CLASSES, raw, sha256, 1.0, 1, {})
    names = list(entry.layers)[-layers:]
    maps = [Explanation(run, "gradcam", name, "DME", RAMP, False) for name in names]
    maps.append(Explanation(run, "guided_backprop", "input", "DME", RAMP - 0.5, True))
    if empty:
        maps.append(Explanation(run, "hirescam", names[0], "DME", 0 * RAMP, False))
    tops = [1.0] * len(maps)
    return FigureRow(card, entry.title, entry.colour, answer, "DME", maps, tops, TITLES)


ROWS = [row("vgg16", 0.97), row("resnet50", 0.71, empty=True), row("densenet121", 0.85)]


def judge(rows: list[FigureRow], verdict: Verdict) -> Judgement:
    """On the ensemble of several rows, or on the one."""
    alone = tuple(Judgement(each.prediction, verdict) for each in rows)
    if len(alone) == 1:
        return alone[0]
    mean = mean_prediction([each.prediction for each in rows])
    return Judgement(mean, verdict, GateScores(0.11, 0.22, 0.33), alone)


CAUTION = Verdict(
    "caution",
    "DME",
    0.843,
    (Reason("two", (("first", "DME"), ("second", "CNV"))), Reason("no sets")),
    ("CNV", "DME"),
)


def report(name: str = "en", choices: ReportChoices = CHOICES) -> ScanReport:
    with language(name):
        return make_report(SCAN, ROWS, judge(ROWS, CAUTION), choices)


def texts(part: object) -> Iterator[str]:
    """Every text of a report, but for those that only describe a picture or its colours."""
    if isinstance(part, str):
        yield part
    elif isinstance(part, tuple):
        for each in part:
            yield from texts(each)
    elif is_dataclass(part):
        for field in fields(part):
            if field.name not in ("alt", "colour", "kind", "language"):
                yield from texts(getattr(part, field.name))


def numbers(content: ScanReport) -> set[str]:
    shares = [bar.share for each in content.predictors for bar in each.bars]
    return {f"{share:.1%}" for share in shares}


def pdf_text(data: bytes) -> list[str]:
    """What can be searched on each page, without white space."""
    with closing(pypdfium2.PdfDocument(data)) as document:
        found = []
        for page in document:
            with closing(page), closing(page.get_textpage()) as text:
                found.append(re.sub(r"\s", "", text.get_text_range()))
        return found


def opened(data: bytes) -> bytes:
    """A PDF with all its streams uncompressed beside it."""
    streams = re.findall(rb"stream\r?\n(.*?)\r?\nendstream", data, re.DOTALL)
    assert len(streams) > 5
    whole = [data]
    for stream in streams:
        try:
            whole.append(zlib.decompress(stream))
        except zlib.error:  # a JPEG
            whole.append(stream)
    return b"\n".join(whole)


def test_a_report_holds_the_answers_of_all_four_and_what_they_were_made_with() -> None:
    content = report()
    titles = [each.title for each in content.predictors]
    assert titles == ["Ensemble", "VGG16", "ResNet50", "DenseNet121"]
    for each, given in zip(content.predictors[1:], ROWS, strict=True):
        assert [bar.label for bar in each.bars] == list(CLASSES)
        assert [bar.share for bar in each.bars] == pytest.approx(given.prediction.probabilities)
        assert each.colour == given.colour
    assert content.predictors[0].confidence == pytest.approx((0.97 + 0.71 + 0.85) / 3)
    facts = {fact.label: fact.value for fact in (*content.facts, *content.origin)}
    pixels = hashlib.sha256(bytes(SCAN.pixels.ravel().tolist())).hexdigest()
    assert facts["sha256 of the pixels as read, 8 bit, row by row"] == pixels
    assert facts["Size"] == "160 x 96 pixels, 8 bit"
    assert facts["How it was read"] == "; ".join(SCAN.notes) != ""
    for each in ROWS:
        assert facts[f"Weights of {each.title}, sha256"] == each.card.weights_sha256
    assert facts["Preprocessing"] == "version 2, 224 x 224 pixels"
    assert f"torch {torch.__version__.split('+')[0]}" in facts["Versions"]
    assert content.verdict == "Caution: DME, 84.3%" and len(content.reasons) == 2
    assert any("0.22" in words for words in content.grounds), "the gate's scores"
    assert content.made_words == "2026-03-04 05:06 UTC"
    assert content.remarks == (MAPS_REMARK, GUIDED_WARNING)


def test_the_maps_are_those_given_and_an_empty_one_says_what_that_means() -> None:
    groups = report().groups
    cells = [[cell for line in group.rows for cell in line] for group in groups]
    assert [len(each) for each in cells] == [2, 3, 2]
    empty = cells[1][2]
    assert empty.title == "HiResCAM, layer4"
    assert empty.caption == "nothing in this layer raises DME"
    assert "no word on whether DME is there" in empty.image.alt
    others = [cell for group in cells for cell in group if cell is not empty]
    assert all(cell.caption == "" and "no word" not in cell.image.alt for cell in others)


@pytest.mark.parametrize("name", ["en", "ko"])
def test_html_and_pdf_say_the_same_and_all_of_it(name: str) -> None:
    content = report(name)
    page, sheets = html_page(content), pdf_text(pdf_page(content))
    text = "".join(sheets)
    for words in (*texts(content), *numbers(content)):
        assert html.escape(words) in page, words
        assert re.sub(r"\s", "", words) in text, words
    assert page.count("<img ") == 1 + len(content.keys) + 7
    with language(name):
        assert all(re.sub(r"\s", "", say(RESEARCH_LINE)) in sheet for sheet in sheets)


def test_a_korean_report_is_korean() -> None:
    proper = "inferno|oct_core|torch|Python|Adebayo|guided|layer\\d|block\\d|denseblock\\d|Guided"
    for words in texts(report("ko")):
        rest = re.sub(f"{proper}|[0-9a-f]{{64}}|[A-Z]\\w+-CAM", "", words)
        assert words in TITLES.values() or not re.search("[a-z]{5,}", rest), words
    assert '<html lang="ko">' in html_page(report("ko"))


def test_the_html_needs_nothing_else_and_runs_nothing() -> None:
    page = html_page(report())
    sources = re.findall(r'(?:src|href)="([^"]*)"', page)
    assert sources and all(source.startswith("data:image/jpeg;base64,") for source in sources)
    assert not re.search(r"https?:|url\(|@import|<script|<link|<iframe| on\w+=", page)
    assert "default-src 'none'" in page and "@page { size: A4" in page
    assert "Guided &lt;b&gt;" in page and "Guided <b>" not in page


@pytest.mark.parametrize("name", ["en", "ko"])
def test_nothing_of_the_name_is_in_it_unless_asked_for(name: str) -> None:
    parts = re.findall(r"\w{4,}", NAME)
    without, with_name = report(name), report(name, replace(CHOICES, name=NAME))
    for content, expected in ((without, False), (with_name, True)):
        page, data = html_page(content), pdf_page(content)
        inside = opened(data)
        assert (html.escape(NAME) in page) is expected
        assert (re.sub(r"\s", "", NAME) in "".join(pdf_text(data))) is expected
        for part in parts:
            assert (part in page) is expected
            if not expected:
                codes = [part.encode(), part.encode("utf-16-be"), part.encode().hex().encode()]
                assert not any(code in inside for code in codes)


def test_the_metadata_of_the_pdf_is_title_program_and_date() -> None:
    content = report("ko", replace(CHOICES, name=NAME))
    with closing(pypdfium2.PdfDocument(pdf_page(content))) as document:
        found = {key: value for key, value in document.get_metadata_dict().items() if value}
        sizes = {document.get_page_size(number) for number in range(len(document))}
    assert found.keys() == {"Title", "Creator", "CreationDate"}
    assert found["Title"] == content.title and found["Creator"] == content.program
    assert found["CreationDate"].startswith("D:20260304050600")
    [(width, height)] = sizes
    assert (round(width / 72 * 25.4), round(height / 72 * 25.4)) == (210, 297)


def test_letters_that_the_font_has_not_are_question_marks_in_the_pdf_alone() -> None:
    content = report("en", replace(CHOICES, name="眼 \udce4 μάτι.png"))
    assert "眼 \\udce4 μάτι.png" in html_page(content)
    assert "??????.png" in "".join(pdf_text(pdf_page(content)))


def test_the_same_scan_gives_the_same_bytes_and_another_date_only_its_own() -> None:
    assert html_page(report()) == html_page(report())
    assert pdf_page(report()) == pdf_page(report())
    later = replace(CHOICES, made=datetime(2027, 1, 2, 3, 4, tzinfo=UTC))
    first, second = html_page(report()), html_page(report("en", later))
    assert first != second
    assert first.replace("2026-03-04 05:06", "") == second.replace("2027-01-02 03:04", "")
    assert pdf_page(report("en", later)) != pdf_page(report())


def test_without_an_answer_no_class_is_named_and_percentages_are_gray() -> None:
    verdict = Verdict("refer", "DME", 0.84, (Reason("bscan"),))
    content = make_report(SCAN, ROWS[:1], judge(ROWS[:1], verdict), CHOICES)
    page = html_page(content)
    assert content.verdict_class == "" and not content.answered
    assert 'class="models none"' in page and 'class="models none"' not in html_page(report())
    assert len(content.predictors) == 1 and report().answered
    assert report().verdict_class == CLASS_TITLES["DME"]

    def has(colour: tuple[float, float, float], data: bytes) -> bool:
        wanted = " ".join(f"{part / 255:.4g}"[:6] for part in colour).encode()
        return any(line.startswith(wanted) for line in opened(data).splitlines())

    orange = (0xE6, 0x9F, 0x00)
    assert has(orange, pdf_page(report())) and not has(orange, pdf_page(content))


@pytest.mark.parametrize("name", ["en", "ko"])
def test_three_models_with_three_maps_each_fit_on_one_page(name: str) -> None:
    rows = [row(each.card.name, 0.9) for each in ROWS]
    for each in rows:
        layer = each.maps[0].layer
        each.maps.append(Explanation(each.card.name, "guided_gradcam", layer, "DME", RAMP, True))
        each.maxima.append(1.0)
    for scan in (SCAN, make_phantom("DME", 3, 496, 512).scan):
        with language(name):
            content = make_report(scan, rows, judge(rows, CAUTION), CHOICES)
        [sheet] = pdf_text(pdf_page(content))
        assert all(re.sub(r"\s", "", words) in sheet for words in texts(content))


def test_a_predictor_has_the_colour_of_its_network_and_headings_skip_no_level() -> None:
    clinic = replace(ROWS[0], card=replace(ROWS[0].card, name="clinic"))
    answer = replace(clinic.prediction, run="clinic")
    clinic = replace(clinic, prediction=answer, maps=[], maxima=[])
    content = make_report(SCAN, [clinic], judge([clinic], CAUTION), CHOICES)
    assert content.predictors[0].colour == ARCHITECTURES.get("vgg16").colour
    levels = [int(level) for level in re.findall(r"<h(\d)", html_page(report()))]
    assert all(after <= before + 1 for before, after in pairwise(levels))


def test_many_maps_take_more_pages_and_none_is_lost_or_cut() -> None:
    rows = [row(name, 0.9, layers=5) for name in ("vgg16", "resnet50", "densenet121")] * 2
    many = Verdict("caution", "DME", 0.9, (Reason("no sets"),) * 12)
    content = make_report(SCAN, rows, judge(rows[:3], many), CHOICES)
    data = pdf_page(content)
    with closing(pypdfium2.PdfDocument(data)) as document:
        assert len(document) >= 3
        boxes = [
            (kind, each.get_bounds())
            for page in document
            for each in page.get_objects()
            if (kind := each.type) in (1, 3)
        ]
    pictures = [box for kind, box in boxes if kind == 3]
    assert len(pictures) == 1 + 2 + 6 * 6
    right, bottom = 210 / 25.4 * 72 - 14 / 25.4 * 72 + 1, 16 / 25.4 * 72 - 1
    assert all(box[2] <= right for _, box in boxes), "nothing runs into the margin"
    assert all(box[1] >= bottom for box in pictures), "nor into the footer"
    assert "".join(pdf_text(data)).count("block5") >= 2


def test_a_model_without_maps_keeps_its_answer_and_its_hash() -> None:
    rows = [*ROWS[:-1], replace(ROWS[-1], maps=[], maxima=[])]
    content = make_report(SCAN, rows, judge(rows, CAUTION), CHOICES)
    assert len(content.groups) == len(ROWS) - 1
    origin = " ".join(texts(content.origin))
    assert all(each.card.weights_sha256 in origin for each in ROWS)


def test_a_report_without_maps_says_nothing_of_maps() -> None:
    bare = [replace(each, maps=[], maxima=[]) for each in ROWS]
    content = make_report(SCAN, bare, judge(bare, CAUTION), CHOICES)
    assert not content.groups and not content.keys and not content.remarks
    assert content.headings[1] not in html_page(content)
    assert re.sub(r"\s", "", content.headings[1]) not in "".join(pdf_text(pdf_page(content)))
