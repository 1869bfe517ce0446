"""Photograph every page of the app in every language, on the runs of the repository: the pictures
of docs.

    python benchmarks/screenshots.py [--page viewer] [--language ko] [--out docs/pictures]
        [--width 1366] [--height 976] [--whole]

--page, --language and --width may be repeated; all pages and languages by default. The first screen
becomes a small WebP, PAGE.LANGUAGE.webp; --whole photographs pages to their end as PNG, to be
looked at. The viewer shows a synthetic scan. A page that is not drawn in time, or shows an error,
is named, and the exit status is 1. The last line is JSON.
"""

from __future__ import annotations

import argparse
import io
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from app import ARGUMENTS, ROOT, chromium, server
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Error, Page, sync_playwright

from oct_core.scans.phantom import make_phantom
from pages.ui.app.language import LANGUAGES

TIMEOUT_MS = 90_000
SMALL_WIDTH, QUALITY = 1100, 75
SETTLED_MS = 1200
IS_SETTLED = """([rest]) => {
  const has = selector => [...document.querySelectorAll(selector)]
    .some(one => one.checkVisibility());
  const isInView = one => {  // what lies below is loaded when somebody scrolls there
    const {top, bottom} = one.getBoundingClientRect();
    return one.checkVisibility() && top < innerHeight && bottom > 0;
  };
  const state = document.querySelector("[data-test-script-state]");
  const charts = [...document.querySelectorAll('[data-testid="stPlotlyChart"]')];
  const busy = !state || state.getAttribute("data-test-script-state") !== "notRunning"
    || has('[data-testid="stSkeleton"], [data-testid="stSpinner"], [data-testid="stProgress"]')
    || charts.some(one => isInView(one) && !one.querySelector("svg.main-svg"))
    || [...document.images].some(one => isInView(one) && !one.complete);
  const now = performance.now(), size = document.body.innerHTML.length;
  if (busy || size !== window.lastSize) window.since = null;
  else if (!window.since) window.since = now;
  window.lastSize = size;
  return Boolean(window.since && now - window.since > rest);
}"""
"""A page counts as drawn when its script has rested for so long, nothing on it is still to come,
and it has not changed.
"""


def page_addresses() -> dict[str, str]:
    """File name of a picture -> path of its page, in the order of the menu."""
    names = [path.stem.split("_", 1)[1] for path in sorted((ROOT / "pages").glob("[0-9]*_*.py"))]
    return {"home": "/"} | {name.lower(): f"/{name}" for name in names}


def sample_scan() -> dict[str, object]:
    """The synthetic scan that the viewer is handed, as Playwright takes files."""
    buffer = io.BytesIO()
    Image.fromarray(make_phantom("CNV", 7_000_000).pixels).save(buffer, "PNG")
    return {"name": "synthetic.png", "mimeType": "image/png", "buffer": buffer.getvalue()}


def wait_until_drawn(page: Page) -> None:
    """Wait until the page has settled."""
    page.wait_for_function(IS_SETTLED, arg=[SETTLED_MS], polling=200)


def open_page(page: Page, address: str, path: str, language: str) -> None:
    """Go to a page; the viewer is handed a synthetic scan, and waited for until it has a verdict
    and maps. Raises Playwright's Error if that takes too long or the page shows an error.
    """
    page.goto(f"{address}{path}?lang={language}")
    wait_until_drawn(page)
    if path == "/Viewer":
        page.locator("input[type=file]").first.set_input_files(sample_scan())  # type: ignore[arg-type]
        page.locator(".oct-verdict").first.wait_for()
        page.wait_for_function("() => document.querySelectorAll('figure img').length > 3")
        wait_until_drawn(page)
    if page.locator('[data-testid="stException"]').count():
        raise Error(f"{path} shows an error")


def photograph(page: Page, file: Path, whole: bool) -> Path:
    """The page as a PNG to its end, or its first screen as a small WebP; returns the file."""
    if whole:
        frame = page.locator('[data-testid="stMainBlockContainer"]')
        height = int(frame.evaluate("element => element.scrollHeight")) + 120
        page.set_viewport_size({"width": page.viewport_size["width"], "height": height})  # type: ignore[index]
        wait_until_drawn(page)
        page.screenshot(path=file.with_name(f"{file.name}.png"))
        return file.with_name(f"{file.name}.png")
    picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    picture.thumbnail((SMALL_WIDTH, 10_000))
    picture.save(file.with_name(f"{file.name}.webp"), quality=QUALITY, method=6)
    return file.with_name(f"{file.name}.webp")


def photograph_page(
    context: BrowserContext, where: tuple[str, str, str], to: Path, whole: bool
) -> str:
    """Photograph one page; what went wrong, "" if nothing did.

    where : the server's address, the page's path, the language.
    """
    page = context.new_page()
    start = time.monotonic()
    try:
        open_page(page, *where)
        file = photograph(page, to, whole)
        size = file.stat().st_size / 1024
        print(f"{file.name}: {size:.0f} kB, {time.monotonic() - start:.1f} s", flush=True)
    except Error as error:
        print(f"{to.name}: {error}", file=sys.stderr, flush=True)
        return to.name
    finally:
        page.close()
    return ""


def contexts(
    browser: Browser, given: argparse.Namespace
) -> Iterator[tuple[BrowserContext, str, str]]:
    """One browser context a language and width, with the language and the end of file names."""
    widths = given.width or [1366]
    for width in widths:
        for language in given.language or LANGUAGES:
            context = browser.new_context(
                viewport={"width": width, "height": given.height}, locale=language
            )
            context.set_default_timeout(TIMEOUT_MS)
            yield context, language, "" if len(widths) == 1 else f"_{width}"
            context.close()


def arguments() -> argparse.Namespace:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "pictures")
    parser.add_argument("--page", action="append", choices=list(page_addresses()))
    parser.add_argument("--language", action="append", choices=list(LANGUAGES))
    parser.add_argument("--width", type=int, action="append")
    parser.add_argument("--height", type=int, default=976)
    parser.add_argument("--whole", action="store_true")
    return parser.parse_args()


def main() -> int:
    """Photograph all pages in all languages at all widths; the exit status."""
    given = arguments()
    given.out.mkdir(parents=True, exist_ok=True)
    wanted = {name: page_addresses()[name] for name in given.page or page_addresses()}
    names, failed, start = [], [], time.monotonic()
    with server() as (address, _), sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=ARGUMENTS)
        for context, language, end in contexts(browser, given):
            for name, path in wanted.items():
                file = given.out / f"{name}{end}.{language}"
                problem = photograph_page(context, (address, path, language), file, given.whole)
                (failed if problem else names).append(file.name)
        browser.close()
    seconds = round(time.monotonic() - start)
    print(json.dumps({"pictures": names, "failed": failed, "seconds": seconds}))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
