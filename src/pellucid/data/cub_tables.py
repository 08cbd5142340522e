"""The tables of CUB-200-2011: which photograph has which bird, and which half of the data set it is in."""

from dataclasses import dataclass
from pathlib import Path

from pellucid.errors import BadInput


@dataclass(frozen=True)
class Birds:
    """One split of CUB-200-2011: image ids as the data set counts them (from 1), files, labels from 0."""

    ids: list[int]
    paths: list[Path]
    labels: list[int]
    classes: tuple[str, ...]


def read_birds(place: Path, split: str) -> Birds:
    """Read images.txt, classes.txt, image_class_labels.txt and train_test_split.txt in `place`.

    Raises
    ------
    BadInput
        With file and line of an entry that is not a number, a space and a word, or the image that lacks one.
    """
    names, classes = _table(place / "images.txt"), _table(place / "classes.txt")
    label_of, training = _table(place / "image_class_labels.txt"), _table(place / "train_test_split.txt")
    label_of_class = {str(number): label for label, number in enumerate(sorted(classes))}
    wanted = "1" if split == "train" else "0"
    for image_id in names:
        if label_of.get(image_id) not in label_of_class or training.get(image_id) not in ("0", "1"):
            raise BadInput(
                f"image {image_id} of {place / 'images.txt'} needs one of the classes of classes.txt in "
                "image_class_labels.txt, and 0 or 1 in train_test_split.txt"
            )
    ids = [image_id for image_id in sorted(names) if training[image_id] == wanted]
    if not ids:
        raise BadInput(f"{place / 'train_test_split.txt'} names no image of the split '{split}'")
    paths = [place / "images" / names[image_id] for image_id in ids]
    labels = [label_of_class[label_of[image_id]] for image_id in ids]
    return Birds(ids, paths, labels, tuple(_readable(classes[number]) for number in sorted(classes)))


def _readable(name: str) -> str:
    """``001.Black_footed_Albatross`` → ``Black footed Albatross``."""
    return name.partition(".")[2].replace("_", " ") or name


def _table(path: Path) -> dict[int, str]:
    """Lines of a number, a space and a word. Raises BadInput with file and line."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"cannot read {path}, which CUB-200-2011 has: {error}") from error
    entries = {}
    for number, line in enumerate(lines, 1):
        key, _, value = line.strip().partition(" ")
        if not key.isdecimal() or not value:
            raise BadInput(f"{path}, line {number}: expected a number, a space and a word; got {line[:60]!r}")
        entries[int(key)] = value
    return entries
