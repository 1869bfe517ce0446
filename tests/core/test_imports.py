"""Imports point one way, and light parts stay light."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

import oct_core
from oct_core.runs.files import SHIPPED

ROOT = Path(__file__).resolve().parents[2]


def imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def library_files() -> list[Path]:
    return sorted((ROOT / "oct_core").rglob("*.py"))


def test_the_library_never_imports_streamlit() -> None:
    for path in library_files():
        assert not any(name.split(".")[0] == "streamlit" for name in imported(path)), path


def test_no_torch_in_pages_metrics_types_figures() -> None:
    light = [
        ROOT / "oct_core" / "types.py",
        ROOT / "streamlit_app.py",
        *(ROOT / "pages").rglob("*.py"),
    ]
    light += [
        path for part in ("metrics", "figures") for path in (ROOT / "oct_core" / part).rglob("*.py")
    ]
    for path in light:
        assert not any(name.split(".")[0] in ("torch", "torchvision") for name in imported(path)), (
            path
        )


LIGHT = (
    "oct_core",
    "oct_core.types",
    "oct_core.metrics",
    "oct_core.metrics.summary",
    "oct_core.figures.charts",
    "oct_core.runs.files",
)


@pytest.mark.parametrize("module", LIGHT)
def test_light_modules_load_no_torch(module: str) -> None:
    code = f"import sys, {module}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_the_command_line_starts_without_torch_or_the_app() -> None:
    code = (
        "import sys, oct_core.cli; sys.exit(any(name in sys.modules for name in ('torch', "
        "'streamlit', 'plotly', 'pytorch_grad_cam')))"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def in_a_fresh_process(code: str) -> str:
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()


@pytest.mark.parametrize("run", SHIPPED)
def test_a_run_is_used_without_loading_the_compiler_of_torch(run: str) -> None:
    code = f"""
import sys
from oct_core import explain, load_run, predict
from oct_core.scans.phantom import make_phantom
scan, run = make_phantom("CNV", 1).scan, load_run({run!r})
predict([scan], run), explain(scan, run)
print([name for name in sys.modules if name.startswith("torch._dynamo")])
"""
    assert in_a_fresh_process(code) == "[]"


def test_torchvision_still_reaches_the_compiler_when_it_asks() -> None:
    code = """
import torch, oct_core.torchvision_models
from torchvision.ops import roi_align
print("is_compile_supported" in roi_align.__globals__, roi_align.__globals__["is_compile_supported"]("cpu"))
import torch._dynamo.utils as real
print(real.is_compile_supported("cpu"), torch._dynamo.utils is real, torch.compile(lambda x: x + 1, backend="eager")(torch.ones(1)).item())
"""
    first, second = in_a_fresh_process(code).splitlines()
    supported = first.split()[1]
    assert first.startswith("True") and second.split() == [supported, "True", "2.0"]


def test_a_torchvision_that_asks_the_compiler_for_more_gets_it(tmp_path: Path) -> None:
    package = tmp_path / "torchvision"
    package.mkdir()
    (package / "__init__.py").write_text("from torch._dynamo.utils import counters\n")
    (package / "models.py").write_text("")
    code = f"""
import sys
sys.path.insert(0, {str(tmp_path)!r})
from oct_core.torchvision_models import models
import torch._dynamo.utils as real
print(models.__file__ == {str(package / "models.py")!r}, sys.modules["torchvision"].counters is real.counters)
"""
    assert in_a_fresh_process(code) == "True True"


@pytest.mark.parametrize(
    "needs", ["oct_core.training.run", "oct_core.evaluation", "oct_core.cli.files"]
)
def test_a_bare_machine_can_train(needs: str) -> None:
    """Without streamlit, plotly and grad-cam installed."""
    blocked = (
        "sys.modules.update(dict.fromkeys(('streamlit', 'plotly', 'pytorch_grad_cam', "
        "'cv2', "
        "'pandas')))"
    )
    subprocess.run(
        [sys.executable, "-c", f"import sys; {blocked}; import {needs}"], cwd=ROOT, check=True
    )


NEEDS_THE_APP = pytest.mark.skipif(
    find_spec("streamlit") is None, reason="the library alone is installed"
)


@pytest.mark.skipif(sys.platform != "linux", reason="GNU's OpenMP")
@pytest.mark.parametrize(
    ("start", "own", "spin"),
    [
        pytest.param(
            "from pages.ui.app.layout import page_setup; page_setup('Page')",
            {},
            "1000",
            marks=NEEDS_THE_APP,
        ),
        ("from oct_core.cli import main; main(['runs'])", {}, "1000"),
        ("from oct_core.cli import main; main(['runs'])", {"GOMP_SPINCOUNT": "77"}, "77"),
        ("from oct_core.cli import main; main(['runs'])", {"OMP_WAIT_POLICY": "passive"}, "0"),
    ],
)
def test_torchs_threads_wait_as_chosen_before_it_is_loaded(
    start: str, own: dict[str, str], spin: str
) -> None:
    environment = {
        name: value
        for name, value in os.environ.items()
        if name not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")
    }
    environment |= {"OMP_DISPLAY_ENV": "verbose", **own}
    done = subprocess.run(
        [sys.executable, "-c", f"{start}; import torch"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert f"GOMP_SPINCOUNT = '{spin}'" in done.stderr


def test_public_names_and_no_subpackage_called_like_a_function() -> None:
    for name in ("load_run", "predict", "explain"):
        assert callable(getattr(oct_core, name))
        assert not (ROOT / "oct_core" / name).exists()
        assert not (ROOT / "oct_core" / f"{name}.py").exists()
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = oct_core.nothing


def test_no_file_or_body_has_grown_too_long() -> None:
    for path in [*library_files(), *(ROOT / "pages").rglob("*.py"), ROOT / "streamlit_app.py"]:
        text = path.read_text(encoding="utf-8")
        assert text.count("\n") <= 350, path
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef):
                first = (
                    node.body[1] if ast.get_docstring(node) and len(node.body) > 1 else node.body[0]
                )
                assert (node.end_lineno or 0) - first.lineno < 40, f"{path}: {node.name}"
