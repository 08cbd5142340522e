"""What the labels say, and whether the model means the same classes by them."""

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from scipy.stats import binomtest

from pellucid.doctor.case import Case
from pellucid.doctor.checks.conventions import channel_order, orientation, pixel_scaling
from pellucid.doctor.findings import NotApplicable, Seen, check, ok, problem, warning

IMBALANCE = 10
SIGNIFICANT = 1e-3


@check(
    why="A label that is no class index crashes the loss, or silently trains another class.",
    mend="Make labels int64 from 0 to K - 1, in the order of the model's logits.",
)
def label_range(case: Case) -> Seen:
    """Labels that are no class indices."""
    for sample in (case.train, case.test):
        labels = sample.labels
        if labels.is_floating_point() or labels.dtype == torch.bool:
            return problem(f"{sample.split} labels are {labels.dtype}, not int64")
        low, high = int(labels.min()), int(labels.max())
        most = _outputs(case)
        if low < 0 or (most is not None and high >= most):
            return problem(
                f"{sample.split} labels run from {low} to {high}, outside of 0 … {(most or case.classes) - 1}"
            )
    if most is not None and low == 1 and high == most - 1 and int(case.train.labels.min()) == 1:
        return warning(f"labels run from 1 to {high}: no image has label 0, as if they were counted from 1")
    return ok(f"labels run from {low} to {high}")


@check(
    why="Accuracy is then mostly that of the largest class, and a sample of measured images has few of the others.",
    mend="Report balanced accuracy, and measure as many images of each class; or balance the training batches.",
)
def class_balance(case: Case) -> Seen:
    """One class only, or classes of very different size."""
    _, counts = case.train.labels.unique(return_counts=True)
    if len(counts) == 1:
        return problem(
            f"all {len(case.train)} training images are of one class", "Give images of two classes at least."
        )
    seen = f"the largest of {len(counts)} training classes has {counts.max()} images, the smallest {counts.min()}"
    return warning(seen) if counts.max() > IMBALANCE * counts.min() else ok(seen)


@check(
    why="A class without test images is not measured, and one without training images is not learnt.",
    mend="Put images of every class into both splits, or take the class out of the model.",
)
def missing_classes(case: Case) -> Seen:
    """Classes that one of the splits does not have."""
    if not case.has_test:
        raise NotApplicable("only one split was given")
    train, test = (set(sample.labels.tolist()) for sample in (case.train, case.test))
    named = set(range(case.classes)) if case.train.classes is not None else train | test
    for split, there in (("training", train), ("test", test)):
        if lacking := sorted(named - there):
            names = ", ".join(_name(case, label) for label in lacking[:5]) + ("…" if len(lacking) > 5 else "")
            return warning(f"{len(lacking)} of {len(named)} classes have no {split} images: {names}")
    return ok(f"all {len(named)} classes are in both splits")


@check(
    why="With classes in another order accuracy is wrong, and every map explains a class that is not the label's.",
    mend="Sort the classes as they were in training (folders: by name) or permute the head's rows.",
)
def label_order(case: Case) -> Seen:
    """Logits in another order than the labels."""
    case.require_steady()
    predicted, labels = case.logits.argmax(1).numpy(), case.labels(len(case.logits)).numpy()
    if case.logits.shape[1] != case.classes:
        raise NotApplicable(
            f"there are {case.logits.shape[1]} logits for {case.classes} classes (see number_of_logits)"
        )
    half = len(labels) // 2
    order = _best_order(predicted[:half], labels[:half], case.classes)
    predicted, labels = predicted[half:], labels[half:]
    plain, ordered = predicted == labels, predicted == order[labels]
    moved = (order != np.arange(len(order)))[labels]
    seen = f"accuracy {plain.mean():.0%}, {ordered.mean():.0%} after the best reordering (judged on other images)"
    gained, lost = int((ordered & ~plain).sum()), int((plain & ~ordered).sum())
    if (
        gained > 0
        and binomtest(gained, gained + lost, 0.5, alternative="greater").pvalue < SIGNIFICANT
        and ordered[moved].mean() >= 3 * plain[moved].mean()
        and case.knows(case.logits, float(ordered.mean()))
        and _recalled(ordered[moved], labels[moved]) >= 0.5
    ):
        if other := _explained_otherwise(case):
            return ok(f"{seen}, but the pixels explain that (see {other})")
        changed = [f"{_name(case, int(k))} is logit {order[k]}" for k in np.flatnonzero(order != np.arange(len(order)))]
        return problem(f"{seen}: {', '.join(changed[:3])}{'…' if len(changed) > 3 else ''}")
    return ok(seen)


@check(
    why="What a network with random weights does says nothing about the one that will be measured.",
    mend="Train it or load its weights (--weights FILE); if it is trained, see label_order and pixel_scaling.",
)
def has_learnt(case: Case) -> Seen:
    """A model that predicts no better than chance."""
    seen = f"accuracy {case.accuracy:.1%} on {len(case.correct)} images, a constant answer has {case.chance:.1%}"
    return ok(seen) if case.accuracy >= case.learnt_level else warning(f"the model seems untrained: {seen}")


def _explained_otherwise(case: Case) -> str:
    """The check of the pixels that finds a reason for the mistakes, if one does."""
    for other in (channel_order, orientation, pixel_scaling):
        if other(case).status == "problem":
            return other.name
    return ""


def _outputs(case: Case) -> int | None:
    """Number of logits, or of named classes where there are no logits to count."""
    try:
        case.require_logits()
    except NotApplicable:
        return None if case.train.classes is None else case.classes
    return int(case.output.shape[1])


def _best_order(predicted: np.ndarray, labels: np.ndarray, classes: int) -> np.ndarray:
    """For each class the logit that means it: the assignment with most hits, its own logit where nothing is better."""
    hits = np.zeros((classes, classes))
    np.add.at(hits, (labels, predicted), 1)
    return linear_sum_assignment(-(hits + 0.5 * np.eye(classes)))[1]


def _recalled(hits: np.ndarray, labels: np.ndarray) -> float:
    """Share of the classes of which at least a quarter of the images are hit."""
    return float(np.mean([hits[labels == label].mean() >= 0.25 for label in np.unique(labels)]))


def _name(case: Case, label: int) -> str:
    return f"'{case.train.classes[label]}'" if case.train.classes is not None else str(label)
