"""From images and maps to a study on disk, and its key beside it."""

import os
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pellucid.errors import BadInput
from pellucid.files import write_atomic, write_json
from pellucid.study.design import even_rows
from pellucid.study.key import Sealed, key_path, seal, write_secret
from pellucid.study.protocol import STIMULI, STUDY, Pictured, Practice, Protocol, Study
from pellucid.study.stimuli import Floats, Pixels, as_png, opaque_names, pair, signed


@dataclass(frozen=True)
class Explained:
    """One image and what each model's explanation of it looks like.

    Attributes
    ----------
    number
        The image's position in its data set, for the key.
    pixels
        [C, H, W] in [0, 1].
    maps
        One saliency map [H, W] per run, by the run's name; every image of a study has the same runs.
    """

    number: int
    class_name: str
    pixels: Floats
    maps: Mapping[str, Floats]


@dataclass(frozen=True)
class Material:
    """All that a study shows: the images that are rated, those for practice, and the model behind each run."""

    images: Sequence[Explained]
    practice: Sequence[Explained]
    models: Mapping[str, str]


def build(material: Material, protocol: Protocol, out: Path, *, seed: int, key: Path | None = None) -> Study:
    """Write ``study.json`` and the stimuli into `out`, and the key to `key` (beside `out` if absent).

    `seed` goes into the study, where it decides the order of each participant's items. Names, the key's nonce and the
    rows of the design come from the operating system: whoever knows the seed knows nothing about the models.

    Raises
    ------
    BadInput
        If there are fewer than two models, or `out` or the key exist already, or the key would lie inside `out`.
    """
    place = (key or key_path(out)).absolute()
    _check(material, out, place)
    rng = random.SystemRandom()
    drawing = _Drawing(material, rng)
    rows = even_rows(len(material.images), len(material.models), rng)
    shuffled = rng.sample(material.images, len(material.images))  # their order in the data set tells nothing any more
    images = [drawing.image(item, order) for item, order in zip(shuffled, rows, strict=True)]
    training = [drawing.practice(item) for item in material.practice]
    files = as_png(drawing.pictures)
    sealed = seal(drawing.sealed)
    study = Study.model_validate(
        protocol.model_dump(by_alias=True)
        | {"seed": seed, "conditions": len(material.models), "key_sha256": sealed.sha256()}
        | {"signed_maps": drawing.diverging}
        | {"images": images, "training": training}
    )
    for name in sorted(files):
        write_atomic(out / STIMULI / f"{name}.png", files[name])
        os.utime(out / STIMULI / f"{name}.png", (0, 0))  # when it was written would tell its place in the build
    write_secret(place, sealed.model_dump_json(by_alias=True, indent=1) + "\n")
    write_json(out / STUDY, study.model_dump(by_alias=True, mode="json"))  # last: a folder without it is no study
    return study


def _check(material: Material, out: Path, key: Path) -> None:
    if len(material.models) < 2:
        raise BadInput(f"a study compares at least two models; got {len(material.models)}")
    if not material.images:
        raise BadInput("a study needs at least one image")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise BadInput(f"{out} exists and is not empty; choose another --out")
    if key.is_relative_to(out.absolute()):
        raise BadInput(f"the key must not lie inside the study ({key}); whoever gets the study would get the key")
    if key.exists():
        raise BadInput(f"{key} exists already; it may be the key of another study: move it, or choose another --key")


class _Drawing:
    """Names, pictures and sealed facts of the stimuli, as they are made one after the other."""

    def __init__(self, material: Material, rng: random.Random) -> None:
        self.pictures: dict[str, Pixels] = {}
        self.sealed: dict[str, Sealed] = {}
        self._material, self._rng = material, rng
        every = [*material.images, *material.practice]
        self.diverging = signed([values for item in every for values in item.maps.values()])
        self._images: set[str] = set()

    def _stimulus(self, item: Explained, run: str) -> str:
        (name,) = opaque_names(1, taken=self.pictures)
        self.pictures[name] = pair(item.pixels, item.maps[run], diverging=self.diverging)
        facts = {"model": self._material.models[run], "run": run, "image": item.number, "class": item.class_name}
        self.sealed[name] = Sealed.model_validate(facts)
        return name

    def _image_name(self) -> str:
        (name,) = opaque_names(1, taken=self._images)
        self._images.add(name)
        return name

    def image(self, item: Explained, rows: Sequence[Sequence[int]]) -> Pictured:
        """All stimuli of an image, in the order of every cell."""
        names = [self._stimulus(item, run) for run in self._material.models]
        orders = tuple(tuple(names[model] for model in row) for row in rows)
        return Pictured.model_validate({"image": self._image_name(), "class": item.class_name, "orders": orders})

    def practice(self, item: Explained) -> Practice:
        """One stimulus of an image, of a model drawn at random."""
        run = self._rng.choice(list(self._material.models))
        facts = {"image": self._image_name(), "class": item.class_name, "stimulus": self._stimulus(item, run)}
        return Practice.model_validate(facts)
