"""Scans and maps as pictures: sizes, scales, captions, the final figure."""

from __future__ import annotations

import io
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from oct_core.figures.colours import CLASS_COLOURS
from oct_core.figures.final_figure import (
    DPI,
    FAINT,
    GAP,
    MARGIN,
    SIDE,
    WIDTH,
    FigureRow,
    final_figure,
    overlay_png,
)
from oct_core.figures.lettering import VERDICT_INKS
from oct_core.figures.overlay import overlay, paint_signed
from oct_core.figures.pictures import (
    caption_of,
    draw_map,
    explain_empty,
    fit_size,
    format_maximum,
    maximum_of,
    resize,
    shrink,
    stretch_values,
)
from oct_core.models.catalog import ENSEMBLE_COLOUR
from oct_core.runs.ensemble import mean_prediction
from oct_core.scans.phantom import make_phantom
from oct_core.types import (
    CLASSES,
    Explanation,
    GateScores,
    Judgement,
    Prediction,
    Reason,
    RunCard,
    Verdict,
)
from oct_core.words import language, say

SCAN = make_phantom("CNV", 5, 90, 160).scan
CARD = RunCard("mine", Path("mine"), "done", "vgg16", CLASSES, {}, "ab" * 32, 1.0, 3, {})
ANSWER = Prediction("mine", np.zeros(4, np.float32), np.array([0.7, 0.1, 0.15, 0.05]))


def map_of(values: np.ndarray, signed: bool = False) -> Explanation:
    return Explanation("mine", "gradcam", "block5", "CNV", values.astype(np.float32), signed)


RAMP = map_of(np.linspace(0, 1, 90 * 160).reshape(90, 160))
NOTHING = map_of(np.zeros((90, 160)))


@pytest.mark.parametrize(
    ("height", "width", "longest", "size"),
    [
        (100, 200, 50, (50, 25)),
        (200, 100, 50, (25, 50)),
        (100, 200, 400, (200, 100)),
        (1, 1000, 10, (10, 1)),
    ],
)
def test_a_size_keeps_the_aspect_ratio_and_never_grows(
    height: int, width: int, longest: int, size: tuple[int, int]
) -> None:
    assert fit_size(height, width, longest) == size


def test_pixels_that_fall_together_are_averaged() -> None:
    pixels = np.arange(64, dtype=np.uint8).reshape(8, 8) * 4
    literal = pixels.reshape(4, 2, 4, 2).astype(float).mean(axis=(1, 3))
    assert np.abs(shrink(pixels, 4) - literal).max() <= 0.5
    assert shrink(pixels, 8) is pixels
    colour = np.repeat(pixels[..., None], 3, axis=2)
    np.testing.assert_array_equal(shrink(colour, 4)[..., 1], shrink(pixels, 4))
    assert resize(colour, (20, 16)).shape == (16, 20, 3)


def test_a_map_of_the_networks_size_is_stretched_within_its_own_range() -> None:
    small = np.random.default_rng(0).random((7, 9)).astype(np.float32)
    large = stretch_values(small, (70, 90))
    assert large.shape == (70, 90) and large.dtype == np.float32
    assert small.min() <= large.min() and large.max() <= small.max()
    assert stretch_values(small, (7, 9)) is small


def test_a_map_is_drawn_over_the_scan_at_the_size_shown() -> None:
    whole = draw_map(SCAN.pixels, RAMP, 0.5, "viridis", longest=160)
    np.testing.assert_array_equal(whole, overlay(SCAN.pixels, RAMP.values, 0.5, "viridis"))
    assert draw_map(SCAN.pixels, RAMP, 0.5, "viridis", longest=80).shape == (45, 80, 3)
    gray = np.repeat(SCAN.pixels[..., None], 3, axis=2)
    np.testing.assert_array_equal(draw_map(SCAN.pixels, NOTHING, 0.9, "viridis"), gray)
    twice = draw_map(SCAN.pixels, RAMP, 1.0, "gray", maximum=2.0)
    assert 126 <= twice.max() <= 130, "half of the scale of two maps"


def test_the_maximum_is_the_largest_magnitude_in_three_digits() -> None:
    signed = map_of(np.array([[0.5, -2.0]]), signed=True)
    assert maximum_of(signed) == 2.0 and maximum_of(NOTHING) == 0.0
    words = [format_maximum(value) for value in (0.0, 0.012345, 12.345)]
    assert words == ["0", "0.0123", "12.3"]


PLAIN = Judgement(ANSWER, Verdict("answer", "CNV", 0.7, prediction_set=("CNV",)))


SIGNED = map_of(np.linspace(-1, 1, 90 * 160).reshape(90, 160), signed=True)


def renamed(method: str, layer: str, explanation: Explanation = RAMP) -> Explanation:
    return replace(explanation, method=method, layer=layer)


def test_a_signed_map_is_drawn_alone_on_mid_gray_whatever_the_opacity() -> None:
    for opacity in (0.0, 0.45, 1.0):
        picture = draw_map(SCAN.pixels, SIGNED, opacity, "viridis", longest=160)
        np.testing.assert_array_equal(picture, paint_signed(SIGNED.values))
    middle = map_of(np.eye(90, 160), signed=True)
    assert (draw_map(SCAN.pixels, middle, 0.45, "viridis", longest=160)[0, 1] == 127).all()


def test_a_caption_says_the_class_and_the_maximum_only_when_asked() -> None:
    assert caption_of(RAMP) == "for CNV"
    assert caption_of(map_of(np.full((2, 2), 0.00068449)), maximum=True) == (
        "for CNV, maximum 0.000684"
    )
    assert explain_empty(RAMP) == ""


@pytest.mark.parametrize(
    ("layer", "signed", "short", "long"),
    [
        ("block1", False, "nothing in this layer raises CNV", "is formed in other layers"),
        ("block1", True, "nothing in this layer raises CNV", "cut off by the ReLU"),
        ("input", True, "no pixel changes CNV", "any one pixel leaves the score of CNV as it is"),
        ("input", False, "no part of the scan raises CNV", "no part of the scan by itself"),
    ],
)
def test_a_map_of_zeros_is_no_word_on_the_class(
    layer: str, signed: bool, short: str, long: str
) -> None:
    zero = replace(NOTHING, layer=layer, signed=signed)
    for maximum in (False, True):
        assert caption_of(zero, maximum) == short
    assert long in explain_empty(zero) and "no word on whether CNV is there" in explain_empty(zero)
    kept = caption_of(zero)
    with language("ko"):
        assert re.search("[가-힣]", caption_of(zero)) and "CNV" in caption_of(zero)
        assert say(kept) == caption_of(zero)
        assert not re.search("[a-z]{4,}", explain_empty(zero))


def test_the_maps_of_a_method_have_rows_of_their_own_and_single_ones_share_one() -> None:
    maps = [
        *(renamed("gradcam", f"block{n}") for n in range(1, 6)),
        renamed("guided_backprop", "input", SIGNED),
        *(renamed("guided_gradcam", f"block{n}", SIGNED) for n in range(1, 6)),
        renamed("hirescam", "block5"),
    ]
    row = FigureRow(CARD, "VGG16", "#0072B2", ANSWER, "CNV", maps, range(12))
    lines = [[(each.key, maximum) for each, maximum in line] for line in row.grid()]
    assert lines == [
        [(f"gradcam/block{n}", n - 1) for n in range(1, 6)],
        [(f"guided_gradcam/block{n}", n + 5) for n in range(1, 6)],
        [("guided_backprop/input", 5), ("hirescam/block5", 11)],
    ]
    assert FigureRow(CARD, "VGG16", "#0072B2", ANSWER, "CNV", [], []).grid() == []


def test_the_final_figure_holds_every_map_given_and_is_a_print_of_a4() -> None:
    empty = renamed("hirescam", "block5", NOTHING)
    maps = [renamed("gradcam", "block5"), renamed("guided_backprop", "input", SIGNED), empty]
    row = FigureRow(CARD, "VGG16", "#0072B2", ANSWER, "CNV", maps, [1.0, 1.0, 0.0])
    image = Image.open(io.BytesIO(final_figure(SCAN, [row], PLAIN, 0.5, "viridis")))
    assert image.size[0] == WIDTH and round(image.size[0] / DPI * 25.4) == 210
    assert [round(each) for each in image.info.pop("dpi")] == [DPI, DPI] and image.info == {}
    sheet = np.asarray(image)
    left = MARGIN + SIDE + GAP
    cell = (WIDTH - MARGIN - left - 2 * GAP) // 3
    size = cell, round(cell * 90 / 160)
    for place, each in enumerate(maps):
        picture = resize(draw_map(SCAN.pixels, each, 0.5, "viridis", longest=cell), size)
        column = sheet[:, left + place * (cell + GAP) :][:, :cell]
        assert any(
            (column[top] == picture[0]).all() and (column[top : top + size[1]] == picture).all()
            for top in range(len(column) - size[1])
        ), each.key


def figure_of(
    rows: int, title: str = "VGG16", colour: str = "#0072B2", judgement: Judgement = PLAIN
) -> np.ndarray:
    row = FigureRow(CARD, title, colour, ANSWER, "CNV", [RAMP, NOTHING], [1.0, 0.0])
    data = final_figure(SCAN, [row] * rows, judgement, 0.5, "viridis")
    return np.asarray(Image.open(io.BytesIO(data)))


def test_the_final_figure_has_a_row_a_model_in_its_title_and_colour() -> None:
    one, two = figure_of(1), figure_of(2)
    assert one.shape[1] == two.shape[1] and one.shape[0] < two.shape[0]
    blue = (one == (0, 0x72, 0xB2)).all(axis=2)
    assert blue.any() and not (figure_of(1, colour="#D55E00") == (0, 0x72, 0xB2)).all(axis=2).any()
    assert (figure_of(1, title="Another") != one).any()
    long = figure_of(1, title="VGG16 (a run with a name that is much too long)")
    title = slice(MARGIN + SIDE, MARGIN + SIDE + GAP)  # before the first map
    footer = one.shape[0] - 250
    np.testing.assert_array_equal(long[:footer, title], one[:footer, title])


def has(picture: np.ndarray, colour: str) -> bool:
    wanted = [int(colour[start : start + 2], 16) for start in (1, 3, 5)]
    return bool((picture == wanted).all(axis=2).any())


def test_the_verdict_leads_the_final_figure_and_without_an_answer_percentages_are_gray() -> None:
    """In the ink of its kind; the bars of the classes are coloured but where nothing is
    answered.
    """
    pictures = {
        kind: figure_of(1, judgement=Judgement(ANSWER, Verdict(kind, "CNV", 0.7, reasons)))
        for kind, reasons in (
            ("answer", ()),
            ("caution", (Reason("no gate"),)),
            ("refer", (Reason("bscan"), Reason("upside down"))),
        )
    }
    for kind, picture in pictures.items():
        inks = {name: has(picture[:500], to_hex(ink)) for name, ink in VERDICT_INKS.items()}
        assert inks == {name: name == kind for name in VERDICT_INKS}
        assert has(picture, CLASS_COLOURS["CNV"]) is (kind != "refer")
        assert has(picture, to_hex(FAINT)) is (kind == "refer")


def to_hex(colour: tuple[int, int, int]) -> str:
    return "#" + "".join(f"{part:02X}" for part in colour)


def test_the_ensemble_has_bars_of_its_own_above_its_members() -> None:
    mean = mean_prediction([ANSWER, ANSWER])
    whole = Judgement(mean, PLAIN.verdict, GateScores(0.1, 0.2, 0.3), (PLAIN, PLAIN))
    alone, together = figure_of(2), figure_of(2, judgement=whole)
    assert has(together, ENSEMBLE_COLOUR) and not has(alone, ENSEMBLE_COLOUR)
    assert together.shape[0] > alone.shape[0] and together.shape[1] == alone.shape[1]


def test_long_reasons_are_broken_into_lines_and_make_the_figure_higher() -> None:
    many = (Reason("unfamiliar", (("probability", 0.5), ("least", 0.9))),) * 6
    long = figure_of(1, judgement=Judgement(ANSWER, Verdict("caution", "CNV", 0.7, many)))
    assert long.shape[0] > figure_of(1).shape[0] and long.shape[1] == figure_of(1).shape[1]
    assert (long[:, -MARGIN:] == 255).all(), "nothing runs into the margin"


def test_an_overlay_is_a_png_of_the_scans_size() -> None:
    picture = Image.open(io.BytesIO(overlay_png(SCAN, RAMP, 0.5, "viridis", 1.0)))
    assert picture.format == "PNG" and picture.size == (160, 90) and picture.info == {}


def test_pictures_are_drawn_without_plotly_torch_or_streamlit() -> None:
    code = (
        "import sys, oct_core.figures.final_figure; "
        "print([name for name in ('plotly', 'torch', 'streamlit') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(__file__).resolve().parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "[]"
