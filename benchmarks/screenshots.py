"""Photograph every page of the app on the runs of the repository: the pictures of docs.

    python benchmarks/screenshots.py [--out docs] [--width 1366] [--height 976] [--whole]

--width may be repeated. --whole photographs pages to their end as PNG, to be looked at; without it
the first screen becomes a small WebP. The viewer shows a synthetic scan. The last line is JSON.
"""

from __future__ import annotations

import argparse
import io
import json
from pathlib import Path

from app import ROOT, TIMEOUT_MS, chromium, scan_file, server
from PIL import Image
from playwright.sync_api import Page, sync_playwright

ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
SMALL_WIDTH = 1000
SETTLED_MS = 1500
"""A page counts as drawn when its script has rested for so long."""
IS_SETTLED = """([rest]) => {
  const state = document.querySelector("[data-test-script-state]");
  const now = performance.now();
  if (!state || state.getAttribute("data-test-script-state") !== "notRunning") window.since = null;
  else if (!window.since) window.since = now;
  return Boolean(window.since && now - window.since > rest);
}"""


def page_addresses() -> dict[str, str]:
    """File name of a picture -> path of its page, in the order of the menu."""
    names = [path.stem.split("_", 1)[1] for path in sorted((ROOT / "pages").glob("[0-9]*_*.py"))]
    return {"home": "/"} | {name.lower(): f"/{name}" for name in names}


def wait_until_drawn(page: Page) -> None:
    """Wait until the page's script has rested."""
    page.wait_for_function(IS_SETTLED, arg=[SETTLED_MS], polling=200)


def open_page(page: Page, address: str, path: str) -> None:
    """Go to a page; the viewer is handed a synthetic scan."""
    page.goto(address + path)
    wait_until_drawn(page)
    if path == "/Viewer":
        page.locator("input[type=file]").first.set_input_files(scan_file())  # type: ignore[arg-type]
        page.get_by_text("Download the figure").first.wait_for()
        wait_until_drawn(page)


def photograph(page: Page, file: Path, whole: bool) -> None:
    """The page as a PNG to its end, or its first screen as a small WebP."""
    if whole:
        frame = page.locator('[data-testid="stMainBlockContainer"]')
        height = int(frame.evaluate("element => element.scrollHeight")) + 120
        page.set_viewport_size({"width": page.viewport_size["width"], "height": height})  # type: ignore[index]
        wait_until_drawn(page)
        page.screenshot(path=file.with_suffix(".png"))
        return
    picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    picture.thumbnail((SMALL_WIDTH, 10_000))
    picture.save(file.with_suffix(".webp"), quality=75, method=6)


def main() -> None:
    """Photograph all pages at all widths."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "docs")
    parser.add_argument("--width", type=int, action="append")
    parser.add_argument("--height", type=int, default=976)
    parser.add_argument("--whole", action="store_true")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    widths, files = given.width or [1366], []
    with server() as (address, _), sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=ARGUMENTS)
        for width in widths:
            for name, path in page_addresses().items():
                context = browser.new_context(viewport={"width": width, "height": given.height})
                context.set_default_timeout(TIMEOUT_MS)
                page = context.new_page()
                open_page(page, address, path)
                file = given.out / (name if len(widths) == 1 else f"{name}_{width}")
                photograph(page, file, given.whole)
                files.append(file.name)
                print(f"{path} at {width} px", flush=True)
                context.close()
        browser.close()
    print(json.dumps({"pictures": files}))


if __name__ == "__main__":
    main()
