"""Nothing that anybody sends makes the server fail: requests made from the description of its own interface."""

from contextlib import suppress

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from tiny_study import NOW, Visitor, build_tiny

from pellucid.study.participants import invite
from pellucid.study.web.app import make_app
from pellucid.study.web.secret import Session
from pellucid.study.web.server import open_path, open_site, running

schemathesis = pytest.importorskip("schemathesis", reason="the fuzz of the study's interface needs schemathesis")
EXAMPLES = 25


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fuzz") / "study"
    build_tiny(folder, images=1, models=("N", "A"))
    site = open_site(folder)
    app = make_app(site)
    person = Visitor(app)
    person.begin()
    with running(folder) as link:
        yield app, site, person, link.removesuffix(open_path(site.secrets))
    site.store.close()


def legitimate(site, person):
    """Cookies and tokens of somebody who is in: so that requests get past the door."""
    admin = Session(id="fuzz", code="admin")
    cookies = {
        "pellucid_participant": person.http.cookies["pellucid_participant"],
        "pellucid_admin": site.secrets.sealed_session(admin, purpose="admin"),
    }
    (code,) = invite(site.store, 1, now=NOW)
    return {
        "cookies": cookies,
        "form": {"admin": site.secrets.form_token(admin), "participant": person.csrf},
        "tokens": [site.secrets.open_token, site.secrets.personal_token(code), person.trials()[0][2][0]],
    }


def operations():
    pages = ["/", "/join/{token}", "/p/{token}", "/study", "/stimuli/{name}.png", "/static/{name}", "/admin"]
    sent = [f"/study/{name}" for name in ("demographics", "begin", "refreshed", "answers")]
    admin = [f"/admin/{name}" for name in ("login", "logout", "open", "limit", "links", "links.csv", "export.zip")]
    return [*pages, *sent, *admin]


def test_all_of_the_interface_is_known_here(served):
    assert sorted(operations()) == sorted(served[0].openapi()["paths"])


@pytest.mark.parametrize("path", operations())
@pytest.mark.parametrize("mode", list(schemathesis.GenerationMode), ids=lambda mode: mode.value)
def test_no_request_makes_the_server_fail(served, path, mode):
    app, site, person, base = served
    known = legitimate(site, person)
    schema = schemathesis.openapi.from_dict(app.openapi())
    for operation in (found.ok() for found in schema.get_all_operations()):
        if operation.path != path:
            continue

        @settings(
            max_examples=EXAMPLES, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck)
        )
        @given(
            case=operation.as_strategy(generation_mode=mode),
            inside=st.booleans(),
            token=st.sampled_from(known["tokens"]),
        )
        def attempt(case, inside, token):
            if inside:
                case.path_parameters.update(dict.fromkeys(case.path_parameters, token))
                form = known["form"]["admin" if path.startswith("/admin") else "participant"]
                if isinstance(case.body, dict):
                    case.body["csrf" if path != "/study/answers" else "ignored"] = form
                    case.body.pop("ignored", None)
                case.headers["X-CSRF-Token"] = form
            reply = case.call(base_url=base, cookies=known["cookies"] if inside else {}, allow_redirects=False)
            assert reply.status_code < 500, case.as_curl_command()

        with suppress(Unsatisfiable):  # nothing in this request can be wrong
            attempt()
