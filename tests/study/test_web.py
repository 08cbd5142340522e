"""The served study: pages, answers, links, and what is refused."""

import asyncio
import csv
import io
import json
import re
import zipfile
from dataclasses import replace
from urllib.parse import urlencode

import pytest
from sqlalchemy.exc import OperationalError
from tiny_study import Visitor, build_tiny, open_app, right_values, token_in

from pellucid.study import exporting
from pellucid.study.participants import forget, invite
from pellucid.study.progress import set_state
from pellucid.study.protocol import read_study
from pellucid.study.web.protection import MAX_BODY, Allowance, BodyLimit
from pellucid.study.web.secret import server_secrets
from pellucid.study.web.site import Limits

SCRIPT = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>"


@pytest.fixture
def store(app):
    return app.state.site.store


def answers(store):
    return exporting.rows(store)[0]


def rated(number=0, **change):
    return {"key": f"{number:032x}", "trial": number, "values": {"sufficiency": 3, "trust": 3}} | change


def test_a_participant_goes_through_the_whole_study(somebody, store):
    assert "Before you start" in somebody.get(f"/join/{somebody.secrets.open_token}").text
    assert "About you" in somebody.join().text
    page = somebody.post("/study/demographics", data={"csrf": somebody.csrf, "age": "25–34"}).text
    assert "What you will do" in page
    page = somebody.post("/study/begin", data={"csrf": somebody.csrf}).text
    assert "Practice" in page
    assert len(somebody.trials()) == 1 + 9 + 2 + 3
    page = somebody.answer_everything().text
    assert "C-DONE" in page
    assert 'href="https://example.org/back?cc=C-DONE"' in page
    (person,) = exporting.rows(store)[1]
    assert (person["state"], person["age"], person["user_agent_class"]) == ("finished", "25–34", "desktop")
    assert len(answers(store)) == 1 * 2 + 9 * 2 + 2 + 3


def test_the_completion_code_comes_after_the_last_answer_only(somebody):
    somebody.begin()
    trials = somebody.trials()
    for number, block, _ in trials:
        assert "C-DONE" not in somebody.get("/study").text
        somebody.answer(number, right_values(somebody, number, block), reason="so" if block == "choice" else "")
    assert "C-DONE" in somebody.get("/study").text


def test_a_reload_comes_back_to_the_same_trial(somebody):
    somebody.begin()
    everything = somebody.trials()
    somebody.answer(0, {"sufficiency": 1, "trust": 2})
    somebody.answer(1, right_values(somebody, 1, everything[1][1]))
    assert somebody.trials() == everything[2:]


def test_after_a_long_while_there_is_a_refresher(somebody, clock):
    somebody.begin()
    clock.now += 59 * 60
    assert "Welcome back" not in somebody.get("/study").text
    clock.now += 2 * 60
    assert "Welcome back" in somebody.get("/study").text
    assert "Practice" in somebody.post("/study/refreshed", data={"csrf": somebody.csrf}).text
    assert "Welcome back" not in somebody.get("/study").text


@pytest.mark.parametrize(
    "wrong",
    [
        {"values": {"sufficiency": 0, "trust": 3}},
        {"values": {"sufficiency": 6, "trust": 3}},
        {"values": {"sufficiency": "5", "trust": 3}},
        {"values": {"sufficiency": 2.5, "trust": 3}},
        {"values": {"sufficiency": True, "trust": 3}},
        {"values": {"sufficiency": None, "trust": 3}},
        {"values": {"trust": 3}},
        {"values": {"sufficiency": 3, "trust": 3, "choice": 1}},
        {"values": []},
        {"values": "text"},
        {"trial": 1},
        {"trial": 99},
        {"trial": -1},
        {"trial": "0"},
        {"trial": 10**30},
        {"key": "short"},
        {"key": "x" * 65},
        {"key": None},
        {"milliseconds": -1},
        {"milliseconds": "1"},
        {"milliseconds": 10**40},
        {"reason": "nobody asked"},
        {"reason": "x" * 5000},
        {"reason": {"a": 1}},
        {"participant": "P-00000000"},
    ],
    ids=str,
)
def test_a_wrong_answer_gets_a_4xx_and_changes_nothing(somebody, store, wrong):
    somebody.begin()
    reply = somebody.post("/study/answers", json=rated() | wrong, headers={"X-CSRF-Token": somebody.csrf})
    assert reply.status_code in (409, 422)
    assert answers(store) == []
    assert "short" not in reply.text  # nothing of what was sent comes back
    assert somebody.trials()[0][0] == 0


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"key": "\\ud800"}', b"[" * 20_000])
def test_what_is_no_answer_gets_a_4xx(somebody, body):
    somebody.begin()
    headers = {"X-CSRF-Token": somebody.csrf, "Content-Type": "application/json"}
    assert 400 <= somebody.post("/study/answers", content=body, headers=headers).status_code < 500


def test_half_a_character_in_a_reason_is_refused_and_nul_is_dropped(somebody, store):
    somebody.begin()
    trials = somebody.trials()
    place = next(number for number, block, _ in trials if block == "choice")
    for number, block, _ in trials[:place]:
        somebody.answer(number, right_values(somebody, number, block))
    token = {"X-CSRF-Token": somebody.csrf, "Content-Type": "application/json"}
    broken = b'{"key": "' + b"a" * 32 + b'", "trial": %d, "values": {"choice": 1}, "reason": "\\ud800"}' % place
    assert somebody.post("/study/answers", content=broken, headers=token).status_code == 422
    assert somebody.answer(place, {"choice": 1}, reason="a\x00b").status_code == 200
    assert answers(store)[-1]["reason"] == "ab"


def test_nobody_can_answer_or_look_for_somebody_else(app, store):
    first, second = Visitor(app), Visitor(app)
    first.begin()
    second.begin()
    stolen = first.csrf
    reply = second.post("/study/answers", json=rated(), headers={"X-CSRF-Token": stolen})
    assert reply.status_code == 403
    stranger = Visitor(app)
    for path in ("/study", "/admin/export.zip", "/admin/links.csv"):
        assert stranger.get(path).status_code == 403
    assert stranger.post("/study/answers", json=rated(), headers={"X-CSRF-Token": stolen}).status_code == 403
    assert stranger.post("/study/begin", data={"csrf": stolen}).status_code == 403
    assert answers(store) == []


def test_a_cookie_that_was_not_signed_here_opens_nothing(app, somebody):
    somebody.begin()
    cookie = somebody.http.cookies["pellucid_participant"]
    stranger = Visitor(app)
    for forged in (
        cookie.replace(cookie[-9], "-" if cookie[-9] != "-" else "x"),
        "P-12345678",
        cookie.split(".")[0],
        "",
        "ä",
    ):
        reply = stranger.http.get("/study", headers={"Cookie": f"pellucid_participant={forged}".encode()})
        assert reply.status_code == 403
    # a participant's session is no admin's
    reply = stranger.http.get("/admin/export.zip", headers={"Cookie": f"pellucid_admin={cookie}"})
    assert reply.status_code == 403


@pytest.mark.parametrize("path", ["/study/demographics", "/study/begin", "/study/refreshed"])
def test_forms_need_the_token_of_their_session(somebody, store, path):
    somebody.join()
    for token in ("", "0" * 64, somebody.csrf[:-1] + "ä"):
        assert somebody.post(path, data={"csrf": token}).status_code == 403
    assert "About you" in somebody.get("/study").text


def test_consent_needs_the_tick_and_the_token(somebody, store):
    path = f"/join/{somebody.secrets.open_token}"
    page = somebody.get(path).text
    reply = somebody.post(path, data={"csrf": token_in(page)})
    assert reply.status_code == 422
    assert "Tick the box" in reply.text
    assert somebody.post(path, data={"csrf": "no", "agree": "yes"}).status_code == 403
    assert exporting.rows(store) == ([], [])


def test_pressing_take_part_twice_makes_one_participant(app, store):
    somebody = Visitor(app, follow_redirects=False)
    path = f"/join/{somebody.secrets.open_token}"
    token = token_in(somebody.get(path).text)
    before = dict(somebody.http.cookies)
    assert somebody.post(path, data={"csrf": token, "agree": "yes"}).status_code == 303
    somebody.http.cookies.clear()
    somebody.http.cookies.update(before)  # the second click was sent before the first was answered
    assert somebody.post(path, data={"csrf": token, "agree": "yes"}).status_code == 303
    assert len(exporting.rows(store)[1]) == 1


def test_prolific_ids_come_in_and_lead_back_to_the_same_session(app, store):
    query = "?PROLIFIC_PID=5f0c&STUDY_ID=s1&SESSION_ID=visit1"
    first = Visitor(app)
    first.begin(query)
    first.answer(0, {"sufficiency": 1, "trust": 1})
    assert exporting.rows(store)[1][0]["external_id"] == "5f0c"
    again = Visitor(app)  # another browser, the same visit
    again.join(query)
    assert again.trials()[0][0] == 1
    thief = Visitor(app)
    reply = thief.join("?PROLIFIC_PID=5f0c&SESSION_ID=guessed")
    assert reply.status_code == 403
    assert "You have been here before" in reply.text
    assert thief.get("/study").status_code == 403
    assert len(exporting.rows(store)[1]) == 1


def test_the_next_person_at_the_same_computer_gets_a_session_of_their_own(app, store):
    browser = Visitor(app)
    browser.begin("?PROLIFIC_PID=one&SESSION_ID=a")
    assert "Before you start" in browser.get(f"/join/{browser.secrets.open_token}?PROLIFIC_PID=two&SESSION_ID=b").text
    browser.join("?PROLIFIC_PID=two&SESSION_ID=b")
    assert [row["external_id"] for row in exporting.rows(store)[1]] == ["one", "two"]


def test_personal_links_lead_back_and_cannot_be_guessed(app, store, clock):
    code, other = invite(store, 2, now=clock())
    token = app.state.site.secrets.personal_token(code)
    somebody = Visitor(app)
    assert "This link is yours alone" in somebody.get(f"/p/{token}").text
    assert "About you" in somebody.agree(f"/p/{token}").text
    elsewhere = Visitor(app)
    assert "About you" in elsewhere.get(f"/p/{token}").text
    for wrong in (code, f"{other}.{token.split('.')[1]}", token[:-1], "x", "P-ffffffff.abc", "ä.ö"):
        assert Visitor(app).get(f"/p/{wrong}").status_code == 404
    assert [row["participant"] for row in exporting.rows(store)[1]] == [code]


def test_a_closed_or_full_study_says_so_before_consent(app, store, somebody):
    path = f"/join/{somebody.secrets.open_token}"
    late = token_in(somebody.get(path).text)
    set_state(store, open_limit=0)
    assert "This study is full" in Visitor(app).get(path).text
    set_state(store, closed=True)
    assert "This study is closed" in Visitor(app).get(path).text
    reply = somebody.post(path, data={"csrf": late, "agree": "yes"})
    assert (reply.status_code, "closed" in reply.text) == (403, True)
    assert exporting.rows(store) == ([], [])


def test_who_was_forgotten_is_told_and_can_do_nothing(app, store, somebody, clock):
    somebody.begin()
    token = somebody.csrf
    forget(store, exporting.rows(store)[1][0]["participant"], now=clock())
    assert "Your data are deleted" in somebody.get("/study").text
    reply = somebody.post("/study/answers", json=rated(), headers={"X-CSRF-Token": token})
    assert reply.status_code == 404
    assert somebody.post("/study/begin", data={"csrf": token}).status_code == 404


def test_demographics_are_checked_and_only_what_was_asked_is_kept(tmp_path, clock):
    asked = [
        {"id": "job", "text": "Job", "kind": "text", "required": True},
        {"id": "years", "text": "Years", "kind": "number"},
        {"id": "eyes", "text": "Eyes", "options": ["good", "bad"]},
    ]
    build_tiny(tmp_path / "s", demographics=asked)
    app = open_app(tmp_path / "s", clock)
    somebody = Visitor(app)
    somebody.join()
    for wrong in ({}, {"job": " "}, {"job": "x", "years": "-3"}, {"job": "x", "eyes": "other"}, {"job": "x" * 400}):
        reply = somebody.post("/study/demographics", data={"csrf": somebody.csrf} | wrong)
        assert reply.status_code == 422
        assert "Please answer this question" in reply.text
    somebody.post("/study/demographics", data={"csrf": somebody.csrf, "job": SCRIPT, "years": "7", "more": "no"})
    (person,) = exporting.rows(app.state.site.store)[1]
    assert (person["job"], person["years"], "eyes" in person, "more" in person) == (SCRIPT, 7, False, False)


def test_script_in_any_text_is_shown_as_text(tmp_path, clock):
    build_tiny(tmp_path / "s", title=SCRIPT, contact=SCRIPT)
    study = read_study(tmp_path / "s")
    text = (tmp_path / "s" / "study.json").read_text().replace('"class": "coat"', f'"class": {json.dumps(SCRIPT)}')
    (tmp_path / "s" / "study.json").write_text(text)
    app = open_app(tmp_path / "s", clock, code=SCRIPT[:60])
    somebody = Visitor(app)
    query = "?" + urlencode({"PROLIFIC_PID": SCRIPT, "SESSION_ID": SCRIPT})
    pages = [somebody.get(f"/join/{somebody.secrets.open_token}{query}").text]
    somebody.begin(query)
    pages.append(somebody.get("/study").text)
    pages.append(somebody.answer_everything().text)
    somebody.post("/admin/login", data={"token": app.state.site.secrets.admin_token})
    pages.append(somebody.get("/admin").text)
    pages.append(somebody.get(f"/join/{SCRIPT}").text)
    for page in pages:
        assert "alert(1)" in page or page is pages[-1]
        assert "<script>" not in page
        assert "<img src=x" not in page
    assert study.title == SCRIPT
    assert exporting.rows(app.state.site.store)[1][0]["external_id"] == SCRIPT


def test_every_response_has_the_headers(somebody):
    somebody.begin()
    stimulus = somebody.trials()[0][2][0]
    paths = ["/", "/study", "/nothing", f"/stimuli/{stimulus}.png", "/static/study.js", "/admin", "/join/x"]
    for path in paths:
        headers = somebody.get(path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert headers["referrer-policy"] == "same-origin"
        assert "server" not in headers
    assert somebody.get("/study").headers["cache-control"] == "no-store"


def test_pages_have_no_script_and_no_style_of_their_own(somebody):
    pages = [somebody.get("/").text, somebody.join().text]
    somebody.post("/study/demographics", data={"csrf": somebody.csrf})
    pages.append(somebody.post("/study/begin", data={"csrf": somebody.csrf}).text)
    pages.append(somebody.answer_everything().text)
    for page in pages:
        assert not re.search(r"<script(?! src=)|<style| style=| on[a-z]+=|javascript:", page)
        outside = set(re.findall(r'(?:src|href|action)="(https?:[^"]*)"', page)) - {
            "https://example.org/back?cc=C-DONE"
        }
        assert outside == set()


def test_stimuli_are_told_apart_by_nothing_but_their_pixels(somebody):
    somebody.begin()
    names = {name for _, _, shown in somebody.trials() for name in shown if name}
    replies = [somebody.get(f"/stimuli/{name}.png") for name in names]
    assert len(names) == 10
    assert len({tuple(sorted(reply.headers.items())) for reply in replies}) == 1
    assert all(reply.headers["content-type"] == "image/png" for reply in replies)
    for path in (
        "/stimuli/0000000000000000.png",
        "/stimuli/..%2fstudy.json",
        "/stimuli/../study.json",
        "/static/../app.py",
    ):
        assert somebody.get(path).status_code == 404


def test_the_page_of_the_trials_names_no_model_and_no_right_answer(somebody):
    somebody.begin()
    page = somebody.get("/study").text
    assert "run-" not in page
    assert "expected" not in page
    assert somebody.secrets.admin_token not in page


def test_too_much_is_refused_whatever_it_says_about_its_length(somebody):
    somebody.begin()
    token = {"X-CSRF-Token": somebody.csrf}
    assert somebody.post("/study/answers", content=b"x" * (MAX_BODY + 1), headers=token).status_code == 413

    def pieces():
        for _ in range(200):
            yield b"x" * 1024

    assert somebody.post("/study/answers", content=pieces(), headers=token).status_code == 413
    assert somebody.post("/study/demographics", data={f"f{n}": "x" for n in range(300)}).status_code in (400, 403)


def test_a_body_that_does_not_come_is_not_waited_for(monkeypatch):
    monkeypatch.setattr("pellucid.study.web.protection.SLOWEST", 0.05)
    sent = []

    async def send(message):
        sent.append(message)

    async def never():
        await asyncio.sleep(60)

    asyncio.run(BodyLimit(None)({"type": "http", "method": "POST"}, never, send))
    assert sent[0]["status"] == 408


@pytest.mark.parametrize(
    "kind",
    [
        "multipart/form-data; boundary=x; charset=nothing",
        "multipart/form-data",
        "application/x-www-form-urlencoded; charset=nothing",
        "text/plain",
        "é",
    ],
)
@pytest.mark.parametrize("path", ["/study/demographics", "/study/begin", "/admin/login", "/study/answers"])
def test_bodies_of_any_kind_are_refused_politely(somebody, path, kind):
    body = b'--x\r\nContent-Disposition: form-data; name="csrf"\r\n\r\n\xff\xed\xa0\x80\r\n--x--'
    reply = somebody.post(path, content=body, headers={"Content-Type": kind.encode()})
    assert 400 <= reply.status_code < 500


def test_an_allowance_runs_out_and_comes_back():
    now = [0.0]
    allowance = Allowance(at_once=3, a_second=0.5, clock=lambda: now[0])
    assert [allowance.take("a") for _ in range(4)] == [True, True, True, False]
    assert allowance.take("b")
    now[0] += 2
    assert [allowance.take("a") for _ in range(2)] == [True, False]
    assert not {"a", b"a"} & vars(allowance)["_left"].keys()  # names are not kept


def test_guessing_links_or_the_token_is_slowed_down(app):
    stranger = Visitor(app)
    seen = [stranger.get(f"/join/guess{n}").status_code for n in range(25)]
    seen += [stranger.post("/admin/login", data={"token": f"guess{n}"}).status_code for n in range(25)]
    assert set(seen[:25]) == {404}
    assert seen[-1] == 429
    assert stranger.get("/p/x").headers["retry-after"] == "5"
    assert Visitor(app).join().status_code == 200  # a right link is not a guess


def test_one_participant_cannot_flood_the_server(app, somebody):
    somebody.begin()
    app.state.site = replace(app.state.site, limits=Limits(sending=Allowance(at_once=5, a_second=0)))
    assert [somebody.answer(0, {"sufficiency": 3, "trust": 3}).status_code for _ in range(7)] == [200] * 5 + [429] * 2


def test_newcomers_from_one_place_come_in_at_a_limited_rate(app):
    app.state.site = replace(app.state.site, limits=Limits(joining=Allowance(at_once=2, a_second=0)))
    codes = [Visitor(app, follow_redirects=False).join().status_code for _ in range(3)]
    assert codes == [303, 303, 429]


def test_a_database_that_is_away_is_a_503_and_never_a_500(app, somebody, monkeypatch):
    somebody.begin()
    token = somebody.csrf

    def away(*_):
        raise OperationalError("select", {"secret": "value"}, Exception("gone"))

    monkeypatch.setattr(app.state.site.store, "together", away)
    reply = somebody.post("/study/answers", json=rated(), headers={"X-CSRF-Token": token})
    assert (reply.status_code, reply.headers["retry-after"]) == (503, "5")
    assert "secret" not in reply.text


def test_without_the_token_there_is_no_admin_data(app, store, somebody):
    somebody.begin()
    stranger = Visitor(app)
    page = stranger.get("/admin").text
    assert "Token" in page
    assert exporting.rows(store)[1][0]["participant"] not in page
    posts = {"/admin/open": {"closed": "true"}, "/admin/limit": {"limit": "1"}, "/admin/links": {"count": "1"}}
    for path, data in (posts | {"/admin/logout": {}}).items():
        assert stranger.post(path, data=data).status_code == 403
    for path in ("/admin/export.zip", "/admin/links.csv"):
        assert stranger.get(path).status_code == 403
    assert stranger.post("/admin/login", data={"token": "no"}).status_code == 403


@pytest.fixture
def admin(app):
    visitor = Visitor(app)
    visitor.post("/admin/login", data={"token": app.state.site.secrets.admin_token})
    visitor.token = re.search(r'name="csrf" value="(.*?)"', visitor.get("/admin").text)[1]
    return visitor


def test_the_admin_page_shows_progress_and_no_model(app, admin, somebody, store):
    somebody.begin()
    somebody.answer_everything(value=1)
    page = admin.get("/admin").text
    code = exporting.rows(store)[1][0]["participant"]
    assert code in page
    assert "2 of 2" in page  # failed checks
    assert "rating: trust" in page
    names = {name for item in app.state.site.study.images for name in item.orders[0]}
    assert not any(name in page for name in names)
    assert "run-" not in page


def test_the_admin_closes_opens_limits_and_invites(app, admin):
    for path, data in (("/admin/open", {"closed": "true"}), ("/admin/limit", {"limit": "3"})):
        assert admin.post(path, data=data).status_code == 403  # no form token
    admin.post("/admin/open", data={"csrf": admin.token, "closed": "true"})
    path = f"/join/{app.state.site.secrets.open_token}"
    assert "closed" in Visitor(app).get(path).text
    admin.post("/admin/open", data={"csrf": admin.token, "closed": "false"})
    admin.post("/admin/limit", data={"csrf": admin.token, "limit": "0"})
    assert "full" in Visitor(app).get(path).text
    assert admin.post("/admin/limit", data={"csrf": admin.token, "limit": "-1"}).status_code == 422
    admin.post("/admin/links", data={"csrf": admin.token, "count": "3"})
    table = list(csv.DictReader(admin.get("/admin/links.csv").text.splitlines()))
    assert len(table) == 3
    assert Visitor(app).get(table[0]["link"].removeprefix("http://testserver")).status_code == 200
    admin.post("/admin/logout", data={"csrf": admin.token})
    assert admin.get("/admin/links.csv").status_code == 403


def test_the_admin_exports_with_and_without_names(admin, somebody, store):
    somebody.begin("?PROLIFIC_PID=named&SESSION_ID=s")
    somebody.answer(0, {"sufficiency": 1, "trust": 1})
    for names, told in (("full", True), ("anonymous", False)):
        with zipfile.ZipFile(io.BytesIO(admin.get(f"/admin/export.zip?names={names}").content)) as archive:
            assert set(archive.namelist()) == {"answers.csv", "participants.csv", "answers.json"}
            assert ("named" in archive.read("participants.csv").decode()) is told
    assert admin.get("/admin/export.zip?names=other").status_code == 422


def test_another_admin_token_ends_the_old_sessions(folder, clock):
    first = open_app(folder, clock)
    visitor = Visitor(first)
    visitor.post("/admin/login", data={"token": first.state.site.secrets.admin_token})
    cookie = visitor.http.cookies["pellucid_admin"]
    text = (folder / "server.json").read_text()
    (folder / "server.json").write_text(text.replace(first.state.site.secrets.admin_token, "another-token-entirely"))
    second = open_app(folder, clock)
    reply = Visitor(second).http.get("/admin/links.csv", headers={"Cookie": f"pellucid_admin={cookie}"})
    assert reply.status_code == 403


def test_the_secrets_are_made_once_and_only_their_owner_reads_them(folder):
    first = server_secrets(folder)
    assert (folder / "server.json").stat().st_mode & 0o777 == 0o600
    assert server_secrets(folder) == first
    told = server_secrets(folder, code="C1", url="https://example.org/{code}")
    assert told.completion.link == "https://example.org/C1"
    assert (folder / "server.json").stat().st_mode & 0o777 == 0o600
    assert server_secrets(folder).completion == told.completion
    assert told.signing_secret == first.signing_secret


@pytest.mark.parametrize("strips", [True, False], ids=["the proxy strips the prefix", "the proxy keeps it"])
def test_it_works_behind_a_prefix(folder, clock, strips):
    app = open_app(folder, clock, root="/studies/maps")
    somebody = Visitor(app, "" if strips else "/studies/maps")
    somebody.http = type(somebody.http)(app, follow_redirects=False)
    path = f"/join/{somebody.secrets.open_token}"
    reply = somebody.get(path)
    assert reply.status_code == 200
    assert 'href="/studies/maps/static/study.css"' in reply.text
    assert "Path=/studies/maps;" in reply.headers["set-cookie"]
    cookie = reply.headers["set-cookie"].split(";")[0]
    data = {"csrf": token_in(reply.text), "agree": "yes"}
    joined = somebody.post(path, data=data, headers={"Cookie": cookie})
    assert joined.headers["location"] == "/studies/maps/study"
    assert somebody.get("/static/study.css").status_code == 200


def test_cookies_are_out_of_reach_of_scripts_and_of_other_sites(app, somebody):
    reply = somebody.get(f"/join/{somebody.secrets.open_token}")
    assert "HttpOnly" in reply.headers["set-cookie"]
    assert "SameSite=lax" in reply.headers["set-cookie"]
    assert "Secure" not in reply.headers["set-cookie"]
    over_https = Visitor(app, base_url="https://testserver")
    reply = over_https.get(f"/join/{somebody.secrets.open_token}")
    assert "Secure" in reply.headers["set-cookie"]
    assert "max-age" in reply.headers["strict-transport-security"]


def test_no_address_is_stored_or_logged(app, somebody, folder, caplog):
    somebody.begin()
    somebody.answer_everything()
    somebody.get("/join/wrong")
    app.state.site.store.close()
    stored = b"".join(path.read_bytes() for path in folder.iterdir() if path.is_file())
    assert b"testclient" not in stored
    assert "testclient" not in caplog.text


def test_phones_are_told_from_desktops_and_no_more_is_kept(app, store):
    for agent in ("Mozilla/5.0 (iPhone) Mobile/15E148", "Mozilla/5.0 (X11; Linux) Firefox/130"):
        visitor = Visitor(app, headers={"User-Agent": agent})
        visitor.join()
    assert [row["user_agent_class"] for row in exporting.rows(store)[1]] == ["phone", "desktop"]


def test_the_interface_is_described_to_tests_and_to_nobody_else(app, somebody):
    assert somebody.get("/openapi.json").status_code == 404
    assert somebody.get("/docs").status_code == 404
    assert "/study/answers" in app.openapi()["paths"]


def test_the_words_can_be_in_another_language(tmp_path, clock):
    build_tiny(tmp_path / "s", language="de", texts={"consent_heading": "Bevor Sie anfangen"})
    somebody = Visitor(open_app(tmp_path / "s", clock))
    page = somebody.get(f"/join/{somebody.secrets.open_token}").text
    assert '<html lang="de">' in page
    assert "Bevor Sie anfangen" in page
