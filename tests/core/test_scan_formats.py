"""What every reader of the registry holds to, and that a new one needs no other edit."""

from __future__ import annotations

import ast
import io
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, TiffImagePlugin

from oct_core.cli.predict import scan_files
from oct_core.data.sources import find_candidates
from oct_core.errors import ScanError
from oct_core.scans import DEFAULT, Limits, ScanInfo, inspect, is_scan_name, read_scan, suffixes
from oct_core.scans.phantom import make_phantom
from oct_core.scans.readers import READERS, Reader, format_names
from oct_core.types import CLASSES, Scan

ROOT = Path(__file__).resolve().parents[2]
GRAY = make_phantom("CNV", 3, 96, 128).pixels


def encode(kind: str, pages: int = 1) -> bytes:
    buffer = io.BytesIO()
    picture = Image.fromarray(GRAY)
    more: dict[str, object] = (
        {"save_all": True, "append_images": [picture] * (pages - 1)} if pages > 1 else {}
    )
    more |= {"lossless": True} if kind == "WEBP" else {}
    picture.save(buffer, kind, **more)
    return buffer.getvalue()


KINDS = ("PNG", "JPEG", "TIFF", "BMP", "WEBP", "JPEG2000")
SAMPLES = {kind.lower(): encode(kind) for kind in KINDS} | {"pnm": encode("PPM")}


def test_every_reader_has_a_sample_here_and_every_suffix_one_reader() -> None:
    assert set(SAMPLES) == set(READERS), "give the new reader a sample above"
    assert len(set(suffixes())) == len(suffixes())
    assert all(re.fullmatch(r"\.[a-z0-9]+", suffix) for suffix in suffixes())


@pytest.mark.parametrize("key", list(READERS))
def test_a_reader_takes_its_own_content_alone_and_keeps_the_limits(key: str) -> None:
    reader, data = READERS.get(key), SAMPLES[key]
    assert reader.key == key and reader.suffixes
    assert [name for name in READERS if READERS.get(name).sniff(data)] == [key]
    assert [name for name, sample in SAMPLES.items() if reader.sniff(sample)] == [key]
    assert not reader.sniff(b"") and not reader.sniff(b"no picture")
    assert inspect(data) == ScanInfo(reader.title, 1, 128, 96, 8)
    scan = reader.read(data, 0, DEFAULT)
    assert scan.pixels.dtype == np.uint8 and scan.pixels.shape == GRAY.shape
    for limits, message in (
        (Limits(pixels=96 * 128 - 1), "128 x 96 pixels, more than"),
        (Limits(side=97), "too few for a B-scan"),
    ):
        with pytest.raises(ScanError, match=message):
            reader.inspect(data, limits)
        with pytest.raises(ScanError, match=message):
            reader.read(data, 0, limits)
    for page in (-1, 1):
        with pytest.raises(ScanError, match="choose a page from 1 to 1"):
            reader.read(data, page, DEFAULT)


@pytest.mark.parametrize("key", list(READERS))
def test_a_file_is_read_under_every_suffix(key: str, tmp_path: Path) -> None:
    expected = read_scan(SAMPLES[key]).pixels
    for suffix in (*suffixes(), ".img", ""):
        path = tmp_path / f"scan{suffix}"
        path.write_bytes(SAMPLES[key])
        np.testing.assert_array_equal(read_scan(path).pixels, expected)


def test_one_page_of_many_is_decoded_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    data = encode("TIFF", pages=200)
    loads: list[int] = []
    load = TiffImagePlugin.TiffImageFile.load

    def counted(self: TiffImagePlugin.TiffImageFile) -> object:
        loads.append(self.tell())
        return load(self)

    monkeypatch.setattr(TiffImagePlugin.TiffImageFile, "load", counted)
    assert inspect(data).pages == 200 and loads == []
    assert read_scan(data, page=150).notes == ("page 151 of 200",)
    assert set(loads) == {150}


class Double(Reader):
    """A format of two B-scans, black and white, after five letters."""

    def sniff(self, data: bytes) -> bool:
        return data.startswith(b"TWICE")

    def inspect(self, data: bytes, limits: Limits) -> ScanInfo:
        return ScanInfo(self.title, 2, 40, 50, 8)

    def read(self, data: bytes, page: int, limits: Limits) -> Scan:
        if len(data) == 5:
            raise ZeroDivisionError("what a decoder does with a file cut off")
        return Scan(np.full((50, 40), 255 * page, np.uint8))


@pytest.fixture
def double(monkeypatch: pytest.MonkeyPatch) -> Reader:
    reader = Double("double", "Double", (".two",))
    monkeypatch.setitem(READERS._entries, "double", reader)
    return reader


@pytest.mark.usefixtures("double")
def test_a_new_reader_is_asked_by_read_scan_prepare_and_predict(tmp_path: Path) -> None:
    for label in CLASSES:
        (tmp_path / label).mkdir()
        (tmp_path / label / f"{label}-1-1.TWO").write_bytes(b"TWICE.")
    (tmp_path / "CNV" / ".hidden.two").write_bytes(b"TWICE.")
    files = sorted(tmp_path.rglob("*.TWO"))
    assert sorted(candidate.path for candidate in find_candidates(tmp_path).scans) == files
    assert sorted(scan_files([tmp_path])) == files
    assert read_scan(files[0], page=1).pixels.min() == 255 and read_scan(files[0]).name == (
        "CNV-1-1.TWO"
    )
    assert inspect(b"TWICE.").pages == 2
    assert format_names() == "PNG, JPEG, TIFF, BMP, WebP, JPEG 2000, PNM or Double"
    with pytest.raises(ScanError, match=r"this is not a PNG, .*, PNM or Double picture"):
        read_scan(b"something else")


@pytest.mark.usefixtures("double")
def test_what_a_reader_raises_by_itself_is_taken_for_damage() -> None:
    with pytest.raises(ScanError, match="damaged or cut off") as caught:
        read_scan(b"TWICE")
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


@pytest.mark.usefixtures("double")
def test_the_app_takes_and_finds_a_new_format(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    st = pytest.importorskip("streamlit")
    from pages.ui.app.session import Viewer
    from pages.ui.shared import data_folder
    from pages.ui.viewer import input as viewer_input

    offered: dict[str, object] = {}
    monkeypatch.setattr(st, "file_uploader", lambda *_, **options: offered.update(options))
    viewer_input.upload(Viewer())
    assert offered["type"] == list(suffixes()) and ".two" in suffixes()
    (tmp_path / "scan.two").write_bytes(b"TWICE.")
    (tmp_path / "scan.txt").write_bytes(b"TWICE.")
    monkeypatch.setenv("OCT_DATA", str(tmp_path))
    st.cache_data.clear()
    assert data_folder.names_held() == {"scan.two"}


def test_suffixes_find_scans_in_any_case_and_leave_hidden_files() -> None:
    assert is_scan_name("a.JFIF") and is_scan_name(Path("b") / "c.tif")
    assert not is_scan_name("._a.png") and not is_scan_name("png") and not is_scan_name("a.csv")


def texts(path: Path) -> list[str]:
    """The strings of a file that are neither docstrings nor parts of f-strings (names of files that
    it writes).
    """
    tree = ast.parse(path.read_text(encoding="utf-8"))
    skipped = {
        id(part)
        for node in ast.walk(tree)
        if isinstance(node, ast.JoinedStr | ast.Expr)
        for part in ast.walk(node)
        if isinstance(node, ast.JoinedStr) or part is node.value
    }
    return [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and id(node) not in skipped
    ]


def lists_suffixes(text: str) -> bool:
    """Whether a text is a suffix, or holds two."""
    bare = "|".join(sorted((suffix[1:] for suffix in suffixes()), key=len, reverse=True))
    places = re.findall(rf"(?<![\w/])\.?(?:{bare})(?!\w)", text)
    return bool(re.fullmatch(rf"\.?(?:{bare})", text)) or len(places) > 1


def test_no_list_of_suffixes_stands_outside_the_readers() -> None:
    readers = ROOT / "oct_core" / "scans" / "readers"
    assert any(lists_suffixes(text) for text in texts(readers / "picture.py")), "the search works"
    places = {
        str(path.relative_to(ROOT)): text
        for folder in ("oct_core", "pages")
        for path in (ROOT / folder).rglob("*.py")
        if not path.is_relative_to(readers)
        for text in texts(path)
        if lists_suffixes(text)
    }
    assert places == {"oct_core/cli/explain.py": ".png"}, "the suffix of what it writes"
