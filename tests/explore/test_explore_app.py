"""The page's server: what it answers, refuses and survives."""

import asyncio
import base64
import io
import re
import threading
import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from explored import ODD, gallery, never, odd_gallery, subject
from matplotlib import colormaps
from PIL import Image
from starlette.testclient import TestClient
from typer.testing import CliRunner

from pellucid.cli.explore import explore
from pellucid.data import fashion_mnist_mini
from pellucid.errors import BadInput
from pellucid.explore import app as application
from pellucid.explore import gallery as galleries
from pellucid.explore.app import make_app
from pellucid.explore.gallery import open_gallery
from pellucid.explore.pixels import amplified, eight_bits, shades, table, thumbnail
from pellucid.explore.views import Change, Viewer
from pellucid.explore.worker import Busy
from pellucid.report.figures.saliency import divided

VIEW = {
    "image": "test-3",
    "change": "noise",
    "amount": 0.1,
    "seed": 2,
    "attribution": ["gradient", "integrated_gradients"],
}


@pytest.fixture(scope="module")
def shown():
    return gallery()


@pytest.fixture
def app(shown):
    made = make_app(replace(shown, predicted=shown.predicted.clone()))
    yield made
    made.state.site.worker.close()


@pytest.fixture
def http(app):
    return TestClient(app)


def png(side=30):
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (side, side), dtype=np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def test_the_numbers_of_the_answer_are_those_of_a_direct_call(http, shown):
    reply = http.get("/view", params=VIEW).json()
    direct = Viewer(shown).changed(subject(3, shown), Change("noise", 0.1, 2), VIEW["attribution"], never)
    for model, view in zip(reply["models"], direct, strict=True):
        for found, expected in zip(model["maps"], view.maps, strict=True):
            assert [one["value"] for one in found["numbers"]] == pytest.approx(list(expected.numbers.values()))
            assert found["numbers"][0]["text"] == f"{expected.numbers['ssim']:.3f}".replace("-", "−")
        assert [bar["share"] for bar in model["bars"]] == pytest.approx(view.probabilities.tolist())
        assert model["predicted"] == shown.test.classes[view.predicted]
    assert (reply["label"], reply["factor"]) == (shown.test.classes[int(shown.test.labels[3])], None)
    assert "σ = 0.100 in pixel units, clipped to [0, 1], seed 2" in reply["caption"]


def test_the_pixels_of_the_answer_are_those_of_a_figure(http, shown):
    model = http.get("/view", params=VIEW).json()["models"][0]
    (view, _) = Viewer(shown).changed(subject(3, shown), Change("noise", 0.1, 2), VIEW["attribution"], never)
    image = np.frombuffer(base64.b64decode(model["image"]), np.uint8).reshape(28, 28)
    np.testing.assert_array_equal(image, np.rint(view.image[0] * 255))
    for found, one, scale in zip(model["maps"], view.maps, [("inferno", 0), ("inferno", 0)], strict=True):
        signed = found["signed"]
        place = np.frombuffer(base64.b64decode(found["shades"]), np.uint8).reshape(28, 28)
        name, low = ("RdBu_r", -1) if signed else scale
        scaled = (divided(one.values) - low) / (1 - low)
        expected = colormaps[name](scaled, bytes=True)[..., :3]
        np.testing.assert_array_equal(table(signed=signed)[place], expected)


def test_a_zero_map_and_a_map_with_holes_have_colours():
    assert not shades(np.zeros((4, 4)), signed=False).any()
    holed = np.ones((4, 4))
    holed[0, 0] = np.nan
    assert shades(holed, signed=True)[0, 0] == 128


def test_a_perturbation_is_grey_where_nothing_changed():
    seen = amplified(np.array([[[0, 0.1, -0.1, 1]]]), 5)
    np.testing.assert_allclose(seen, [[[0.5, 1, 0, 1]]])
    assert eight_bits(np.array([[[0, 0.5, 1]]])).ravel().tolist() == [0, 128, 255]


def test_a_thumbnail_is_small():
    small = Image.open(io.BytesIO(thumbnail(np.zeros((3, 300, 200)))))
    assert (small.size, small.mode) == ((64, 96), "RGB")


def test_one_sign_decides_the_scale_of_all_models(http):
    signed = [[one["signed"] for one in model["maps"]] for model in http.get("/view", params=VIEW).json()["models"]]
    assert signed == [[False, True]] * 2


def test_an_attack_shows_its_perturbation(http):
    reply = http.get("/view", params=VIEW | {"change": "attack", "amount": 0.05}).json()
    assert reply["factor"] == "10.0"
    seen = np.frombuffer(base64.b64decode(reply["models"][0]["perturbation"]), np.uint8)
    assert 0 <= int(seen.min()) < 5
    assert 250 < int(seen.max()) <= 255
    assert "PGD away from each model's own prediction, ε = 0.050" in reply["caption"]


def test_an_attack_on_the_explanation_is_stepped_through(http, monkeypatch):
    budget = application.Viewer.budget
    monkeypatch.setattr(application.Viewer, "budget", lambda *of: replace(budget(*of), steps=4))
    ask = {"image": "test-3", "change": "walk", "attack": "top_k"}
    first, last = (http.get("/view", params=ask | {"step": step}).json() for step in (0, 9))
    assert first["steps"] == last["steps"] == 5
    assert "iterate 5 of 5" in last["caption"]
    for before, after in zip(first["models"], last["models"], strict=True):
        assert before["curve"] == after["curve"]
        assert before["maps"][0]["numbers"][0] == {"name": "top-k", "value": 1, "text": "1.000"}
        assert after["maps"][0]["numbers"][0]["value"] == after["curve"][5] < 1
        assert after["image"] != before["image"]


FILES = [("noise", "png", b"\x89PNG"), ("attack", "svg", b"<?xml"), ("noise", "pdf", b"%PDF")]


@pytest.mark.parametrize(("change", "kind", "head"), FILES, ids=["png", "svg", "pdf"])
def test_what_is_shown_can_be_downloaded(http, change, kind, head):
    reply = http.get(f"/figure.{kind}", params=VIEW | {"change": change})
    assert reply.status_code == 200
    assert reply.content.startswith(head)
    assert reply.headers["content-disposition"] == f'attachment; filename="pellucid-{change}.{kind}"'
    if kind == "png":
        assert reply.content == http.get("/figure.png", params=VIEW).content


def test_names_are_no_markup():
    made = make_app(odd_gallery())
    http = TestClient(made)
    page = http.get("/").text
    assert ODD not in page
    assert "<img src=x" not in page
    assert "&lt;img src=x onerror=alert(1)&gt;" in page
    drawn = http.get("/figure.svg", params=VIEW | {"image": "test-1"})
    assert drawn.status_code == 200
    assert "<img" not in drawn.text
    made.state.site.worker.close()


def test_every_answer_has_the_strict_headers(http):
    for path in ("/", "/static/explore.js", "/images", "/images/0.png", "/view", "/nowhere"):
        policy = http.get(path).headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy


def test_the_page_asks_for_nothing_from_outside(http):
    for path in ("/", "/static/explore.js", "/static/explore.css"):
        urls = re.findall(r"(?:https?:)?//[\w.-]+\.\w+[^\s\"']*", http.get(path).text)
        assert [url for url in urls if "www.w3.org/2000/svg" not in url] == []
    assert http.get("/static/icon.svg").headers["content-type"] == "image/svg+xml"


def test_another_name_of_this_machine_is_refused(shown):
    made = make_app(shown, hosts=["127.0.0.1"])
    http = TestClient(made, base_url="http://attacker.example")
    assert http.get("/").status_code == 400
    assert TestClient(made, base_url="http://127.0.0.1:8001").get("/").status_code == 200
    made.state.site.worker.close()


@pytest.mark.parametrize("path", ["/view?image=test-1", "/images", "/images/0.png", "/figure.png?image=test-1"])
def test_the_pages_of_other_sites_are_refused(http, path):
    reply = http.get(path, headers={"Sec-Fetch-Site": "cross-site"})
    assert (reply.status_code, reply.json()) == (403, {"error": "this comes from another site's page and is refused"})


@pytest.mark.parametrize(
    "change",
    [
        {"amount": -1},
        {"amount": 2},
        {"amount": "nan"},
        {"attribution": ["lime"]},
        {"attribution": ["../etc"]},
        {"attack": "x"},
        {"seed": -1},
        {"more": 1},
        {"change": "?"},
    ],
    ids=str,
)
def test_what_the_page_cannot_ask_for_is_refused(http, change):
    reply = http.get("/view", params=VIEW | change)
    assert (reply.status_code, list(reply.json())) == (422, ["error"])


@pytest.mark.parametrize("image", ["test-40", "test--1", "test-x", "upload-", "upload-guess", "", "test-²"])
def test_an_image_that_is_not_there_is_said_to_be_gone(http, image):
    reply = http.get("/view", params=VIEW | {"image": image})
    assert (reply.status_code, reply.json()["error"][:20]) == (404, "there is no such ima")
    assert http.get("/images/40.png").status_code == 404


def test_an_upload_is_seen_and_gets_a_name_that_nobody_guesses(http, app):
    names = {http.post("/uploads", content=png()).json()["image"] for _ in range(3)}
    assert len(names) == 3
    assert min(map(len, names)) > 28
    reply = http.get("/view", params=VIEW | {"image": names.pop()}).json()
    assert (reply["title"], reply["label"]) == ("An uploaded image", None)
    assert len(reply["models"]) == 2


def test_few_uploads_are_held_and_none_is_written(http, app, monkeypatch, tmp_path):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    first, *_ = [
        http.post("/uploads", content=png(side)).json()["image"] for side in (1100, *[30] * application.UPLOADS)
    ]
    assert len(app.state.site.uploads) == application.UPLOADS
    assert http.get("/view", params=VIEW | {"image": first}).status_code == 404
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("content", "status"), [(b"text", 422), (b"", 422), (bytes(10_000_001), 413)], ids=["text", "nothing", "too much"]
)
def test_bad_uploads_are_refused_and_the_server_lives_on(http, content, status):
    assert http.post("/uploads", content=content).status_code == status
    assert http.post("/uploads", content=png()).status_code == 200


def test_many_uploads_in_a_short_time_are_refused(http):
    found = [http.post("/uploads", content=b"text").status_code for _ in range(25)]
    assert (found[:20], found[24]) == ([422] * 20, 429)


def test_a_full_queue_is_told_with_a_time_to_wait(http, app, monkeypatch):
    def full(_):
        raise Busy

    monkeypatch.setattr(app.state.site.worker, "submit", full)
    reply = http.get("/view", params=VIEW)
    assert (reply.status_code, reply.headers["retry-after"]) == (503, "1")


def test_what_the_browser_gave_up_is_not_computed(app):
    site, held, done = app.state.site, threading.Event(), []
    site.worker.submit(lambda check: held.wait(10))

    class Gone:
        async def receive(self):
            return {"type": "http.disconnect"}

    async def ask():
        with pytest.raises(application.GivenUp):
            await application._answer(Gone(), site, lambda check: done.append(1))

    asyncio.run(ask())
    held.set()
    site.worker.submit(lambda check: None).future.result(10)
    assert done == []


def test_what_is_being_computed_stops_when_the_browser_gives_up(app):
    site, begun, stopped = app.state.site, threading.Event(), []

    class Going:
        async def receive(self):
            await asyncio.to_thread(begun.wait, 10)
            return {"type": "http.disconnect"}

    def long(check):
        begun.set()
        for _ in range(1000):
            time.sleep(0.005)
            try:
                check()
            except application.GivenUp:
                stopped.append(1)
                raise

    async def ask():
        with pytest.raises(application.GivenUp):
            await application._answer(Going(), site, long)

    asyncio.run(ask())
    site.worker.submit(lambda check: None).future.result(10)
    assert stopped == [1]


def listed(http, **query):
    found = http.get("/images", params=query).json()
    return [one["number"] for one in found["images"]], found["count"]


def test_images_are_listed_by_class_and_by_what_models_say(http, app, shown):
    with torch.no_grad():
        expected = torch.stack([model.network(shown.test.batch(range(40))[0]).argmax(1) for model in shown.models])
    until = time.monotonic() + 20
    while http.get("/images").json()["looked_at"] < 40 and time.monotonic() < until:
        time.sleep(0.01)
    assert torch.equal(app.state.site.gallery.predicted, expected)
    differ = (expected[0] != expected[1]).nonzero().squeeze(1).tolist()
    wrong = (expected != shown.test.labels).any(0)
    assert 0 < len(differ) < 40
    assert listed(http, show="disagree") == (differ[:24], len(differ))
    of_class = (shown.test.labels == 2).nonzero().squeeze(1).tolist()
    assert listed(http, label=2) == (of_class[:24], len(of_class))
    assert listed(http, show="wrong", label=2) == ([i for i in of_class if wrong[i]], int(wrong[of_class].sum()))
    assert listed(http, start=24) == (list(range(24, 40)), 40)
    assert listed(http, start=99) == ([], 40)


def test_images_that_no_model_has_seen_are_not_said_to_divide_them(shown):
    unseen = replace(shown, predicted=torch.tensor([[-1] * 40, [0] * 40]))
    assert unseen.positions("disagree", None) == unseen.positions("wrong", None) == []
    assert unseen.looked_at == 0


def test_a_run_becomes_a_gallery(run_directory):
    found = open_gallery([run_directory])
    (model,) = found.models
    assert (model.name, model.arm, found.eps, len(found.test)) == ("tiny-run", "N", 0.08, 2000)
    assert found.looked_at == 0


def test_runs_of_one_name_are_told_apart_by_their_paths(run_directory, tmp_path):
    twin = tmp_path / "tiny-run"
    twin.symlink_to(run_directory)
    with pytest.raises(BadInput, match="tiny-run is given twice"):
        open_gallery([run_directory, twin])
    assert galleries._names([tmp_path / "a" / "N", tmp_path / "b" / "N"]) == [f"{tmp_path}/a/N", f"{tmp_path}/b/N"]


def test_models_of_other_images_or_classes_are_refused(run_directory, monkeypatch):
    first = galleries.loaded(run_directory)
    small = replace(first.test, images=first.test.images[..., :20, :20])
    renamed = replace(first.test, classes=("x", *first.test.classes[1:]))
    for other, said in ((small, r"20 × 20 pixels, 1 channels"), (renamed, "10 classes: x, …")):
        runs = iter([first, replace(first, directory=run_directory / "other", test=other)])
        monkeypatch.setattr(galleries, "loaded", lambda _, runs=runs: next(runs))
        with pytest.raises(BadInput, match=said):
            open_gallery([run_directory, run_directory / "other"])


def command():
    import typer

    made = typer.Typer()
    made.command()(explore)
    return made


def test_the_command_says_where_the_page_is(run_directory, monkeypatch):
    monkeypatch.setattr("uvicorn.Server.run", lambda self, sockets: None)
    done = CliRunner().invoke(command(), [str(run_directory), "--port", "0"])
    assert re.fullmatch(r"page: http://127\.0\.0\.1:\d{4,5}/\n", done.output), done.output


def test_the_command_names_the_extra_that_it_needs(run_directory, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pellucid.explore.server", None)
    with pytest.raises(BadInput, match=r"pip install 'pellucid\[study\]'"):
        explore([run_directory])


def test_large_class_sets_show_the_most_probable():
    test = fashion_mnist_mini(None, "test").subset(range(4))
    many = gallery(test=replace(test, classes=tuple(f"class {i}" for i in range(30))))
    made = make_app(many)
    bars = TestClient(made).get("/view", params=VIEW | {"amount": 0}).json()["models"][0]["bars"]
    made.state.site.worker.close()
    shares = [bar["share"] for bar in bars]
    assert len(bars) == 10
    assert shares == sorted(shares, reverse=True)
    with torch.no_grad():
        expected = many.models[0].network(test.batch([3])[0]).softmax(1).max().item()
    assert shares[0] == pytest.approx(expected)
