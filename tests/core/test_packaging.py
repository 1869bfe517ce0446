"""What is imported is declared, in the two places that say so: pyproject.toml and the requirements
files.
"""

from __future__ import annotations

import ast
import importlib
import re
import sys
import tomllib
from collections.abc import Iterable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
DISTRIBUTIONS = {
    "PIL": "pillow",
    "fontTools": "fonttools",
    "sklearn": "scikit-learn",
    "skimage": "scikit-image",
    "pytorch_grad_cam": "grad-cam",
    "google": "protobuf",
    "markdown_it": "markdown-it-py",
    "fpdf": "fpdf2",
    "axe_playwright_python": "axe-playwright-python",
}
"""Import name -> name of the package, where they differ."""
OWN = {"oct_core", "pages"} | {
    path.stem for folder in ("tests", "benchmarks") for path in (ROOT / folder).rglob("*.py")
}


def third_parties(paths: Iterable[Path]) -> dict[str, Path]:
    """Package -> a file that imports it, inside functions too."""
    packages: dict[str, Path] = {}
    for path in paths:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            modules = []
            if isinstance(node, ast.Import):
                modules = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                modules = [node.module]
            for name in {module.split(".")[0] for module in modules}:
                if name not in sys.stdlib_module_names and name not in OWN:
                    packages[DISTRIBUTIONS.get(name, name)] = path
    return packages


def requirements(file: str) -> list[str]:
    """The requirements of a file, without comments and the files that it includes."""
    lines = (ROOT / file).read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith(("#", "-r "))]


def names(lines: Iterable[str]) -> set[str]:
    return {re.split(r"[<>=!~\[; ]", line, maxsplit=1)[0] for line in lines}


LIBRARY = sorted((ROOT / "oct_core").rglob("*.py"))
CHARTS = ROOT / "oct_core" / "figures" / "charts"
ONNX = ROOT / "oct_core" / "runs" / "onnx_file.py"
KAGGLE = ROOT / "oct_core" / "data" / "kaggle.py"
APP = [ROOT / "streamlit_app.py", *sorted((ROOT / "pages").rglob("*.py"))]
OTHERS = [*sorted((ROOT / "tests").rglob("*.py")), *sorted((ROOT / "benchmarks").glob("*.py"))]

BASE = [path for path in LIBRARY if path not in (ONNX, KAGGLE)]
"""Without what only an extra needs."""
DEPENDENCIES: list[str] = PROJECT["dependencies"]
EXTRAS: dict[str, list[str]] = PROJECT["optional-dependencies"]


@pytest.mark.parametrize(
    ("paths", "declared"),
    [
        ([path for path in BASE if not path.is_relative_to(CHARTS)], DEPENDENCIES),
        ([*BASE, *APP], requirements("requirements.txt")),
        ([ONNX], DEPENDENCIES + EXTRAS["onnx"]),
        ([KAGGLE], EXTRAS["kaggle"]),
        (OTHERS, requirements("requirements.txt") + requirements("requirements-dev.txt")),
    ],
    ids=[
        "the library without its charts",
        "the library and the app",
        "the extra onnx",
        "the extra kaggle",
        "tests and benchmarks",
    ],
)
def test_what_is_imported_is_declared(paths: list[Path], declared: list[str]) -> None:
    packages = third_parties(paths)
    assert packages, "or nothing was looked at"
    missing = {name: path for name, path in packages.items() if name not in names(declared)}
    assert not missing, "imported but declared nowhere; add it to pyproject.toml and requirements"


def test_an_import_inside_a_function_is_seen(tmp_path: Path) -> None:
    path = tmp_path / "module.py"
    path.write_text("def draw():\n    import csv, PIL.Image\n    from skimage.io import imread\n")
    assert set(third_parties([path])) == {"pillow", "scikit-image"}


def test_pyproject_and_the_requirements_files_agree() -> None:
    assert requirements("requirements.txt") == DEPENDENCIES + EXTRAS["app"]
    assert requirements("requirements-dev.txt") == EXTRAS["dev"] + EXTRAS["onnx"] + EXTRAS["kaggle"]
    assert "-r requirements.txt" in (ROOT / "requirements-dev.txt").read_text().splitlines()


def test_the_library_needs_nothing_of_the_app() -> None:
    assert not names(DEPENDENCIES) & names(EXTRAS["app"])
    assert {"streamlit", "plotly"} <= names(EXTRAS["app"])


def test_every_file_that_the_library_reads_is_packed() -> None:
    """Files beside the code come along only if package-data names them."""
    patterns = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"][
        "package-data"
    ]
    packed = {
        path
        for package, globs in patterns.items()
        for glob in globs
        for path in (ROOT / package.replace(".", "/")).glob(glob)
    }
    beside = {
        path
        for path in (ROOT / "oct_core").rglob("*")
        if path.is_file() and path.suffix not in (".py", ".pyc", ".po")
    }
    assert beside and beside == packed


def test_every_folder_of_the_library_is_packed() -> None:
    """setuptools passes over a folder without __init__.py."""
    for path in LIBRARY:
        assert (path.parent / "__init__.py").is_file()


def test_the_command_is_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    module, function = PROJECT["scripts"]["oct"].split(":")
    assert getattr(importlib.import_module(module), function)(["--help"]) == 0
    assert "explain-report" in capsys.readouterr().out
