"""What leaves the viewer as figure and report: what is chosen, in the language of the page, and the
file's name only where it is asked for; and what the page says of a map of zeros.
"""

from __future__ import annotations

import html
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pypdfium2
import pytest
import streamlit as st
from PIL import Image
from streamlit.testing.v1 import AppTest

from oct_core.figures.pictures import explain_empty
from oct_core.scans.phantom import make_phantom
from oct_core.types import CLASSES, Explanation, Judgement, Prediction, RunCard, Verdict
from oct_core.words import language, say
from pages.ui.viewer.controls import Choices
from pages.ui.viewer.maps import map_figure
from pages.ui.viewer.reading import Reading

NAME = "Gildong 1961.png"


@pytest.fixture
def makers(monkeypatch: pytest.MonkeyPatch) -> dict[str, Callable[[], bytes]]:
    """File name of each download of the page -> what makes it when it is clicked."""
    made: dict[str, Callable[[], bytes]] = {}
    for owner in (st, st.delta_generator.DeltaGenerator):
        real = owner.download_button

        def watched(*args: Any, real: Any = real, **options: Any) -> Any:
            _, data, name, *_ = [each for each in args if not hasattr(each, "dg")]
            if callable(data):
                made[name] = data
            return real(*args, **options)

        monkeypatch.setattr(owner, "download_button", watched)
    return made


def mid_gray(data: bytes) -> int:
    """How many pixels of a picture are 127, as guided maps are where they are zero."""
    return int((np.asarray(Image.open(io.BytesIO(data))) == 127).all(axis=2).sum())


def upload(page: AppTest) -> AppTest:
    buffer = io.BytesIO()
    Image.fromarray(make_phantom("DME", 3, 96, 128).pixels).save(buffer, "PNG")
    page.get("file_uploader")[0].set_value([(NAME, buffer.getvalue(), "image/png")]).run()
    assert not page.exception and not page.error
    return page


def test_figure_and_report_hold_what_is_chosen_and_the_name_only_when_asked_for(
    app: AppTest, makers: dict[str, Callable[[], bytes]]
) -> None:
    page = upload(app.run())
    labels = {button.label for button in page.get("download_button")}
    assert {"Report (HTML)", "Report (PDF)"} <= labels
    whole = makers["oct_report.html"]().decode("utf-8")
    assert "Gildong" not in whole and whole.count("<figure>") == 3 * 11
    guided = mid_gray(makers["oct_comparison.png"]())
    page.multiselect(key="viewer_methods").set_value(["gradcam", "hirescam"]).run()
    assert guided > mid_gray(makers["oct_comparison.png"]()) + 100_000
    fewer = makers["oct_report.html"]().decode("utf-8")
    assert fewer.count("<figure>") == 3 * 6 and "HiResCAM, block5" in fewer
    assert "Guided" not in fewer and "Ensemble" in fewer
    with_name = next(one for one in page.checkbox if str(one.key).startswith("report_name_"))
    assert with_name.value is False
    with_name.check().run()
    assert not page.exception
    named = makers["oct_report.html"]().decode("utf-8")
    assert NAME in named and "Gildong" not in fewer
    document = pypdfium2.PdfDocument(makers["oct_report.pdf"]())
    text = "".join(sheet.get_textpage().get_text_range() for sheet in document)
    document.close()
    assert NAME in text and "HiResCAM, block5" in text
    page.toggle(key="viewer_hide_names").set_value(True).run()
    assert not any(str(one.key).startswith("report_name_") for one in page.checkbox)
    assert "Gildong" not in makers["oct_report.html"]().decode("utf-8")


def test_a_report_is_made_in_the_language_of_the_page(
    app: AppTest, makers: dict[str, Callable[[], bytes]]
) -> None:
    app.query_params["lang"] = "ko"
    opened = app.run()
    with language("ko"):
        upload(opened)
    page = makers["oct_report.html"]().decode("utf-8")
    with language("ko"):
        assert say("What each model says") in page
    assert '<html lang="ko">' in page and say("What each model says") not in page


def test_a_map_of_zeros_is_short_below_the_picture_and_a_sentence_for_a_screen_reader() -> None:
    scan = make_phantom("DME", 3, 64, 64).scan
    answer = Prediction("vgg16", np.zeros(4, np.float32), np.array([0.1, 0.7, 0.1, 0.1]))
    judgement = Judgement(answer, Verdict("answer", "DME", 0.7))
    card = RunCard("vgg16", Path("vgg16"), "done", "vgg16", CLASSES, {}, "ab", 1.0, 1, {})
    zero = Explanation("vgg16", "gradcam", "block1", "DME", np.zeros((64, 64), np.float32), False)
    choices = Choices(
        None, 0.45, "inferno", *[False] * 3, ("gradcam",), *[False] * 3, ("vgg16",), 0.05
    )
    drawn = map_figure(scan, Reading(card, judgement, "DME"), zero, choices, "Grad-CAM")
    alt, below = drawn.split("<figcaption>")
    assert explain_empty(zero) in html.unescape(alt) and "no evidence" not in drawn
    assert "<span>nothing in this layer raises DME</span>" in below
