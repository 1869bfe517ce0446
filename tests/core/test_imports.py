"""Light parts stay light, in processes of their own. That imports point one way is held by the
contracts of import-linter, see test_style.py.
"""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

import oct_core

ROOT = Path(__file__).resolve().parents[2]
APP = {"streamlit", "plotly", "pytorch_grad_cam", "pandas", "cv2"}


NEEDS_THE_APP = pytest.mark.skipif(
    find_spec("streamlit") is None, reason="the library alone is installed"
)


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


# Each is imported after those before it, in one process: none may load what is unwanted.
LIGHT = (
    "oct_core",
    "oct_core.types",
    "oct_core.words",
    "oct_core.system",
    "oct_core.models.catalog",
    "oct_core.runs.files",
    "oct_core.trust.report_file",
    "oct_core.metrics",
    "oct_core.metrics.summary",
    "oct_core.cli",
)
PAGES = tuple(
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for path in sorted((ROOT / "pages" / "ui").rglob("*.py"))
    if path.name != "__init__.py"
)
HEAVY = """
import importlib, sys
for name in {modules!r}:
    importlib.import_module(name)
    if loaded := {unwanted!r} & set(sys.modules):
        print(name, "loads", *sorted(loaded))
        break
"""


@pytest.mark.parametrize(
    ("modules", "unwanted"),
    [
        (LIGHT, {"torch", "sklearn", "scipy", *APP}),
        (("oct_core.training.recipes",), {"torch", "sklearn", *APP}),
        (("oct_core.figures.charts",), {"torch", "sklearn", "scipy", *APP} - {"plotly", "pandas"}),
        pytest.param(PAGES, {"torch", "sklearn", "scipy"}, marks=NEEDS_THE_APP),
    ],
    ids=["the library and its command line", "the recipes", "the charts", "the pages"],
)
def test_light_modules_load_nothing_heavy(modules: tuple[str, ...], unwanted: set[str]) -> None:
    assert in_a_fresh_process(HEAVY.format(modules=modules, unwanted=unwanted)) == ""


def test_a_bare_machine_can_train() -> None:
    """Without the app's packages installed."""
    in_a_fresh_process(f"""
import sys
sys.modules.update(dict.fromkeys({APP!r}))
import oct_core.training.run, oct_core.evaluation, oct_core.cli
""")


def gnu_openmp() -> Path | None:
    """The library of torch's threads, which reads its settings when it is loaded."""
    spec = find_spec("torch")
    folders = spec.submodule_search_locations if spec else None
    return next(Path(folders[0]).glob("lib/libgomp*"), None) if folders else None


@pytest.mark.skipif(gnu_openmp() is None, reason="GNU's OpenMP")
@pytest.mark.parametrize(
    ("start", "own", "spin"),
    [
        pytest.param(
            "from pages.ui.app.layout import open_page; open_page('Page').__enter__()",
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
        [sys.executable, "-c", f"{start}; import ctypes; ctypes.CDLL({str(gnu_openmp())!r})"],
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
