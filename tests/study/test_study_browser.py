"""The study in a real browser: by mouse, by keyboard alone, on a phone; accessible; offline; nothing from outside."""

import pytest
from tiny_study import build_tiny

from pellucid.study import exporting
from pellucid.study.store import open_store
from pellucid.study.web.server import open_site, running

axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="the study's browser tests need axe")
pytestmark = pytest.mark.browser
CHECKS = [{"id": "check-1", "text": "Please answer “Agree” here.", "expected": 4}]
DESKTOP = {"viewport": {"width": 1200, "height": 900}}
PHONE = {
    "viewport": {"width": 375, "height": 740},
    "is_mobile": True,
    "has_touch": True,
    "user_agent": "Mobile Chromium",
}
DOUBLE_CLICK = 450
"""Milliseconds after which a click is meant for the trial that has just come."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("browser") / "study"
    build_tiny(place, images=2, models=("N", "A"), attention=CHECKS, contact="Ask lab@example.org")
    open_site(place, code="C-DONE", url="https://example.org/back?cc={code}").store.close()
    return place


@pytest.fixture(scope="module")
def link(folder):
    with running(folder) as found:
        yield found


class Tab:
    """A page that remembers what it complained of and what it asked for."""

    def __init__(self, browser, link, options):
        self.context = browser.new_context(**options)
        self.page = self.context.new_page()
        self.link, self.said, self.asked, self.blocks = link, [], [], []
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))

    @property
    def section(self):
        return self.page.locator("section:not([hidden])")

    def kind(self):
        return self.section.get_attribute("data-block") or "words"

    def check(self):
        """Nothing serious for axe, nothing that sticks out."""
        found = axe.Axe().run(self.page).response["violations"]
        assert [(one["id"], one["nodes"][0]["html"]) for one in found if one["impact"] in ("serious", "critical")] == []
        width, seen = self.page.evaluate("[document.documentElement.clientWidth, document.documentElement.scrollWidth]")
        assert seen <= width

    def ready(self):
        self.page.wait_for_timeout(DOUBLE_CLICK)
        self.page.locator("section.loading").wait_for(state="detached")

    def waiting(self):
        """Answers on this device that the server has not acknowledged."""
        return self.page.evaluate("Object.keys(localStorage).length")

    def saved(self):
        for _ in range(200):
            if not self.waiting():
                return
            self.page.wait_for_timeout(50)
        raise AssertionError(f"{self.waiting()} answers are still on this device after ten seconds")

    def done(self):
        """Whether the thanks have come; waits while the last answers are sent."""
        if self.page.locator("section[data-end]:not([hidden])").count():
            self.page.locator("#completion").wait_for()
        return self.page.locator("#completion").count() > 0


@pytest.fixture
def tab(browser, link, request):
    opened = Tab(browser, link, getattr(request, "param", DESKTOP))
    yield opened
    opened.context.close()


def enter(tab):
    tab.page.goto(tab.link)
    tab.check()
    tab.page.get_by_role("checkbox").check()
    tab.page.get_by_role("button").click()
    tab.check()
    tab.page.get_by_label("Your age").select_option("25–34")
    tab.page.get_by_role("button").click()
    tab.check()
    tab.page.get_by_role("button").click()


def answer_by_mouse(tab, second=True):
    kind = tab.kind()
    if kind != "words":
        for group in tab.section.get_by_role("radiogroup").all():
            group.locator("label").nth(1 if second else 0).click()
        if kind == "choice":
            tab.section.get_by_role("textbox").fill("clearer")
    tab.section.get_by_role("button").click()
    return kind


@pytest.mark.parametrize("tab", [DESKTOP, PHONE], ids=["desktop", "phone"], indirect=True)
def test_somebody_goes_through_by_mouse_or_finger(tab, folder):
    enter(tab)
    kinds = set()
    while not tab.done():
        tab.ready()
        if tab.kind() not in kinds:
            tab.check()
        kinds.add(answer_by_mouse(tab))
    tab.check()
    assert kinds == {"training", "rating", "attention", "choice", "words"}
    assert "C-DONE" in tab.page.content()
    host = tab.link.split("/join")[0]
    assert [url for url in tab.asked if not url.startswith(host)] == []
    assert tab.said == []
    store = open_store(folder)
    answers, people = exporting.rows(store)
    store.close()
    mine = [row for row in answers if row["participant"] == people[-1]["participant"]]
    assert (people[-1]["state"], people[-1]["age"]) == ("finished", "25–34")
    assert {row["value"] for row in mine} == {2}
    assert all(row["milliseconds"] > 100 for row in mine)


def press(tab, *keys):
    for key in keys:
        tab.page.keyboard.press(key)


def on(tab, heading):
    tab.page.get_by_role("heading", name=heading).wait_for()


def focused(tab):
    return tab.page.evaluate("document.activeElement.tagName + ' ' + (document.activeElement.name || '')").strip()


def tab_to(tab, wanted):
    for _ in range(12):
        if focused(tab).startswith(wanted):
            return
        press(tab, "Tab")
    raise AssertionError(f"{wanted} cannot be reached by Tab; the focus is at {focused(tab)}")


def test_somebody_goes_through_by_keyboard_alone(tab):
    tab.page.goto(tab.link)
    tab_to(tab, "INPUT agree")
    press(tab, "Space")
    tab_to(tab, "BUTTON")
    press(tab, "Enter")
    on(tab, "About you")
    tab_to(tab, "SELECT age")
    tab.page.keyboard.type("25")
    tab_to(tab, "BUTTON")
    press(tab, "Enter")
    on(tab, "What you will do")
    tab_to(tab, "BUTTON")
    press(tab, "Enter")
    on(tab, "Practice")
    while not tab.done():
        tab.ready()
        kind = tab.kind()
        if kind in {"training", "rating"}:
            tab_to(tab, "INPUT sufficiency")
            press(tab, "4")  # a key that chooses
            press(tab, "Tab")
            assert focused(tab) == "INPUT trust"
            press(tab, "Space", "ArrowRight")  # the browser's own keys
        elif kind == "attention":
            tab_to(tab, "INPUT check-1")
            press(tab, "4")
        elif kind == "choice":
            tab_to(tab, "INPUT choice")
            press(tab, "2")
            press(tab, "Tab")
            tab.page.keyboard.type("it is 2 clear")
        tab_to(tab, "BUTTON")
        press(tab, "Enter")
    assert tab.said == []


def test_a_missing_answer_is_told_and_leads_to_its_question(tab):
    enter(tab)
    tab.ready()
    alert = tab.section.get_by_role("alert")
    for _ in range(20):  # a click right after the page came is taken for the second half of a double click
        tab.section.get_by_role("button").click()
        tab.page.wait_for_timeout(DOUBLE_CLICK)
        if alert.text_content():
            break
    assert "Please answer every question" in alert.text_content()
    assert focused(tab) == "INPUT sufficiency"
    tab.check()


def test_without_a_network_one_goes_on_and_nothing_is_lost(tab, folder):
    enter(tab)
    tab.ready()
    tab.page.wait_for_load_state("networkidle")  # the pictures of all trials are there
    answer_by_mouse(tab)
    tab.saved()
    tab.context.set_offline(True)
    for _ in range(4):
        tab.ready()
        answer_by_mouse(tab, second=False)
    tab.page.locator("#status", has_text="No connection").wait_for()
    assert tab.waiting() == 3  # one of the four screens was only words
    tab.check()
    tab.context.set_offline(False)
    tab.page.locator("#status", has_text="All answers are saved").wait_for()
    assert tab.waiting() == 0
    current = tab.section.get_attribute("data-trial")
    tab.page.reload()
    tab.ready()
    assert tab.section.get_attribute("data-trial") == current == "4"


def test_a_page_closed_without_a_network_sends_its_answers_when_it_is_opened_again(tab, folder):
    enter(tab)
    tab.ready()
    tab.page.wait_for_load_state("networkidle")
    tab.page.route("**/study/answers", lambda route: route.abort())
    answer_by_mouse(tab)
    tab.page.locator("#status", has_text="No connection").wait_for()
    tab.page.close()
    tab.page = tab.context.new_page()
    tab.page.goto(tab.link)
    tab.page.locator("#status", has_text="All answers are saved").wait_for()
    tab.ready()
    assert tab.section.get_attribute("data-trial") is None  # practice is over: the first trial is not shown again


def test_a_double_click_is_one_answer_and_skips_nothing(tab, folder):
    enter(tab)
    tab.ready()
    for group in tab.section.get_by_role("radiogroup").all():
        group.locator("label").nth(1).click()
    tab.section.get_by_role("button").dblclick()
    tab.ready()
    assert tab.section.get_attribute("data-intro") == "1"
    assert tab.section.locator(".problem").count() == 0


@pytest.mark.parametrize("network", [True, False], ids=["online", "offline"])
def test_two_tabs_give_one_answer_to_a_trial(tab, folder, network):
    enter(tab)
    other = tab.context.new_page()
    other.goto(tab.link)
    for page in (other, tab.page):
        page.wait_for_load_state("networkidle")  # the pictures of all trials are there
    tab.context.set_offline(not network)
    tab.ready()
    answer_by_mouse(tab, second=False)
    tab.page = other
    tab.ready()
    answer_by_mouse(tab, second=True)
    assert network or tab.waiting() == 2
    tab.context.set_offline(False)
    tab.saved()
    store = open_store(folder)
    answers, people = exporting.rows(store)
    (history,) = list(exporting.history(store).values())[-1:]
    store.close()
    mine = [row for row in answers if row["participant"] == people[-1]["participant"]]
    assert [(row["trial"], row["value"]) for row in mine] == [(0, 2), (0, 2)]
    assert len(history) == 2


@pytest.mark.parametrize("tab", [DESKTOP, PHONE], ids=["desktop", "phone"], indirect=True)
def test_the_other_pages_are_accessible_too(tab, folder):
    host = tab.link.split("/join")[0]
    tab.page.goto(f"{host}/join/wrong")
    tab.check()
    tab.page.goto(f"{host}/admin")
    tab.check()
    tab.page.get_by_label("Token").fill(open_site(folder).secrets.admin_token)
    tab.page.get_by_role("button").click()
    tab.page.get_by_label("Personal links").fill("3")
    tab.page.get_by_role("button", name="Make links").click()
    assert " personal links" in tab.page.content()
    tab.page.locator("summary").click()
    tab.check()


def test_the_welcome_back_is_accessible(tab, folder):
    enter(tab)
    from pellucid.study.store import Participant

    store = open_store(folder)
    with store.writing() as session:
        for person in session.query(Participant):
            person.seen_at = 1.0
    store.close()
    tab.page.reload()
    assert "Welcome back" in tab.page.content()
    tab.check()
    tab.page.get_by_role("button").click()
    tab.ready()
    assert tab.kind() == "training"
