"""What each metric cannot say, in words for a reviewer; by the first word of its key that is found here."""

LIMITS: dict[str, str] = {
    "natural_accuracy": (
        "The share of the test images that are classified correctly. It speaks of images like the test set, and of "
        "none that were taken otherwise."
    ),
    "robust_accuracy": (
        "An upper bound: another or a longer attack may break more images. It holds for the stated norm and radius "
        "only, and says nothing about other changes such as rotation, weather or compression."
    ),
    "gini": (
        "How few pixels carry the map, not whether they are the right ones: a map of one random pixel scores highest. "
        "The value cannot reach 1, and depends on the number of pixels and on how colour channels are joined, so that "
        "values of other image sizes cannot be compared."
    ),
    "ssim": (
        "How alike maps are before and after noise. A map that ignores the model, such as the edges of the image, can "
        "score high, too, and so can one that is the same for every image. Each map is divided by its own largest "
        "entry first; without that, models with small gradients score higher whatever their maps look like. Noise "
        "that changes the prediction is left out, so a fragile model is judged on the images that it survives."
    ),
    "spearman": "As SSIM, of the order of the pixels only: it ignores how unequal they are.",
    "cosine": "As SSIM, dominated by the few largest entries of the map.",
    "other_seed": (
        "Agreement of maps with those of a model from another training seed: alike maps may still be wrong together."
    ),
    "other_image": (
        "A control: how alike the maps of images of different classes are. Where this comes near the similarity under "
        "noise, maps are stable because they hardly depend on the image."
    ),
    "ros": (
        "How much faster maps change than logits. Its denominator is the change of the logits: a model with small "
        "logits, such as one made robust or one with a raised temperature, scores worse with the same maps. Values "
        "grow with the number of pixels and vary much between seeds."
    ),
    "aopc": (
        "How fast accuracy falls as the most important pixels are replaced by their surroundings. Images with pixels "
        "replaced are not natural, so a model may also fail because they look odd: compare with the random map beside "
        "it. It depends on how pixels are filled in."
    ),
    "held_out": (
        "Similarity under perturbations that no training here saw. The list is short, and says nothing about others. "
        "Perturbations that change the prediction are left out."
    ),
    "misalignment": "How far gradients of neighbouring images point apart: it says how smooth they are, not how true.",
    "curvature": "How fast the direction of the gradient turns, measured locally; far from the images it may differ.",
    "outlier_dependence": "Defined against one model that was trained without wrong labels; another one may differ.",
    "intersection": (
        "Agreement of the most important pixels before and after an attack on the explanation. An upper bound: a "
        "stronger attack may lower it. Measured on few images."
    ),
    "kendall": "As the top-k intersection, over all pixels.",
    "shift": "As the top-k intersection, of the centre of mass: maps with the same centre can differ everywhere else.",
    "group": "Sparsity over square blocks: the size of the blocks is a choice.",
    "diffroad": (
        "Accuracy with the most important pixels kept, less that with the least important ones kept, without "
        "retraining: the images are unlike those of the training."
    ),
    "energy_inside": "Agreement with attention maps, which say where people looked and not what the model used.",
    "auc": "Agreement with attention maps, which say where people looked and not what the model used.",
    "nss": "Agreement with attention maps, which say where people looked and not what the model used.",
    "pointing_game": "Looks at one pixel of the map only.",
    "precision_at_truth": "Needs a truth: the marked pixels may not be the only relevant ones.",
    "legacy": "A published definition with known faults, kept for comparison with published numbers only.",
    "scale": "The size of the map's entries: no quality. It explains why scores that are not free of scale differ.",
}


def limits_of(keys: list[str]) -> dict[str, str]:
    """The texts that apply to rows with these keys, by name; legacy rows share one text."""
    names = dict.fromkeys(_name(key) for key in keys)
    return {name: LIMITS[name] for name in LIMITS if name in names}


def _name(key: str) -> str | None:
    if "legacy" in key or key.startswith("ros_quantus"):
        return "legacy"
    start = next((name for name in LIMITS if key.startswith(name)), None)
    return start or next((name for name in LIMITS if name in key), None)
