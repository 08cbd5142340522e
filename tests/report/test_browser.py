"""The report in a real browser: complete, offline, readable at every width and in both colour schemes."""

import pytest
from fake_runs import write_grid, write_runs

from pellucid.report import write_report

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def page_path(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    write_runs(folder)
    return write_report(folder)


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


@pytest.fixture(scope="module")
def grid_path(tmp_path_factory):
    return write_report(write_grid(tmp_path_factory.mktemp("grid"), seeds=2, images=12))


@pytest.fixture
def grid(browser, grid_path):
    context = browser.new_context(viewport={"width": 390, "height": 900}, color_scheme="dark", offline=True)
    tab = context.new_page()
    tab.said = []
    tab.on("console", lambda message: tab.said.append(message.text))
    tab.on("pageerror", lambda error: tab.said.append(str(error)))
    tab.goto(grid_path.as_uri())
    yield tab
    context.close()


def test_a_grid_s_page_fits_a_phone_and_complains_of_nothing(grid):
    assert grid.said == []
    width, seen = grid.evaluate("[document.documentElement.clientWidth, document.documentElement.scrollWidth]")
    assert seen <= width
    grid.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
    assert grid.evaluate("document.documentElement.scrollWidth") <= width
    boxes = grid.evaluate("[...document.querySelectorAll('figure svg')].map(e => e.getBoundingClientRect().toJSON())")
    assert all(box["width"] > 200 and box["height"] > 40 for box in boxes)
    assert len(boxes) >= 7


def test_the_runs_can_be_filtered_and_sorted(grid):
    rows = grid.locator("#sheet-cells tbody tr")
    box = grid.locator("#cells input")
    assert rows.count() == 6
    box.fill("g seed1")

    assert grid.locator("#sheet-cells tbody tr:visible").count() == 1
    assert grid.locator("#cells output").inner_text() == "1 of 6 runs"
    box.fill("")
    grid.get_by_role("button", name="Natural accuracy").click()
    place = [head.startswith("Natural") for head in grid.locator("#sheet-cells thead th").all_inner_texts()].index(True)
    shown = [float(row.split("\t")[place]) for row in rows.all_inner_texts()]
    assert shown == sorted(shown)
    assert grid.locator("#sheet-cells [aria-sort=ascending]").count() == 1
    grid.get_by_role("button", name="Natural accuracy").click()
    assert [float(row.split("\t")[place]) for row in rows.all_inner_texts()] == sorted(shown, reverse=True)


def test_a_black_mark_is_not_lost_in_the_dark(grid):
    fill = grid.evaluate("getComputedStyle(document.querySelector('figure svg')).fill")
    assert fill == "rgb(255, 255, 255)"
