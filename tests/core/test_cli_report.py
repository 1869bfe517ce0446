"""python -m oct_core report: the files it writes, what is never in them, what it refuses."""

from __future__ import annotations

import re
from contextlib import closing
from pathlib import Path

import pypdfium2
import pytest
import torch
from PIL import Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from oct_core import cli
from oct_core.scans.phantom import make_phantom

torch.set_num_threads(1)
SECRETS = ("Gildong", "Hospital of Nowhere", "19610203")


@pytest.fixture(autouse=True)
def runs_here(demo_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("OCT_CHECKPOINTS", str(demo_root))


def write_scan(path: Path) -> Path:
    """A scan of two pages whose name and tags say who it is of."""
    tags = ImageFileDirectory_v2()
    tags[270], tags[305], tags[315] = "Gildong 19610203", "Hospital of Nowhere", "Gildong"
    pages = [Image.fromarray(make_phantom(label, 70, 96, 130).pixels) for label in ("CNV", "DME")]
    pages[0].save(path, save_all=True, append_images=pages[1:], tiffinfo=tags)
    return path


def write_jpeg(path: Path) -> Path:
    exif = Image.Exif()
    exif[270], exif[305], exif[315] = "Gildong 19610203", "Hospital of Nowhere", "Gildong"
    Image.fromarray(make_phantom("CNV", 70, 96, 130).pixels).save(path, exif=exif)
    return path


def pdf_text(path: Path) -> str:
    with closing(pypdfium2.PdfDocument(path)) as document:
        texts = []
        for page in document:
            with closing(page), closing(page.get_textpage()) as text:
                texts.append(text.get_text_range())
        meta = " ".join(document.get_metadata_dict().values())
    return re.sub(r"\s+", " ", " ".join([*texts, meta]))


def make(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[Path, Path]:
    assert cli.main(["report", *arguments, "--device", "cpu"]) == 0
    page, sheets = map(Path, capsys.readouterr().out.splitlines()[-2:])
    return page, sheets


@pytest.mark.parametrize("write", [write_scan, write_jpeg])
def test_it_writes_both_files_without_name_or_tags_and_writes_nothing_over(
    write: object, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert callable(write)
    suffix = ".tif" if write is write_scan else ".jpg"
    image, folder = write(tmp_path / f"Hong Gildong 19610203{suffix}"), tmp_path / "reports"
    assert any(secret.encode() in image.read_bytes() for secret in SECRETS)
    options = ["--lang", "ko", "--method", "gradcam"]
    first = make(capsys, str(image), "--out", str(folder), *options)
    assert [path.name for path in first] == ["oct_report.html", "oct_report.pdf"]
    kept = first[0].read_bytes()
    page, text = first[0].read_text(encoding="utf-8"), pdf_text(first[1])
    for secret in (*SECRETS, "Hong", str(tmp_path)):
        assert secret not in page and secret not in text
        assert secret.encode() not in first[1].read_bytes()
    assert '<html lang="ko">' in page and "모델별 답변" in page and "모델별 답변" in text
    for title in ("앙상블", "VGG16", "ResNet50", "DenseNet121"):
        assert title in page and title in text
    assert page.count("<figure>") == 3, "the last layer of each"
    second = make(capsys, str(image), "--out", str(folder), *options)
    assert [path.name for path in second] == ["oct_report_2.html", "oct_report_2.pdf"]
    assert first[0].read_bytes() == kept


def test_the_name_layers_target_and_one_run_can_be_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = write_scan(tmp_path / "eye.tif")
    options = ["--run", "resnet50", "--layer", "stem", "--layer", "layer2", "--target", "DRUSEN"]
    methods = ["--method", "gradcam", "--method", "guided_backprop"]
    page, sheets = make(
        capsys, str(image), "--out", str(tmp_path), "--name", "--page", "2", *options, *methods
    )
    assert (page.name, sheets.name) == ("eye_report.html", "eye_report.pdf")
    text = page.read_text(encoding="utf-8")
    for words in ("eye.tif", "Grad-CAM, stem", "Grad-CAM, layer2", "maps for DRUSEN", "page 2 of"):
        assert words in text and words in pdf_text(sheets), words
    assert "Grad-CAM, layer4" not in text and "VGG16" not in text and "Ensemble" not in text
    assert text.count("<figure>") == 3
    options = ["--layer", "all", "--method", "gradcam", "--run", "resnet50"]
    page, _ = make(capsys, str(image), "--out", str(tmp_path), *options)
    assert page.read_text(encoding="utf-8").count("<figure>") == 5


def test_of_a_layer_that_one_network_has_the_others_have_no_map(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = write_jpeg(tmp_path / "eye.jpg")
    options = ["--layer", "block2", "--method", "gradcam"]
    page, _ = make(capsys, str(image), "--out", str(tmp_path), *options)
    text = page.read_text(encoding="utf-8")
    assert text.count("<figure>") == 1 and "Grad-CAM, block2" in text
    assert "Weights of DenseNet121" in text


@pytest.mark.parametrize(
    ("options", "status", "message"),
    [
        (["--lang", "de"], 2, "'de' is not one of 'en', 'ko'"),
        (["--layer", "block9"], 1, "expected a named layer, got 'block9'"),
        (["--target", "AMD"], 1, "expected a target class"),
        (["--method", "gradcan"], 1, "did you mean gradcam"),
        (["--run", "vgg61"], 1, "there is no run 'vgg61'"),
        (["--page", "3"], 1, "page"),
    ],
)
def test_it_refuses_what_is_not_there_and_writes_nothing(
    options: list[str],
    status: int,
    message: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    image, folder = write_scan(tmp_path / "eye.tif"), tmp_path / "reports"
    run = [] if "--run" in options else ["--run", "resnet50"]
    command = ["report", str(image), "--out", str(folder), "--device", "cpu", *run, *options]
    assert cli.main(command) == status
    assert message in capsys.readouterr().err and not folder.exists()
