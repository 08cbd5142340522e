"""The page in a real browser: sliders, steps, uploads, download; accessible; nothing from outside."""

import re

import pytest
from explored import ODD, gallery, odd_gallery, subject
from PIL import Image
from test_explore_uploads import JPEG, SVG, huge_png, picture, saved

from pellucid.attacks import Budget
from pellucid.explore import views
from pellucid.explore.server import running
from pellucid.explore.views import Change, Viewer
from pellucid.explore.worker import Busy

axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="the page's browser tests need axe")
pytestmark = pytest.mark.browser
DESKTOP = {"viewport": {"width": 1280, "height": 900}}
DARK_PHONE = {"viewport": {"width": 390, "height": 800}, "is_mobile": True, "has_touch": True, "color_scheme": "dark"}
SMALL = Budget(eps=0.1, step_size=0.02, steps=5, k=100)


@pytest.fixture(scope="module")
def shown():
    return gallery(images=30)


@pytest.fixture(scope="module")
def address(shown):
    with pytest.MonkeyPatch.context() as patch, running(shown) as found:
        patch.setattr(views, "budget_for", lambda _: SMALL)
        yield found


class Tab:
    """A page that remembers what it complained of and what it asked for."""

    def __init__(self, browser, options):
        self.context = browser.new_context(**options)
        self.page = self.context.new_page()
        self.said, self.asked = [], []
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))

    def open(self, address):
        self.page.goto(address)
        self.until("Untouched")
        return self

    def until(self, words):
        """Wait until the caption says it."""
        self.page.locator("#caption", has_text=words).wait_for(timeout=20_000)

    def slide(self, name, value):
        self.page.get_by_label(name).fill(str(value))

    def card(self, place=0):
        return self.page.locator(".model").nth(place)

    def numbers(self, place=0, figure=-1):
        """The numbers under a picture, as they are shown."""
        shown = self.card(place).locator("figure").nth(figure).locator(".numbers").text_content()
        return dict(line.split() for line in shown.split("\n"))

    def colours(self, figure):
        """How many different pixels a picture of the first model has."""
        count = (
            "c => new Set(new Uint32Array(c.getContext('2d').getImageData(0, 0, c.width, c.height).data.buffer)).size"
        )
        return self.card().locator("canvas").nth(figure).evaluate(count)

    def check(self):
        """Nothing wrong for axe, nothing that sticks out."""
        found = axe.Axe().run(self.page).response["violations"]
        assert [(one["id"], one["nodes"][0]["html"]) for one in found] == []
        width, seen = self.page.evaluate("[document.documentElement.clientWidth, document.documentElement.scrollWidth]")
        assert seen <= width


@pytest.fixture
def tab(browser, request):
    opened = Tab(browser, getattr(request, "param", DESKTOP))
    yield opened
    opened.context.close()


@pytest.mark.parametrize("tab", [DESKTOP, DARK_PHONE], ids=["desktop", "dark phone"], indirect=True)
def test_accessible_and_alone(tab, address):
    tab.open(address)
    tab.check()
    tab.slide("Gaussian noise", 0.1)
    tab.until("σ = 0.100")
    tab.slide("Gaussian noise", 0.2)
    tab.until("σ = 0.200")
    tab.check()
    for name, words in (("Attack on the prediction", "Untouched"), ("Attack on the explanation", "iterate 0 of 6")):
        tab.page.get_by_label(name).check()
        tab.until(words)
        tab.check()
    assert [url for url in tab.asked if not url.startswith(address)] == []
    assert tab.said == []


def test_noise_is_dragged_and_the_numbers_are_the_projects_own(tab, address, shown):
    tab.open(address)
    for position in (0.05, 0.1):
        tab.slide("Gaussian noise", position)
        tab.until(f"σ = {position:.3f}")
        for place, view in enumerate(
            Viewer(shown).changed(subject(0, shown), Change("noise", position), ["gradient"], lambda: None)
        ):
            numbers = tab.numbers(place, 1)
            assert float(numbers["SSIM"]) == pytest.approx(view.maps[0].numbers["ssim"], abs=6e-4)
            if numbers["ROS"] != "undefined":
                assert float(numbers["ROS"]) == pytest.approx(view.maps[0].numbers["ros"], rel=6e-3)
            predicted = shown.test.classes[view.predicted]
            assert predicted in tab.card(place).locator(".verdict").text_content()
    assert tab.card().locator("figure .curve").count() == 2  # SSIM over the positions visited
    before = tab.numbers()
    tab.page.get_by_role("button", name="New noise").click()
    tab.until("seed 1")
    assert tab.numbers() != before
    assert tab.said == []


def test_a_drag_over_many_positions_ends_at_the_last(tab, address):
    tab.open(address)
    tab.page.get_by_label("Gaussian noise").evaluate(
        "n => { for (let i = 1; i <= 60; i++) { n.value = i / 200; n.dispatchEvent(new Event('input')); } }"
    )
    tab.until("σ = 0.300")
    tab.page.wait_for_load_state("networkidle")
    tab.until("σ = 0.300")
    assert sum("/view" in url for url in tab.asked) <= 5


def test_the_keyboard_moves_the_slider_and_chooses_an_image(tab, address):
    tab.open(address)
    tab.page.get_by_label("Gaussian noise").focus()
    for _ in range(4):
        tab.page.keyboard.press("ArrowRight")
    tab.until("σ = 0.020")
    tab.page.get_by_role("button", name="test image 2", exact=False).first.focus()
    tab.page.keyboard.press("Enter")
    tab.until("Test image 2 of")
    assert tab.page.locator(".strip [aria-pressed=true]").count() == 1


def test_maps_are_chosen_and_at_least_one_stays(tab, address):
    tab.open(address)
    tab.page.get_by_label("Edge detector").check()
    tab.page.get_by_label("SmoothGrad").check()
    tab.card().locator("figure").nth(4).wait_for()
    names = tab.card().locator("figcaption .title").all_text_contents()
    assert names == ["image", "Edge detector", "Gradient", "Integrated gradients", "SmoothGrad"]
    tab.page.evaluate("() => document.querySelectorAll('[name=attribution]:checked').forEach(box => box.click())")
    assert tab.page.locator("[name=attribution]:checked").count() == 1


def test_an_attack_changes_image_and_map_and_shows_what_it_added(tab, address):
    tab.open(address)
    tab.page.get_by_label("Attack on the prediction").check()
    tab.until("Untouched")
    tab.slide("PGD", 0.1)
    tab.until("ε = 0.100")
    assert tab.card().locator("figcaption").nth(1).text_content() == "perturbationamplified × 5.00, grey is 0"
    assert "prediction changed" in tab.page.locator(".verdict").first.text_content()
    assert tab.colours(1) > 2
    assert float(tab.numbers(0, 2)["SSIM"]) < 0.999


def test_an_attack_on_the_explanation_is_walked_and_played(tab, address):
    tab.open(address)
    tab.page.get_by_label("Attack on the explanation").check()
    tab.until("iterate 0 of 6")
    assert tab.numbers()["top-k"] == "1.000"
    assert tab.page.get_by_role("button", name="Step back").is_disabled()
    tab.page.get_by_role("button", name="Step on").click()
    tab.until("iterate 1 of 6")
    tab.page.get_by_role("button", name="Step back").click()
    tab.until("iterate 0 of 6")
    tab.page.get_by_role("button", name="Play").click()
    tab.until("iterate 6 of 6")
    tab.page.get_by_role("button", name="Play").wait_for()
    assert float(tab.numbers()["top-k"]) < 1
    assert tab.page.get_by_role("img", name="top-k intersection by step").count() == 2
    tab.page.get_by_label("Way", exact=True).select_option("random")
    tab.until("random steps (control)), iterate 0 of 5")
    assert tab.said == []


def test_what_is_seen_is_downloaded(tab, address):
    tab.open(address)
    tab.slide("Gaussian noise", 0.1)
    tab.until("σ = 0.100")
    with tab.page.expect_download() as waiting:
        tab.page.get_by_role("link", name="PNG").click()
    assert waiting.value.suggested_filename == "pellucid-noise.png"
    assert Image.open(waiting.value.path()).width > 600
    for kind in ("SVG", "PDF"):
        assert "amount=0.1&" in tab.page.get_by_role("link", name=kind).get_attribute("href")


def send(tab, name, content):
    tab.page.get_by_label("Your own image").set_input_files({"name": name, "mimeType": "", "buffer": content})


def test_an_image_of_ones_own_is_seen(tab, address):
    tab.open(address)
    send(tab, "my own.png", saved(picture((300, 200)), "PNG"))
    tab.until("An uploaded image. Untouched")
    assert tab.colours(0) > 10
    assert tab.page.locator(".strip [aria-pressed=true]").count() == 0
    tab.slide("Gaussian noise", 0.1)
    tab.until("An uploaded image. Gaussian noise")
    assert tab.said == []


def test_bad_uploads_get_a_sentence_each_and_the_page_lives_on(tab, address, tmp_path):
    tab.open(address)
    alert = tab.page.get_by_role("alert")
    for name, content, said in (
        ("huge.png", huge_png(), "10000 × 10000 = 100 million pixels; at most 25 million"),
        ("drawing.svg", SVG, "an SVG drawing"),
        ("text.png", b"Dear all, " * 99, "no PNG, JPEG, BMP, WebP or GIF image"),
        ("half.jpg", JPEG[: len(JPEG) // 2], "damaged or truncated"),
        (f"{ODD}.png", b"x", f"{ODD}.png: this is no"),
    ):
        send(tab, name, content)
        alert.filter(has_text=said).wait_for()
        assert alert.text_content().endswith(".")
    tab.check()
    (tmp_path / "much.bmp").write_bytes(bytes(10_000_001))
    tab.page.get_by_label("Your own image").set_input_files(tmp_path / "much.bmp")
    alert.filter(has_text="Much.bmp has more than 10 MB.").wait_for()
    tab.slide("Gaussian noise", 0.05)
    tab.until("Test image 0 of fashion-mnist-mini, labelled Pullover. Gaussian noise, σ = 0.050")
    assert alert.text_content() == ""
    send(tab, "good.png", saved(picture(), "PNG"))
    tab.until("An uploaded image")
    assert [line for line in tab.said if "422" not in line] == []  # Chromium notes every refused request


def test_a_busy_server_is_asked_again(tab, address, monkeypatch):
    tab.open(address)
    whole, refused = views.Viewer.changed, []

    def once(*of):
        if not refused:
            refused.append(1)
            raise Busy
        return whole(*of)

    monkeypatch.setattr(views.Viewer, "changed", once)
    tab.slide("Gaussian noise", 0.1)
    tab.page.locator("#busy", has_text="busy").wait_for()
    tab.until("σ = 0.100")
    tab.page.locator("#busy:empty").wait_for(state="attached")


def test_names_are_no_markup_and_images_are_found_by_what_models_say(tab):
    with running(odd_gallery()) as address:
        tab.open(address)
        tab.page.get_by_label("Show").select_option("disagree")
        tab.page.locator("#place", has_text=re.compile(r"1–\d+ of \d+$")).wait_for()
        tab.page.locator(".strip button").first.click()
        tab.page.get_by_label("Class").select_option(ODD)
        tab.page.locator("#place", has_text=re.compile(r"of \d$|none")).wait_for()
        assert tab.card(0).locator(".name").text_content() == f"run{ODD}"
        assert ODD in tab.card(0).locator(".bars").text_content()
        assert tab.page.locator("img[src=x]").count() == 0
        tab.check()
    assert tab.said == []
