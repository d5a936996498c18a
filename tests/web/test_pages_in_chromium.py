"""The pages in a real browser: WCAG by axe-core, without JavaScript, on a phone, by keyboard and on paper."""

import itertools
import json
from pathlib import Path

import axe_playwright_python
import pytest
from playwright.sync_api import sync_playwright

from web.visiting import federated, installed, operated, visited

AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text(encoding="utf-8")
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
PAGES = ["/", "/etat", "/etat/accessibilite", "/nothing"]


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    settings, database = installed(tmp_path_factory.mktemp("house"))
    operated(database)
    federated(database)
    with visited(settings) as ask:
        yield ask.url
    database.close()


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as played:
        opened = played.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture
def opened(browser, url):
    """Opens a path in a context of its own."""
    contexts = []

    def open_page(path, **given):
        contexts.append(
            browser.new_context(**{"java_script_enabled": False, "viewport": {"width": 1200, "height": 900}, **given})
        )
        page = contexts[-1].new_page()
        page.goto(url + path)
        return page

    yield open_page
    for context in contexts:
        context.close()


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1200, 320])
@pytest.mark.parametrize("path", PAGES)
def test_axe_finds_nothing_against_wcag_2_2_aa(opened, path, width, theme):
    # axe waits by timers, which need scripts; the page has none of its own.
    given = {"java_script_enabled": True, "bypass_csp": True, "viewport": {"width": width, "height": 800}}
    page = opened(path, color_scheme=theme, **given)
    page.evaluate("for (const each of document.querySelectorAll('details')) each.open = true")
    page.evaluate(AXE)

    found = page.evaluate(f"axe.run(document, {{runOnly: {{type: 'tag', values: {json.dumps(RULES)}}}}})")

    assert [(each["id"], [node["html"][:200] for node in each["nodes"]]) for each in found["violations"]] == []


@pytest.mark.parametrize("language", ["fr", "en"])
@pytest.mark.parametrize("path", PAGES)
def test_nothing_scrolls_sideways_at_320_pixels(opened, path, language):
    page = opened(f"{path}?lang={language}", viewport={"width": 320, "height": 640})
    page.evaluate("for (const each of document.querySelectorAll('details')) each.open = true")

    assert page.evaluate("document.documentElement.scrollWidth") == 320


@pytest.mark.parametrize("path", PAGES)
def test_a_page_has_one_first_heading_and_its_landmarks(opened, path):
    page = opened(path)

    assert {name: page.locator(name).count() for name in ("h1", "header", "main", "footer")} == {
        "h1": 1,
        "header": 1,
        "main": 1,
        "footer": 1,
    }


@pytest.mark.parametrize("path", PAGES)
def test_headings_leave_out_no_level(opened, path):
    page = opened(path)

    levels = page.evaluate("[...document.querySelectorAll('h1, h2, h3, h4')].map(each => +each.tagName[1])")

    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))


def test_the_first_key_leads_past_the_navigation(opened):
    page = opened("/")

    page.keyboard.press("Tab")
    shown = page.locator(".skip").bounding_box()["x"] >= 0
    page.keyboard.press("Enter")

    assert (shown, page.evaluate("document.activeElement.id")) == (True, "main")


@pytest.mark.parametrize("path", ["/", "/etat"])
def test_whatever_has_the_focus_is_outlined_and_large_enough(opened, path):
    page = opened(path)
    small = []

    for _ in range(40):
        page.keyboard.press("Tab")
        look = page.evaluate(
            "(() => { const each = document.activeElement, box = each.getBoundingClientRect(), style = getComputedStyle(each);"
            "return [each.tagName, parseFloat(style.outlineWidth), box.height, style.outlineStyle]; })()"
        )
        if look[0] not in {"BODY", "HTML"} and (look[1] < 2 or look[2] < 24 or look[3] == "none"):
            small.append(look)

    assert small == []


def test_a_table_opens_without_javascript(opened):
    page = opened("/etat")

    page.locator("article.service summary").first.click()

    assert page.locator("article.service table").first.is_visible()


def test_the_tables_are_on_paper(opened):
    page = opened("/etat")

    page.emulate_media(media="print")

    assert page.locator("article.service table").first.bounding_box()["height"] > 500


def test_both_themes_are_drawn_differently(opened):
    papers = {
        theme: opened("/", color_scheme=theme).evaluate("getComputedStyle(document.body).backgroundColor")
        for theme in ("light", "dark")
    }

    assert papers["light"] != papers["dark"]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_mark_stands_out_from_the_paper_by_three_to_one(opened, theme):
    """axe looks at text only."""
    page = opened("/etat", color_scheme=theme)

    colours = page.evaluate(
        "(() => { const style = getComputedStyle(document.documentElement);"
        "return Object.fromEntries(['paper', 'good-bar', 'bad-bar', 'none-bar', 'work-bar'].map("
        "each => [each, style.getPropertyValue('--' + each).trim()])); })()"
    )

    paper = luminance(colours.pop("paper"))
    assert {name: contrast(luminance(each), paper) >= 3 for name, each in colours.items()} == dict.fromkeys(
        colours, True
    )


def luminance(colour):
    channels = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4 for each in channels]
    return sum(weight * each for weight, each in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one, other):
    return (max(one, other) + 0.05) / (min(one, other) + 0.05)
