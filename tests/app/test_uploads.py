"""What the web server does with a large upload, through its own parser of requests."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tomllib
from collections.abc import AsyncIterator, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from starlette.datastructures import Headers, UploadFile
from starlette.formparsers import MultiPartParser

from oct_core.scans import DEFAULT
from pages.ui.app.services import MAX_UPLOAD_BYTES
from pages.ui.app.streamlit_inside import keep_uploads_in_memory

ROOT = Path(__file__).resolve().parents[2]
FIVE_MB = b"\x89" * 5_000_000


async def received() -> UploadFile:
    """A 5 MB file as Streamlit's upload address parses it."""
    head = (
        b'--cut\r\nContent-Disposition: form-data; name="file"; '
        b'filename="scan.png"\r\nContent-Type: image/png\r\n\r\n'
    )

    async def body() -> AsyncIterator[bytes]:
        yield head
        for start in range(0, len(FIVE_MB), 65_536):
            yield FIVE_MB[start : start + 65_536]
        yield b"\r\n--cut--\r\n"

    form = await MultiPartParser(
        Headers({"content-type": "multipart/form-data; boundary=cut"}), body()
    ).parse()
    file = form["file"]
    assert isinstance(file, UploadFile)
    return file


def in_a_loop_of_its_own(work: Callable[[], Coroutine[Any, Any, UploadFile]]) -> UploadFile:
    """In another thread: the browser tests of the same process keep an event loop running in this
    one.
    """
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(lambda: asyncio.run(work())).result()


def test_a_large_upload_is_not_moved_to_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MultiPartParser, "spool_max_size", 1024 * 1024)
    assert in_a_loop_of_its_own(received).file._rolled  # type: ignore[attr-defined]  # as the server comes
    keep_uploads_in_memory(2 * MAX_UPLOAD_BYTES)
    upload = in_a_loop_of_its_own(received)
    assert not upload.file._rolled  # type: ignore[attr-defined]
    assert upload.file.read() == FIVE_MB


def test_the_viewer_sees_to_it_before_the_first_upload() -> None:
    code = (
        "import pages.ui.viewer.page; from starlette.formparsers import MultiPartParser as P; "
        "print(P.spool_max_size)"
    )
    result = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(result.stdout.split()[-1]) > MAX_UPLOAD_BYTES


def test_the_server_is_set_up_as_the_readme_says() -> None:
    options = tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text())
    assert options["server"]["address"] == "localhost" and options["server"]["enableXsrfProtection"]
    assert (
        not options["browser"]["gatherUsageStats"]
        and options["client"]["showErrorDetails"] == "none"
    )
    assert options["server"]["maxUploadSize"] * 2**20 == MAX_UPLOAD_BYTES == DEFAULT.bytes
