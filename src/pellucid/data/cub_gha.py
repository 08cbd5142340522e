"""CUB-GHA: photographs of birds, and where people looked to tell them apart."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from pellucid.data.attention import decode_maps, header
from pellucid.data.cub_tables import read_birds
from pellucid.data.dataset import Dataset, Split
from pellucid.data.decoding import decode
from pellucid.data.fixations import Fixations, attention_map, read_fixations
from pellucid.data.sources import check_split, find_root, not_found
from pellucid.errors import BadInput, unknown_name
from pellucid.naming import Count

BIRDS, MAPS, FIXATIONS, RUNS = "CUB_200_2011", "CUB_GHA", "Fixation.txt", "data_5runs"
ON_MISSING = ("error", "drop")


def cub_gha(
    root: Path | None = None,
    split: Split = "train",
    *,
    image_size: Count = 224,
    missing: Literal["error", "drop"] = "error",
) -> Dataset:
    """CUB-200-2011 with human attention: 5,994 training and 5,794 test photographs of birds, RGB, 200 classes.

    Sources: https://www.vision.caltech.edu/datasets/cub_200_2011 (Wah et al. 2011; non-commercial research, no licence
    stated) and https://github.com/yaorong0921/CUB-GHA (Rong et al. 2021; no licence stated).
    Looked for in: `root`, else $PELLUCID_DATA. The birds: ``CUB_200_2011`` in it, or the folder itself, with
    ``images.txt``, ``image_class_labels.txt``, ``train_test_split.txt``, ``classes.txt`` and ``images/``. The maps,
    beside the birds or in the data root, the first of: ``CUB_GHA/<image id>.jpg`` (grey, 8 bits, of the size of the
    photograph), the gaze itself in ``Fixation.txt``, that of single runs in ``data_5runs/Fixation_run*.txt``. From gaze
    the maps are drawn by :func:`pellucid.data.fixations.attention_map`.

    Parameters
    ----------
    image_size
        Of image and map alike, the shorter side is resized to it and the centre cropped. NRAT cuts 448 from 600 × 600,
        which distorts (definitions §2.2); here the aspect ratio is kept. The grey photographs become RGB.
    missing
        What to do with images that have no map: refuse the data set, or leave them out ("drop"); ids stay those of the
        full split.

    Raises
    ------
    BadInput
        If birds or maps are not there, with file and line of a bad entry, with the path of an image or a map that
        cannot be used, or if maps are missing.
    """
    check_split(split)
    if missing not in ON_MISSING:
        raise unknown_name("way to treat missing maps", missing, ON_MISSING)
    base = find_root(root)
    place = next((p for p in (base / BIRDS, base) if (p / "images.txt").is_file()), None) if base else None
    if base is None or place is None:
        raise not_found("CUB-200-2011", f"{BIRDS}/images.txt, …/images/<class>/<image>", base)
    birds = read_birds(place, split)
    maps = _find_maps([base, place], birds.ids)
    kept = [position for position, image_id in enumerate(birds.ids) if image_id in maps.known]
    if not kept or (len(kept) < len(birds.ids) and missing == "error"):
        first = next(image_id for image_id in birds.ids if image_id not in maps.known)
        raise BadInput(
            f"{len(birds.ids) - len(kept)} of {len(birds.ids)} images of CUB-GHA ({split}) have no attention map in "
            f"{maps.where}, the first of them image {first}: complete the maps, or set missing: drop"
        )
    ids, paths = [birds.ids[i] for i in kept], [birds.paths[i] for i in kept]
    attention = maps.of(ids, paths, image_size)
    images = decode(paths, image_size=image_size, channels="rgb")
    labels = torch.tensor([birds.labels[i] for i in kept])
    return Dataset("cub-gha", split, images, labels, birds.classes, torch.tensor(kept), attention)


@dataclass(frozen=True)
class _MapFiles:
    """Maps that were drawn already: one file an image."""

    where: Path
    known: frozenset[int]

    def of(self, ids: Sequence[int], images: Sequence[Path], image_size: int) -> Tensor:
        """uint8 [N, 1, H, W]."""
        return decode_maps(images, [self.where / f"{image_id}.jpg" for image_id in ids], image_size=image_size)


@dataclass(frozen=True)
class _Gaze:
    """Maps that are to be drawn from fixations."""

    where: Path
    known: dict[int, list[Fixations]]

    def of(self, ids: Sequence[int], images: Sequence[Path], image_size: int) -> Tensor:
        """uint8 [N, 1, H, W]."""
        maps = np.empty((len(ids), 1, image_size, image_size), np.uint8)
        for position, (image_id, path) in enumerate(zip(ids, images, strict=True)):
            records = self.known[image_id]
            _, size = header(path)
            if records[0].size != size:
                seen, wanted = (f"{width} × {height}" for width, height in (records[0].size, size))
                raise BadInput(f"{self.where} is about an image {image_id} of {seen} pixels, but {path} has {wanted}")
            drawn = Image.fromarray((attention_map(records) * 255).round().astype(np.uint8))
            maps[position, 0] = np.asarray(ImageOps.fit(drawn, (image_size, image_size), Image.Resampling.BILINEAR))
        return torch.from_numpy(maps)


def _find_maps(places: Sequence[Path], ids: Sequence[int]) -> _MapFiles | _Gaze:
    for place in places:
        if (place / MAPS).is_dir():
            known = frozenset(image_id for image_id in ids if (place / MAPS / f"{image_id}.jpg").is_file())
            return _MapFiles(place / MAPS, known)
    for place in places:
        if (place / FIXATIONS).is_file():
            return _gaze(place / FIXATIONS, [place / FIXATIONS])
        if runs := sorted((place / RUNS).glob("Fixation_run*.txt")):
            return _gaze(place / RUNS, runs)
    raise not_found("attention maps", f"{MAPS}/<image id>.jpg, {FIXATIONS} or {RUNS}/Fixation_run1.txt", places[0])


def _gaze(where: Path, files: Sequence[Path]) -> _Gaze:
    known: dict[int, list[Fixations]] = {}
    for path in files:
        for record in read_fixations(path):
            known.setdefault(record.image_id, []).append(record)
    return _Gaze(where, known)
