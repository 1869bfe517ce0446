"""The tools' checks are part of the test line: format, lint, types and the direction of imports."""

from __future__ import annotations

import subprocess
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CHECKS = {
    "ruff format --diff .": "run: ruff format .",
    "ruff check .": "run: ruff check . --fix, and mend the rest by hand",
    "lint-imports --no-cache": "the contracts stand in pyproject.toml, the map of the code in "
    "docs/architecture.md",
    "mypy": "everything in oct_core and pages/ui is typed",
}
"""Command -> what to do when it complains."""


def run_check(command: str, text: str = "") -> subprocess.CompletedProcess[str]:
    """Run a tool that lies beside the interpreter, whether that folder is on the path or not."""
    name, *arguments = command.split()
    tool = Path(sysconfig.get_path("scripts")) / name
    return subprocess.run(
        [tool, *arguments], cwd=ROOT, input=text, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("command", CHECKS)
def test_the_code_passes(command: str) -> None:
    done = run_check(command)
    assert done.returncode == 0, f"{command}: {CHECKS[command]}\n{done.stdout}{done.stderr}"


BRANCHES = "".join(f"    if a == {k}:\n        return {k}\n" for k in range(12))


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        ("PLR0913", "def add(a, b, c, d, e, f, g):\n    return a + b + c + d + e + f + g\n"),
        ("C901", f"def choose(a):\n{BRANCHES}    return a\n"),
        ("E722", "try:\n    import csv\nexcept:\n    csv = None\n"),
        ("BLE001", "try:\n    import csv\nexcept Exception:\n    csv = None\n"),
        ("E501", f'TEXT = "{"a" * 92}"\n'),
        ("TID251", "import streamlit.runtime\n"),
        ("TID251", "from starlette.formparsers import MultiPartParser\n"),
    ],
)
def test_a_rule_is_in_force(rule: str, text: str) -> None:
    done = run_check("ruff check --output-format concise --stdin-filename pages/ui/new.py -", text)
    assert done.returncode == 1 and f" {rule} " in done.stdout


def test_a_line_of_100_columns_passes() -> None:
    done = run_check("ruff check --stdin-filename pages/ui/new.py -", f'TEXT = "{"a" * 91}"\n')
    assert done.returncode == 0, done.stdout
