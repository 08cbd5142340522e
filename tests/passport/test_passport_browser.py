"""The passport in a real browser and on paper: offline, accessible, readable at every width, printed with tags."""

import shutil

import pytest

from pellucid.passport import Claim, passport_facts, write_passport, write_pdf
from pellucid.report import read_run

CHROMIUM = shutil.which("chromium")
axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="the passport's browser tests need axe")
pytestmark = pytest.mark.browser
CLAIMS = [
    Claim("gini", "at_least", 0.6, "a note"),
    Claim("accuracy", "at_least", 0.75),
    Claim("held_out", "at_most", 1),
]


@pytest.fixture(scope="module")
def page_path(measured, tmp_path_factory):
    out = tmp_path_factory.mktemp("page") / "passport.html"
    run = read_run(measured)
    write_passport(run, out, claims=CLAIMS, against=passport_facts(run, ()))
    return out


@pytest.mark.parametrize(("width", "media"), [(1200, "screen"), (390, "screen"), (680, "print")])
def test_it_is_complete_offline_and_nothing_sticks_out(browser, page_path, width, media):
    context = browser.new_context(viewport={"width": width, "height": 900}, offline=True)
    tab, said, asked = context.new_page(), [], []
    tab.on("console", lambda message: said.append(message.text))
    tab.on("request", lambda request: asked.append(request.url))
    tab.emulate_media(media=media)
    tab.goto(page_path.as_uri())
    assert said == []
    assert [url for url in asked if not url.startswith("data:")] == [page_path.as_uri()]
    visible, needed = tab.evaluate("[document.documentElement.clientWidth, document.documentElement.scrollWidth]")
    assert needed <= visible
    assert tab.evaluate("[...document.images].every(one => one.naturalWidth > 0 && one.alt)")
    narrow = tab.evaluate(
        "Math.min(...[...document.querySelectorAll('td, th')].filter(e => e.textContent.trim()"
        ".length > 20 && e.getClientRects().length).map(e => e.clientWidth))"
    )
    assert narrow >= 60  # no column of single letters
    context.close()


def test_axe_finds_nothing(browser, page_path):
    context = browser.new_context(viewport={"width": 1200, "height": 900}, bypass_csp=True)
    tab = context.new_page()
    tab.goto(page_path.as_uri())
    found = axe.Axe().run(tab).response["violations"]
    assert [(one["id"], one["nodes"][0]["html"]) for one in found] == []
    context.close()


@pytest.mark.skipif(CHROMIUM is None, reason="browser tests need Debian's chromium")
def test_it_prints_with_tags_and_without_the_clock(page_path, tmp_path):
    page, created = page_path.read_text(encoding="utf-8"), "2026-01-01T00:00:00+00:00"
    write_pdf(page, tmp_path / "one.pdf", chromium=CHROMIUM, created=created)
    found = (tmp_path / "one.pdf").read_bytes()
    assert found.startswith(b"%PDF")
    assert found.count(b"(D:20260101000000+00'00')") == 2
    assert b"/StructElem" in found  # for screen readers
