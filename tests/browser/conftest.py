"""A real server on the tiny runs and a real Chromium."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "app"))
from demo_runs import write_run

ROOT = Path(__file__).resolve().parents[2]
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    found = next(
        (
            path
            for name in ("chromium", "chromium-browser", "google-chrome")
            if (path := shutil.which(name))
        ),
        None,
    )
    if found is None:
        reason = "no Chromium is installed (apt-get install chromium)"
        if os.environ.get("OCT_REQUIRE_BROWSER") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=found, args=ARGUMENTS)
        yield running
        running.close()


@contextmanager
def serve(checkpoints: Path, log: Path) -> Iterator[tuple[str, int]]:
    """A server on those runs: its address and its process. What it logs is printed afterwards."""
    port = free_port()
    command = [
        sys.executable,
        "-m",
        "streamlit",
        "run",
        "streamlit_app.py",
        "--server.port",
        str(port),
        "--server.headless",
        "true",
    ]
    environment = {**os.environ, "OCT_CHECKPOINTS": str(checkpoints)}
    with (
        log.open("wb") as out,
        subprocess.Popen(command, cwd=ROOT, env=environment, stdout=out, stderr=out) as server,
    ):
        until = time.monotonic() + 60
        while time.monotonic() < until:
            try:
                socket.create_connection(("localhost", port), 1).close()
                break
            except OSError:
                time.sleep(0.2)
        yield f"http://localhost:{port}", server.pid
        server.terminate()
    print(log.read_text(errors="replace"))


@pytest.fixture
def running(demo_root: Path, tmp_path: Path) -> Iterator[tuple[str, int]]:
    """A fresh server for each test: no page may rely on another having run."""
    with serve(demo_root, tmp_path / "server.log") as running:
        yield running


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of one server on the runs of the repository, for all tests of a file."""
    log = tmp_path_factory.mktemp("shipped") / "server.log"
    with serve(ROOT / "checkpoints", log) as (address, _):
        yield address


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of one server for all tests of a file: three tiny runs, and one in training."""
    folder = tmp_path_factory.mktemp("site")
    for seed, name in enumerate(("vgg16", "resnet50", "densenet121")):
        write_run(folder / "checkpoints", name, weights=True, seed=seed)
    write_run(folder / "checkpoints", "mine-vgg16", "training")
    with serve(folder / "checkpoints", folder / "server.log") as (address, _):
        yield address


@pytest.fixture
def address(running: tuple[str, int]) -> str:
    """The server's address."""
    return running[0]


@pytest.fixture
def server(running: tuple[str, int]) -> int:
    """The server's process."""
    return running[1]


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1400, "height": 1000}, accept_downloads=True)
    context.set_default_timeout(90_000)
    yield context.new_page()
    context.close()
