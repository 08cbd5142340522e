"""The report in a real browser: complete, offline, readable at every width and in both colour schemes."""

import shutil

import pytest
from fake_runs import write_runs

from pellucid.report import write_report

CHROMIUM = shutil.which("chromium")
playwright = pytest.importorskip("playwright.sync_api", reason="the report's browser tests need playwright")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="the report's browser tests need Debian's chromium"),
]


@pytest.fixture(scope="module")
def page_path(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    write_runs(folder)
    return write_report(folder)


@pytest.fixture(scope="module")
def browser():
    flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    with playwright.sync_playwright() as driver:
        found = driver.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield found
        found.close()


@pytest.fixture(params=[(1200, "light"), (1200, "dark"), (390, "light"), (390, "dark")], ids=str)
def page(request, browser, page_path):
    width, scheme = request.param
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, offline=True)
    tab = context.new_page()
    tab.said, tab.asked = [], []
    tab.on("console", lambda message: tab.said.append(message.text))
    tab.on("pageerror", lambda error: tab.said.append(str(error)))
    tab.on("request", lambda request: tab.asked.append(request.url))
    tab.goto(page_path.as_uri())
    yield tab
    context.close()


def test_it_asks_for_nothing_and_complains_of_nothing(page, page_path):
    assert page.said == []
    assert [url for url in page.asked if not url.startswith("data:")] == [page_path.as_uri()]


def test_nothing_sticks_out_and_every_figure_has_a_size(page):
    width, seen = page.evaluate("[document.documentElement.clientWidth, document.documentElement.scrollWidth]")
    assert seen <= width
    boxes = page.evaluate("[...document.querySelectorAll('figure svg')].map(e => e.getBoundingClientRect().toJSON())")
    assert len(boxes) >= 6
    assert all(box["width"] > 200 and box["height"] > 40 for box in boxes)


def test_text_stands_out_from_its_page(page):
    def luminance(colour):
        parts = [float(p) / 255 for p in colour[colour.index("(") + 1 : -1].split(",")[:3]]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    ink, paper = page.evaluate(
        "[getComputedStyle(document.querySelector('h2')).color, getComputedStyle(document.body).backgroundColor]"
    )
    light, dark = sorted((luminance(ink), luminance(paper)), reverse=True)
    assert (light + 0.05) / (dark + 0.05) >= 7  # WCAG AAA


def test_details_open_by_keyboard(page):
    first = page.locator("details summary").first
    first.focus()
    page.keyboard.press("Enter")
    assert page.locator("details").first.get_attribute("open") is not None
