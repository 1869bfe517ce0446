"""README, CHANGELOG, CONTRIBUTING and docs: links lead somewhere, pictures exist in both languages,
the site builds without a warning.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from documents import DOCS, DOCUMENTS, ROOT, anchors, links, pictures, read, tables

from oct_core.scans import suffixes

PICTURES = DOCS / "pictures"
LANGUAGES = ("en", "ko")
MOST_BYTES = 4 * 2**20
NAMES = [str(path.relative_to(ROOT)) for path in DOCUMENTS]


def broken_links(path: Path, text: str) -> list[str]:
    """The links and pictures of a document that lead nowhere; of an address elsewhere only the form
    is looked at.
    """
    return [each for each in links(text) + pictures(text) if not leads_somewhere(path, text, each)]


def leads_somewhere(path: Path, text: str, target: str) -> bool:
    parts = urlsplit(target)
    if parts.scheme or parts.netloc:
        return parts.scheme == "https" and bool(parts.netloc)
    to = (path.parent / unquote(parts.path)).resolve() if parts.path else path
    if not (to.exists() and to.is_relative_to(ROOT)):
        return False
    return not parts.fragment or unquote(parts.fragment) in anchors(
        text if to == path else read(to)
    )


@pytest.mark.parametrize("name", NAMES)
def test_no_table_stands_twice_and_every_row_is_as_wide_as_its_header(name: str) -> None:
    found = tables(read(ROOT / name))
    assert len(set(found)) == len(found)
    for head, *rows in found:
        assert all(row.startswith("|") for row in rows), head
        assert {cells(row) for row in rows} == {cells(head)}, head


def cells(row: str) -> int:
    return len(re.findall(r"(?<!\\)\|", row)) - 1


@pytest.mark.parametrize("name", NAMES)
def test_links_lead_somewhere(name: str) -> None:
    assert not broken_links(ROOT / name, read(ROOT / name))


@pytest.mark.parametrize(
    "target",
    [
        "docs/nowhere.md",
        "docs/training.md#no-such-heading",
        "#no-such-heading",
        "http://example.org",
        "https:///page",
        "../elsewhere.md",
    ],
)
def test_a_link_that_leads_nowhere_is_noticed(target: str) -> None:
    good = (
        "# A heading\n\n[a](#a-heading) [b](docs/training.md#several-gpus) [c](https://a.org/b)\n"
    )
    assert broken_links(ROOT / "README.md", good) == []
    assert broken_links(ROOT / "README.md", f"{good}\n[d]({target})\n") == [target]


def test_every_picture_is_there_in_both_languages_and_is_used() -> None:
    used = {
        (path.parent / name).resolve()
        for path in DOCUMENTS
        for name in pictures(read(path))
        if not urlsplit(name).scheme
    }
    assert {path.parent for path in used} == {PICTURES}
    names = {path.name.split(".")[0] for path in used}
    wanted = {PICTURES / f"{name}.{language}.webp" for name in names for language in LANGUAGES}
    assert set(PICTURES.iterdir()) == wanted
    assert used <= wanted


def test_every_page_of_the_app_has_its_picture() -> None:
    pages = [path.stem.split("_", 1)[1].lower() for path in (ROOT / "pages").glob("[0-9]*_*.py")]
    shown = set(pictures(read(DOCS / "app.md")))
    assert {f"pictures/{name}.en.webp" for name in ["home", *pages]} <= shown


def test_pictures_are_small() -> None:
    assert sum(path.stat().st_size for path in PICTURES.iterdir()) < MOST_BYTES


def build(source: Path, out: Path) -> subprocess.CompletedProcess[str]:
    call = [sys.executable, "-m", "sphinx", "-W", "-n", "--keep-going", "-q", "-b", "html"]
    return subprocess.run(
        [*call, source, out], cwd=ROOT, capture_output=True, text=True, check=False
    )


def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    done = build(DOCS, tmp_path / "html")
    assert done.returncode == 0, done.stderr
    built = {path.stem for path in (tmp_path / "html").glob("*.html")}
    assert {path.stem for path in DOCS.glob("*.md")} <= built


def test_a_page_in_no_table_of_contents_stops_the_build(tmp_path: Path) -> None:
    (tmp_path / "conf.py").write_text(read(DOCS / "conf.py"))
    (tmp_path / "index.md").write_text("# Start\n")
    (tmp_path / "lost.md").write_text("# Lost\n")
    done = build(tmp_path, tmp_path / "html")
    assert done.returncode != 0 and "toctree" in done.stderr


def test_the_readme_names_every_suffix_that_is_read() -> None:
    rows = read(ROOT / "README.md").split("## Files that it reads")[1].split("\n\n")[1]
    named = {word for word in rows.split() if word.startswith(".")}
    assert named == set(suffixes())


def test_the_readme_takes_two_screens() -> None:
    assert len(read(ROOT / "README.md").splitlines()) <= 115
