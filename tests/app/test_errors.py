"""What a person sees of an error that nobody expected, and what the server's terminal gets."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from oct_core.errors import CheckpointError
from pages.ui.app.services import describe_error, log_error

ROOT = Path(__file__).resolve().parents[2]
NAME = "Anna_Mueller_1950.png"

# A real page, a real upload, and a reader that breaks on it with the name in its message.
PAGE = """
import io, os, sys
import numpy as np
from PIL import Image
from streamlit.testing.v1 import AppTest
import oct_core.scans

sys.path.insert(0, os.getcwd())


def broken_reader(data, name):
    secret_value = name
    raise ZeroDivisionError(f"cannot read {name}")


oct_core.scans.read_scan = broken_reader
page = AppTest.from_file(os.path.abspath("streamlit_app.py"), default_timeout=120)
page.switch_page("pages/1_Viewer.py").run()
picture = io.BytesIO()
Image.fromarray(np.zeros((64, 64), np.uint8)).save(picture, "PNG")
page.get("file_uploader")[0].set_value([(sys.argv[1], picture.getvalue(), "image/png")]).run()
print([error.value for error in page.error])
"""


def test_an_unexpected_error_in_a_page_leaves_its_stack_in_the_terminal(tmp_path: Path) -> None:
    code = tmp_path / "page.py"
    code.write_text(PAGE)
    result = subprocess.run(
        [sys.executable, "-W", "ignore", str(code), NAME],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OCT_CHECKPOINTS": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    assert "Something went wrong on the server" in result.stdout
    assert "ZeroDivisionError" in result.stderr and "Traceback" not in result.stdout
    assert "in _ingest" in result.stderr and "in broken_reader" in result.stderr
    assert "Mueller" not in result.stderr


def test_the_log_says_what_led_to_an_error_without_any_message(
    caplog: pytest.LogCaptureFixture,
) -> None:
    try:
        try:
            raise KeyError(NAME)
        except KeyError as error:
            raise RuntimeError(f"about {NAME}") from error
    except RuntimeError as error:
        with caplog.at_level(logging.ERROR, "oct_app"):
            log_error(error)
    [record] = caplog.records
    text = record.getMessage()
    assert text.index("builtins.RuntimeError") < text.index("after builtins.KeyError")
    assert text.count(f'File "{__file__}"') == 2 and NAME not in text
    assert record.exc_info is None, "a formatter would print the message"


def test_an_error_of_our_own_is_its_sentence_and_not_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    error = CheckpointError("{name} has no weights; train it again", name="vgg16")
    assert describe_error(error) == "vgg16 has no weights; train it again"
    assert not caplog.records
