"""Signs that attacks fail for want of a gradient, not for robustness (Athalye et al. 2018; Carlini et al. 2019)."""

from pellucid.attacks import Linf
from pellucid.doctor.case import Case
from pellucid.doctor.findings import NotApplicable, Seen, check, ok, problem

MASKED = (
    "Find the step without a useful derivative (see finite_differences, dead_gradients); report no robust accuracy."
)


@check(
    why="Many steps can do all that one step can; if they do worse, the gradient leads them astray.",
    mend=MASKED,
)
def many_steps_beat_one(case: Case) -> Seen:
    """A one-step attack that beats a longer one of the same radius."""
    attacks = case.attacked
    reached, once = attacks.often[0], attacks.once[0]
    margin = 0.01 * (reached - attacks.clean[0]).abs() + 1e-6 * (1 + reached.abs())
    better = int((once > reached + margin).sum())
    seen = f"one step beats seven at ε = {attacks.eps:.3g} on {better} of {len(once)} images"
    return problem(seen) if better >= 3 and better > len(once) / 2 else ok(seen)


@check(
    why="A random direction that hurts more than the gradient means that the gradient says nothing about the model.",
    mend=MASKED,
)
def gradient_beats_noise(case: Case) -> Seen:
    """Random noise that beats the gradient attack of the same radius."""
    attacks = case.attacked
    reached, noise = attacks.often[0], attacks.noise[0]
    better = int((noise > reached + 1e-6 * (1 + reached.abs())).sum())
    seen = f"random signs beat the attack at ε = {attacks.eps:.3g} on {better} of {len(noise)} images"
    return problem(seen) if better >= 3 and better > len(noise) / 4 else ok(seen)


@check(
    why="Every perturbation of a small ball lies in the larger one: fewer successes there mean that the attack fails.",
    mend=MASKED,
)
def larger_radius_succeeds(case: Case) -> Seen:
    """A larger radius at which fewer attacks succeed."""
    attacks = case.attacked
    small, large, count = int(attacks.often[1].sum()), int(attacks.wider[1].sum()), len(attacks.often[1])
    seen = f"attacks succeed on {small} of {count} images at ε = {attacks.eps:.3g}, on {large} at {4 * attacks.eps:.3g}"
    return problem(seen) if small - large > 1 + 0.1 * count else ok(seen)


@check(
    why="At ε = ½ every image can become uniform grey; a model that resists even that hides its gradient.",
    mend=MASKED,
)
def unbounded_attack(case: Case) -> Seen:
    """Images that survive an attack without bounds."""
    case.require_attackable()
    case.require_learnt()
    count = case.affordable(31, 0.18, 24)
    x = case.images(len(case.correct))[case.correct.to(case.device)][:count]
    if len(x) < 4:
        raise NotApplicable(f"only {len(x)} of {len(case.correct)} images are predicted right")
    y = case.labels(len(case.correct))[case.correct][:count].to(x.device)
    survived = int((case.attack(x, y, Linf(0.5), 10).argmax(1) == y.cpu()).sum())
    seen = f"{survived} of {len(x)} images survive ten steps at ε = 0.5"
    return problem(seen) if survived >= 2 and survived > len(x) / 4 else ok(seen)
