"""A small study made without any model, and somebody who takes part in it by plain requests."""

import re
import secrets
from html import unescape

import numpy as np
from starlette.testclient import TestClient

from pellucid.study.building import Explained, Material, build
from pellucid.study.protocol import Protocol
from pellucid.study.web.app import make_app
from pellucid.study.web.server import open_site

MODELS = ("N", "A", "G")
NOW = 1_900_000_000.0


def explained(number, models=MODELS, *, side=8, channels=1):
    """An image, and maps from noisy to sparse."""
    rng = np.random.default_rng(number)
    image = rng.random((channels, side, side))
    maps = {
        model: rng.random((side, side)) * (rng.random((side, side)) < 1 / (1 + 3 * place))
        for place, model in enumerate(models)
    }
    return Explained(number, ("coat", "bag", "shirt")[number % 3], image, maps)


def material(images=3, models=MODELS, practice=1):
    items = [explained(number, models) for number in range(images + practice)]
    return Material(items[:images], items[images:], {f"run-{model}": model for model in models})


def renamed(items):
    """Maps are named by run, as the key wants them."""
    return [Explained(i.number, i.class_name, i.pixels, {f"run-{m}": v for m, v in i.maps.items()}) for i in items]


def build_tiny(folder, *, images=3, models=MODELS, practice=1, seed=1, **wording):
    made = material(images, models, practice)
    made = Material(renamed(made.images), renamed(made.practice), made.models)
    return build(made, Protocol.model_validate(wording), folder, seed=seed)


class Clock:
    """A clock that tests set."""

    def __init__(self):
        self.now = NOW

    def __call__(self):
        return self.now


class Visitor:
    """A browser without JavaScript: follows links, sends forms, keeps cookies."""

    def __init__(self, app, root="", **options):
        self.http = TestClient(app, root_path=root, **options)
        self.secrets = app.state.site.secrets
        self.root = root

    def get(self, path, **options):
        return self.http.get(self.root + path, **options)

    def post(self, path, **options):
        return self.http.post(self.root + path, **options)

    @property
    def csrf(self):
        return token_in(self.get("/study").text)

    def join(self, query="", **extra):
        """Agree on the page of the open link."""
        return self.agree(f"/join/{self.secrets.open_token}", query, **extra)

    def agree(self, path, query="", **extra):
        page = self.get(path + query).text
        hidden = {name: field(page, name) for name in ("csrf", "external", "visit")}
        return self.post(path, data=hidden | {"agree": "yes"} | extra)

    def begin(self, query=""):
        """From the link to the first trial."""
        self.join(query)
        self.post("/study/demographics", data={"csrf": self.csrf})
        return self.post("/study/begin", data={"csrf": self.csrf})

    def trials(self):
        """Number, block and shown stimuli of the trials on the present page."""
        found = re.findall(r'data-trial="(\d+)" data-block="(\w+)" .*?data-shown="(.*?)"', self.get("/study").text)
        return [(int(number), block, shown.split("|")) for number, block, shown in found]

    def answer(self, trial, values, *, key=None, reason="", **more):
        """Send an answer as the page's script does."""
        body = {"key": key or secrets.token_hex(16), "trial": trial, "values": values, "reason": reason} | more
        return self.post("/study/answers", json=body, headers={"X-CSRF-Token": self.csrf})

    def answer_everything(self, value=3):
        for number, block, _ in self.trials():
            reply = self.answer(
                number, right_values(self, number, block, value), reason="so" if block == "choice" else ""
            )
            assert reply.status_code == 200, reply.text
        return self.get("/study")


def right_values(visitor, number, block, value=3):
    if block == "choice":
        return {"choice": 1}
    if block == "attention":
        page = visitor.get("/study").text
        section = page[page.index(f'data-trial="{number}"') :]
        return {re.search(r'name="(check-\d)"', section)[1]: value}
    return {"sufficiency": value, "trust": value}


def field(page, name):
    return unescape(re.search(rf'name="{name}" value="(.*?)"', page)[1])


def token_in(page):
    found = re.search(r'data-csrf="(.*?)"', page) or re.search(r'name="csrf" value="(.*?)"', page)
    return found[1] if found else ""


def open_app(folder, clock=None, database=None, *, root="", **options):
    site = open_site(folder, database, clock=clock or Clock(), **options)
    return make_app(site, root_path=root)
