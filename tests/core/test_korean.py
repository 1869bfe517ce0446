"""The Korean catalogue is whole and fits the code; its letters are drawn in pictures."""

from __future__ import annotations

import io
import pickle
import re
import string
import threading
from pathlib import Path

import numpy as np
import pytest
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from fontTools.ttLib import TTFont
from PIL import Image, ImageDraw

from oct_core import words
from oct_core.errors import DataError
from oct_core.figures.final_figure import FigureRow, final_figure
from oct_core.figures.lettering import HANGUL, break_text, font
from oct_core.reasons import VERDICT_TITLES, reason_words
from oct_core.runs.turns import Work, start_work
from oct_core.scans.edit import invert, turn
from oct_core.scans.phantom import make_phantom
from oct_core.system import start_side_by_side
from oct_core.types import CLASSES, Explanation, Judgement, Prediction, Reason, RunCard, Verdict
from oct_core.words import keep_language, language, note, note_count, say

PO = words.LOCALE / "ko" / "LC_MESSAGES" / f"{words.DOMAIN}.po"
POT = words.LOCALE / f"{words.DOMAIN}.pot"
# Sentences, but for these: names and values alone.
SAME_IN_BOTH = {"{low} to {high}"}
# One name a thing: what it is not called, each beside its name.
WRONG = {
    "에폭": "에포크",
    "네트워크": "신경망",
    "파트": "세트",
    "테스트": "시험",
    "학습 부분": "학습 세트",
    "검증 부분": "검증 세트",
    "팬텀": "합성 스캔",
    "십시오": "세요",
    "선별 검사": "선별검사",
}


def entries(path: object = PO) -> dict[tuple[str, ...], tuple[str, ...]]:
    """Message -> its translation, each once or, for a count, in its forms."""
    with open(str(path), "rb") as file:
        catalogue = read_po(file)
    assert not any(entry.fuzzy for entry in catalogue if entry.id)
    return {forms(entry.id): forms(entry.string) for entry in catalogue if entry.id}


def forms(text: object) -> tuple[str, ...]:
    return tuple(map(str, text)) if isinstance(text, list | tuple) else (str(text),)


def fields(text: str) -> set[str]:
    """What stands in braces, formats and those within them too; plotly's %{x} as it is."""
    found = set(re.findall(r"%\{[^{}]*\}", text))
    for _, name, form, conversion in string.Formatter().parse(text.replace("%{", "{{%")):
        if name is not None:
            found.add(f"{name}!{conversion}:{form}")
    return found


def fields_of(text: str) -> set[str]:
    try:
        return fields(text)
    except ValueError:  # braces that are no placeholders
        return set(re.findall(r"%?\{[^{}]*\}", text))


def test_every_message_is_translated() -> None:
    korean = entries()
    assert korean.keys() == entries(POT).keys(), "run .ci/words"
    missing = [key[0] for key, texts in korean.items() if not all(text.strip() for text in texts)]
    assert not missing, "\n".join([f"{len(missing)} without a translation:", *missing])


def test_placeholders_markup_and_ends_are_the_same() -> None:
    wrong = []
    for key, texts in entries().items():
        expected = fields_of(key[-1])
        for text in texts:
            same = (
                fields_of(text) == expected,
                text.count("`") == key[-1].count("`"),
                text.count("**") == key[-1].count("**"),
                re.findall(r"\]\(([^)]*)\)", text) == re.findall(r"\]\(([^)]*)\)", key[-1]),
                re.findall(r"^#+ ", text) == re.findall(r"^#+ ", key[-1]),
                text[:1].isspace() == key[-1][:1].isspace(),
                text[-1:].isspace() == key[-1][-1:].isspace(),
            )
            if not all(same):
                wrong.append(f"{key[-1]!r}: {text!r}: {same}")
    assert not wrong, "\n".join(wrong)


def test_the_compiled_catalogue_is_that_of_the_source() -> None:
    compiled = io.BytesIO()
    with PO.open("rb") as file:
        write_mo(compiled, read_po(file))
    assert PO.with_suffix(".mo").read_bytes() == compiled.getvalue(), "run .ci/words"


def test_a_korean_is_told_the_words_of_the_field() -> None:
    with language("ko"):
        assert say("Sensitivity") == "민감도" and say("Specificity") == "특이도"
        assert say("Confusion matrix") == "혼동행렬"
        assert "의료기기" in say(words.RESEARCH_LINE)
        assert say(VERDICT_TITLES["caution"]) == "주의"


def test_a_thing_has_one_name() -> None:
    said = " ".join(text for texts in entries().values() for text in texts)
    assert [f"{name}, not {wrong}" for wrong, name in WRONG.items() if wrong in said] == []
    assert not re.search("(?<!지식 )증류", said), "지식 증류"


def test_every_letter_of_the_catalogue_is_in_the_font() -> None:
    assert HANGUL.stat().st_size < 2**20
    assert (HANGUL.parent / "OFL.txt").read_text(encoding="utf-8").count("SIL Open Font License")
    with TTFont(HANGUL) as opened:
        letters = set(map(chr, opened.getBestCmap()))
        names = {str(record) for record in opened["name"].names if record.nameID in (1, 4, 6)}
    assert not any("nanum" in name.lower() for name in names), "reserved by the licence"
    needed = {letter for texts in entries().values() for text in texts for letter in text}
    assert not {letter for letter in needed if letter.isprintable()} - letters, "run .ci/font"


def drawn(text: str) -> np.ndarray:
    picture = Image.new("L", (60, 40))
    ImageDraw.Draw(picture).text((4, 4), text, 255, font(24, text))
    return np.asarray(picture)


def test_syllables_are_drawn_each_in_its_shape_and_latin_as_before() -> None:
    pictures = [drawn(letter) for letter in ("정", "상", "망", "막")]
    assert all(picture.any() for picture in pictures)
    for place, picture in enumerate(pictures):  # boxes that stand for what is missing are equal
        assert not any((picture == other).all() for other in pictures[place + 1 :])
    assert font(24, "CNV 97.1%").getname()[0] != "OCT Hangul"
    assert font(24, "주의: CNV").getname()[0] == "OCT Hangul"
    lines = break_text("이 그림은 망막 스캔이 아닌 것 같습니다", (0, 0, 0), 20, 200)
    assert len(lines) > 1
    assert all(font(20, text).getlength(text) <= 200 for text, *_ in lines)


def figure() -> np.ndarray:
    scan = make_phantom("DME", 3, 128, 160).scan
    chances = np.array([0.1, 0.7, 0.1, 0.1])
    answer = Prediction("vgg16", np.log(chances).astype(np.float32), chances)
    verdict = Verdict(
        "caution", "DME", 0.7, (Reason("two", (("first", "DME"), ("second", "CNV"))),)
    )
    card = RunCard("mine", Path("mine"), "done", "vgg16", CLASSES, {}, "ab" * 32, 1.0, 3, {})
    values = np.linspace(0, 1, 128 * 160).reshape(128, 160).astype(np.float32)
    maps = [Explanation("mine", "gradcam", f"block{n}", "DME", values, False) for n in range(5)]
    row = FigureRow(card, "VGG16", "#0072B2", answer, "DME", maps, [1.0] * 5)
    data = final_figure(scan, [row], Judgement(answer, verdict), 0.5, "viridis")
    return np.asarray(Image.open(io.BytesIO(data)))


def test_the_figure_that_is_downloaded_has_hangul(monkeypatch: pytest.MonkeyPatch) -> None:
    used: list[str] = []
    text = ImageDraw.ImageDraw.text

    def watched(self: object, place: object, words: str, ink: object, face: object) -> object:
        if re.search("[가-힣]", words):
            used.append(words)
            assert face.getname()[0] == "OCT Hangul"
        return text(self, place, words, ink, face)

    monkeypatch.setattr(ImageDraw.ImageDraw, "text", watched)
    english = figure()
    assert not used
    with language("ko"):
        korean = keep_language(figure)
    assert korean().shape[1] == english.shape[1]
    assert any(words.startswith("주의") for words in used)
    assert any("의료기기" in words for words in used)


def test_a_kept_note_is_said_in_the_language_of_the_moment() -> None:
    scan = turn(invert(make_phantom("CNV", 1, 64, 64).scan), "over")
    english = [str(each) for each in scan.notes]
    again = pickle.loads(pickle.dumps(scan))
    with language("ko"):
        korean = [say(each) for each in again.notes]
        assert all(re.search("[가-힣]", text) for text in korean)
        backwards = note("inverted")
    assert say(backwards) == "inverted" and backwards != "inverted"
    assert [say(each) for each in again.notes] == english
    reason = Reason(
        "objection", (("words", note("it is smoother than any scan, without speckle")),)
    )
    assert "smoother" in reason_words(reason)
    with language("ko"):
        assert not re.search("[a-z]{4,}", reason_words(reason))
    with language("ko"):
        left = note_count(
            "{count} thumbnail or mask in the file left out",
            "{count} thumbnails or masks in the file left out",
            2,
        )
    assert say(left) == "2 thumbnails or masks in the file left out"


def test_an_error_is_said_in_the_language_of_who_reads_it() -> None:
    error = DataError("the level")
    kept = error.as_note()
    with language("ko"):
        assert str(error) == say(kept) == say("the level") != "the level"


def test_other_threads_speak_the_language_of_who_started_them() -> None:
    heard: list[str] = []

    def listen() -> str:
        heard.append(threading.current_thread().name)
        return words.current_language()

    with language("ko"):
        quick = start_side_by_side([listen])[0]
        slow = start_work(Work(), listen)
    assert (quick.result(60), slow.result(60)) == ("ko", "ko")
    assert threading.current_thread().name not in heard
    assert words.current_language() == "en"
    assert start_side_by_side([listen])[0].result(60) == "en"


def test_the_classes_stay_in_latin_letters() -> None:
    for key, texts in entries().items():
        for label in CLASSES:
            assert all((label in key[-1]) == (label in text) for text in texts), key
