"""How quick is the app, and does it keep its memory? A real server, a real Chromium, real uploads.

    python benchmarks/app.py [--repeats 10] [--uploads 200]  # 0 leaves one out

Cold: the first visit to a server that has just begun to answer, and its first upload. Warm: a new
browser session on a server that has served one. Seconds are medians over the repeats, by the
browser's own clock, to the frame that shows it: to_first_page from the start of the navigation to
the models' figures on Home; to_predictions from the moment the page is handed a file to the answers
of the three models; to_all_maps to the last map, when the figure can be downloaded. (The program
that drives the browser learns of the answers later, once the page has time for its questions.)
Memory is the server's resident set in MB (2**20 bytes), on Linux. The scans are phantoms, each
drawn from another seed. The last line is JSON.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import platform
import shutil
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from itertools import count
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from oct_core.runs.files import list_runs
from oct_core.scans.phantom import make_phantom
from oct_core.types import CLASSES

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
AIMS = {"seconds_to_first_page": 3.0, "seconds_to_predictions": 0.7, "seconds_to_all_maps": 2.5}
AIM_MB, AIM_GROWTH_MB = 1500.0, 50.0
SCANS_A_SESSION = 10
TIMEOUT_MS = 180_000
SEEDS = count(7_000_000)
CLOCK = """
(runs) => {
  let start = 0;  // of the navigation, then of the upload
  const shown = window.shown = {}, waiting = new Set();
  const script = () => document.querySelector('[data-testid="stApp"]')?.dataset.testScriptState;
  const has = {
    first_page: () => [...document.querySelectorAll("h2, h3")]
      .some(one => one.textContent.trim() === "Limits"),
    predictions: () => start && runs.every(run =>
      document.querySelector(`[data-testid="prediction-${run}"]`)),
    all_maps: () => "predictions" in shown && script() === "notRunning"
      && document.body.innerText.includes("Download the figure (PNG)"),
  };
  const afterFrame = then => requestAnimationFrame(() => {
    // its message comes when the frame has been handed over
    const {port1, port2} = new MessageChannel();
    port1.onmessage = then;
    port2.postMessage(null);
  });
  const look = () => {
    for (const name of Object.keys(has)) if (!waiting.has(name) && has[name]()) {
      waiting.add(name);
      afterFrame(() => { shown[name] = (performance.now() - start) / 1000; look(); });
    }
  };
  document.addEventListener("change", event => {
    if (event.target.type === "file" && !start) start = performance.now();
  }, true);
  new MutationObserver(look).observe(document, {
    childList: true, subtree: true, attributes: true,
    attributeFilter: ["data-test-script-state"],
  });
}
"""
"""In a page, ``window.shown``: name -> seconds to the frame that shows it, of Home and of the first
upload in the viewer.
"""


def scan_file() -> dict[str, object]:
    """A PNG that no cache has seen, as Playwright takes files."""
    seed = next(SEEDS)
    buffer = io.BytesIO()
    Image.fromarray(make_phantom(CLASSES[seed % len(CLASSES)], seed).pixels).save(buffer, "PNG")
    return {"name": f"{seed}.png", "mimeType": "image/png", "buffer": buffer.getvalue()}


def chromium() -> str:
    """Where Chromium is; ends the program with what to do if there is none."""
    found = next(
        (
            path
            for name in ("chromium", "chromium-browser", "google-chrome")
            if (path := shutil.which(name))
        ),
        None,
    )
    if found is None:
        raise SystemExit("no Chromium is installed; apt-get install chromium, or its like")
    return found


@contextmanager
def server() -> Iterator[tuple[str, int]]:
    """A fresh server on the runs of the repository that answers its health check: (address, process
    id).
    """
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        port = probe.getsockname()[1]
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
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            until = time.monotonic() + 60
            while time.monotonic() < until and process.poll() is None:
                try:
                    socket.create_connection(("localhost", port), 1).close()
                    break
                except OSError:
                    time.sleep(0.05)
            else:
                raise SystemExit(
                    "the server did not answer within 60 s; start it by hand to see why: streamlit "
                    "run streamlit_app.py"
                )
            yield f"http://localhost:{port}", process.pid
        finally:
            process.terminate()


@contextmanager
def session(browser: Browser) -> Iterator[Page]:
    """A page in a browser context of its own: nothing cached, a new session of the server."""
    context = browser.new_context(viewport={"width": 1400, "height": 1000})
    context.set_default_timeout(TIMEOUT_MS)
    try:
        page = context.new_page()
        names = [card.name for card in list_runs() if card.status == "done"]
        page.add_init_script(f"({CLOCK})({json.dumps(names)})")
        yield page
    finally:
        context.close()


def first_page(page: Page, address: str) -> float:
    """Seconds to Home with its last heading, below the models' figures."""
    page.goto(address)
    return seconds(page, "first_page")


def seconds(page: Page, name: str) -> float:
    """What the page's own clock says, see CLOCK; waits until it was shown, without keeping the page
    busy by asking.
    """
    page.wait_for_function("name => name in window.shown", arg=name, polling=100)
    return float(page.evaluate("name => window.shown[name]", name))


def hand_over(page: Page) -> str:
    """Give the open viewer a new scan; its name."""
    scan = scan_file()
    page.locator('[data-testid="stFileUploader"] input[type="file"]').first.set_input_files([scan])  # type: ignore[arg-type]
    return str(scan["name"])


def upload(page: Page) -> None:
    """Hand over a new scan and wait for its maps."""
    shown = (
        page.locator('[data-testid="stMain"]').get_by_text(hand_over(page)).first
    )  # the uploader shows the name too, for longer
    page.locator(
        '[data-testid="stApp"][data-test-script-state="running"]'
    ).wait_for()  # else the last scan's maps would do
    shown.wait_for()
    page.get_by_text("Download the figure (PNG)").wait_for()
    page.locator('[data-testid="stApp"][data-test-script-state="notRunning"]').wait_for()


def open_viewer(page: Page, address: str) -> None:
    """The viewer, ready for a file: its chart is drawn, in less time than choosing one."""
    page.goto(f"{address}/Viewer")
    page.locator(".js-plotly-plot .main-svg").first.wait_for()
    page.locator('[data-testid="stApp"][data-test-script-state="notRunning"]').wait_for()


def visit(browser: Browser, address: str) -> dict[str, float]:
    """One session: Home, then one upload in the viewer."""
    with session(browser) as page:
        first = first_page(page, address)
        open_viewer(page, address)
        hand_over(page)
        maps = seconds(page, "all_maps")
        return {
            "seconds_to_first_page": first,
            "seconds_to_predictions": seconds(page, "predictions"),
            "seconds_to_all_maps": maps,
        }


def megabytes(process: int) -> float:
    """Resident memory of a process in MB."""
    for line in Path(f"/proc/{process}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise SystemExit("the system does not tell the memory of a process; run this on Linux")


def memory(browser: Browser, address: str, process: int, uploads: int) -> dict[str, float]:
    """Resident memory with three models loaded, after a quarter of the uploads, and after all."""
    found: dict[str, float] = {}
    done = 0
    while done < uploads:
        with session(browser) as page:
            open_viewer(page, address)
            for _ in range(min(SCANS_A_SESSION, uploads - done)):
                upload(page)
                done += 1
                if done == 1:
                    found["mb_three_models"] = megabytes(process)
                if done in (max(1, uploads // 4), uploads):
                    found[f"mb_after_{done}"] = megabytes(process)
        print(f"{done} uploads: {megabytes(process):.0f} MB", file=sys.stderr)
    return {name: round(value, 1) for name, value in found.items()}


def medians(rounds: list[dict[str, float]]) -> dict[str, float]:
    """Name -> median over the rounds."""
    return {name: round(statistics.median(one[name] for one in rounds), 3) for name in rounds[0]}


def main() -> None:
    """Measure, print a table against the aims, and the JSON line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--uploads", type=int, default=200)
    options = parser.parse_args()
    result: dict[str, object] = {
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "torch": version("torch"),
        "streamlit": version("streamlit"),
        "repeats": options.repeats,
    }
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=ARGUMENTS)
        cold, warm = [], []
        for _ in range(options.repeats):
            with server() as (address, _process):
                cold.append(visit(browser, address))
        if options.repeats:
            with server() as (address, _process):
                visit(browser, address)
                warm += [visit(browser, address) for _ in range(options.repeats)]
            result |= {"cold": medians(cold), "warm": medians(warm)}
            for name, aim in AIMS.items():
                print(
                    f"{name:24} cold {medians(cold)[name]:5.2f}, warm {medians(warm)[name]:5.2f}   "
                    f"aim {aim:g}"
                )
        if options.uploads:
            with server() as (address, process):
                kept = memory(browser, address, process, options.uploads)
            result |= kept
            growth = (
                kept[f"mb_after_{options.uploads}"]
                - kept[f"mb_after_{max(1, options.uploads // 4)}"]
            )
            print(f"{'mb_three_models':24} {kept['mb_three_models']:5.0f}   aim {AIM_MB:g}")
            print(f"{'growth in MB':24} {growth:5.0f}   aim under {AIM_GROWTH_MB:g}")
        browser.close()
    print(json.dumps(result))


if __name__ == "__main__":
    main()
