"""The language of the app in a real browser: the browser's own at first, then the one chosen."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect
from test_app import PAGES

expect.set_options(timeout=30_000)


@pytest.fixture
def korean_browser(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1400, "height": 1000}, locale="ko-KR")
    context.set_default_timeout(90_000)
    yield context.new_page()
    context.close()


def finished(page: Page) -> None:
    expect(page.get_by_test_id("stApp")).to_have_attribute("data-test-script-state", "notRunning")


def choose(page: Page, name: str) -> None:
    finished(page)
    page.get_by_test_id("stSidebar").get_by_text(name, exact=True).click()


def test_the_browser_chooses_and_the_menu_is_translated(korean_browser: Page, address: str) -> None:
    page = korean_browser
    page.goto(f"{address}/Performance")
    expect(page.locator("h1").first).to_have_text("성능")
    menu = page.get_by_test_id("stSidebarNavItems")
    names = [
        link.evaluate("a => getComputedStyle(a.querySelector('span'), '::before').content")
        for link in menu.get_by_role("link").all()
    ]
    assert names[1] == '"뷰어"' and len(names) == 8
    assert all(re.search("[가-힣]", name) for name in names), names
    choose(page, "English")
    expect(page.locator("h1").first).to_have_text("Performance")
    page.reload()
    expect(page.locator("h1").first).to_have_text("Performance")


def test_the_language_chosen_stays_on_other_pages_in_parts_drawn_alone_and_after_a_reload(
    page: Page, address: str
) -> None:
    page.goto(f"{address}/Viewer")
    expect(page.locator("h1").first).to_have_text("Viewer")
    choose(page, "한국어")
    expect(page.locator("h1").first).to_have_text("뷰어")
    page.locator('[data-testid="stSidebarNavItems"] a[href$="/Performance"]').click()
    expect(page.locator("h1").first).to_have_text("성능")
    expect(page).to_have_url(re.compile(r"/Performance\?lang=ko$"))
    finished(page)
    main = page.get_by_test_id("stMain")
    expect(main.locator(".js-plotly-plot").first).to_be_visible()
    main.get_by_text("실제 클래스 대비 백분율", exact=True).first.click()
    expect(main.locator(".js-plotly-plot").first).to_contain_text("%")
    finished(page)
    text = main.inner_text()
    assert not re.findall(r"(?:[A-Za-z]{2,} ){4}", text)
    page.reload()
    expect(page.locator("h1").first).to_have_text("성능")
    finished(page)
    assert page.locator('[data-testid="stException"]').count() == 0


def test_a_choice_made_in_one_language_holds_in_the_other(page: Page, address: str) -> None:
    page.goto(f"{address}/Viewer")
    main = page.get_by_test_id("stMain")
    finished(page)
    main.get_by_role("button", name="Open", exact=True).first.click()
    expect(page.get_by_test_id("verdict")).to_be_visible()
    target = page.locator('[data-testid="stSelectbox"]').filter(has_text="Target class")
    target.locator("input").click()
    page.get_by_role("option", name="DRUSEN").click()
    expect(page.locator('img[alt*="target DRUSEN"]').first).to_be_visible()
    choose(page, "한국어")
    expect(page.locator("h1").first).to_have_text("뷰어")
    finished(page)
    chosen = page.locator('[data-testid="stSelectbox"]').filter(has_text="대상 클래스")
    for _ in range(2):
        expect(chosen.locator("input")).to_have_value("DRUSEN · 드루젠")
        expect(page.locator('img[alt*="DRUSEN"]').first).to_be_visible()
        page.get_by_test_id("stCheckbox").filter(has_text="반전").locator("label").first.click()
        finished(page)


def test_the_language_can_be_switched_with_any_tab_open(page: Page, address: str) -> None:
    page.goto(f"{address}/Performance")
    page.get_by_role("tab", name="Curves").click()
    finished(page)
    choose(page, "한국어")
    expect(page.locator("h1").first).to_have_text("성능")
    finished(page)
    assert page.locator('[data-testid="stException"]').count() == 0
    assert page.get_by_test_id("stMain").locator(".js-plotly-plot").count()


@pytest.mark.parametrize("name", list(PAGES))
def test_every_page_speaks_korean(page: Page, site: str, name: str) -> None:
    page.goto(f"{site}/{name}?lang=ko")
    expect(page.locator("h1").first).to_have_text(re.compile("[가-힣]"))
    finished(page)
    assert page.get_by_test_id("stException").count() == 0
    text = page.get_by_test_id("stMain").inner_text()
    assert len(re.findall("[가-힣]", text)) > 100
    assert not re.findall(r"(?:\b[a-z]{2,} ){4}", text), "no English sentence"
