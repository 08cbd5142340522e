"""Every planted fault is found by its check, and no other check calls it a problem that is none."""

import pytest
import torch
from patients import MEAN, STD, Around, network, splits, trained
from torch import nn

from pellucid.doctor import checks, examine
from pellucid.doctor.case import Attacks
from pellucid.doctor.engine import case_of, run_checks
from pellucid.models.normalised import Normalise, normalised

NA = "not applicable"


def by_check(findings):
    return {finding.check: finding for finding in findings}


def statuses(model, train=None, test=None, **more):
    ours = splits()
    case = case_of(model, train or ours[0], test or ours[1], **more)
    return {f.check: f.status for f in run_checks(case)}


class TrainedNet(nn.Module):
    """The trained layers under a forward of one's own."""

    def __init__(self):
        super().__init__()
        self.model = trained()


class MonteCarloDropout(TrainedNet):
    def forward(self, x):
        return nn.functional.dropout(self.model(x), 0.5, training=True)


class Counter(TrainedNet):
    calls = 0

    def forward(self, x):
        self.calls += 1
        return self.model(x) * (1 + 0.1 * self.calls)


class BatchCentred(TrainedNet):
    def forward(self, x):
        return self.model(x - x.mean(0, keepdim=True) + 0.3)


class InPlace(TrainedNet):
    def forward(self, x):
        return self.model(x.sub_(0.1).add_(0.05))


class Tuple(TrainedNet):
    def forward(self, x):
        return self.model(x), x


class NoGraph(TrainedNet):
    def forward(self, x):
        return self.model(x.detach())


class Numpy(TrainedNet):
    def forward(self, x):
        with torch.no_grad():
            return self.model(x)


class Rounded(TrainedNet):
    def forward(self, x):
        return self.model((x * 16).round() / 16)


class StraightThrough(TrainedNet):
    def forward(self, x):
        return self.model(x + ((x * 16).round() / 16 - x).detach())


class HalfDetached(TrainedNet):
    def forward(self, x):
        return self.model(torch.cat([x[:, :1].detach(), x[:, 1:]], 1))


class Once(torch.autograd.Function):
    @staticmethod
    def forward(_, x):
        return x * 1.0

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(_, gradient):
        return gradient


class NoSecondDerivative(TrainedNet):
    def forward(self, x):
        return self.model(Once.apply(x))


class Reversed(torch.autograd.Function):
    @staticmethod
    def forward(_, x):
        return x * 1.0

    @staticmethod
    def backward(_, gradient):
        return -gradient


class WrongWay(TrainedNet):
    def forward(self, x):
        return self.model(Reversed.apply(x))


class SqrtAtZero(TrainedNet):
    def forward(self, x):
        return self.model(x) + 0 * (x - x).square().sum((1, 2, 3)).sqrt()[:, None]


def in_train_mode():
    return trained().train()


def without_bn_statistics():
    model = trained()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.reset_running_stats()
    return model


def with_batch_statistics():
    model = trained()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean = module.running_var = None
            module.track_running_stats = False
    return model


def with_momentum(value):
    model = trained()
    model.network[1].momentum = value
    return model


def with_hook(changes):
    model = trained()
    model.network[2].register_forward_hook((lambda m, i, o: o * 0.5) if changes else (lambda m, i, o: None))
    return model


def with_nan_weight():
    model = trained()
    model.network[0].weight.data[0, 0, 0, 0] = float("nan")
    return model


def with_frozen_layer():
    model = trained()
    model.network[0].weight.requires_grad_(False)
    return model


def with_unused_layer():
    model = trained()
    model.extra = nn.Linear(3, 3)
    model.forward = lambda x: model.network(model.normalise(x))
    return model


def with_dead_layer():
    model = trained()
    model.network[1].bias.data.fill_(-100)
    return model


def mixed():
    model = trained()
    model.network[-1].double()
    return model


def on_meta():
    model = trained()
    model.network[-1].to("meta")
    return model


def with_classes(classes):
    model = trained()
    model.network[-1] = nn.Linear(256, classes)
    return model


MODELS = {
    "train_mode": in_train_mode,
    "active_dropout": MonteCarloDropout,
    "determinism": Counter,
    "batch_independence": BatchCentred,
    "unchanged_input": InPlace,
    "output_form": Tuple,
    "reaches_pixels": NoGraph,
    "unused_parameters": Numpy,
    "dead_gradients": Rounded,
    "finite_differences": StraightThrough,
    "finite_differences/detached": HalfDetached,
    "double_backward": NoSecondDerivative,
    "gradient_beats_noise": WrongWay,
    "finite_gradients": SqrtAtZero,
    "logits_not_probabilities": lambda: Around(after=lambda z: z.softmax(1)),
    "logits_not_probabilities/log": lambda: Around(after=lambda z: z.log_softmax(1)),
    "logits_not_probabilities/sigmoid": lambda: Around(after=torch.sigmoid),
    "saturated_softmax": lambda: Around(after=lambda z: 1000 * z),
    "finite_logits": lambda: Around(after=lambda z: z / 0),
    "label_order": lambda: Around(after=lambda z: z.flip(1)),
    "label_order/two": lambda: Around(after=lambda z: z[:, [0, 1, 2, 4, 3, 5]]),
    "channel_order": lambda: Around(before=lambda x: x.flip(1)),
    "pixel_scaling/bytes": lambda: Around(before=lambda x: x / 255),
    "pixel_scaling/missing": lambda: trained().network,
    "normalisation_constants/twice": lambda: normalised(trained(), MEAN, STD),
    "normalisation_constants/scale": lambda: nn.Sequential(Normalise((123, 116, 103), (58, 57, 57)), trained().network),
    "orientation": lambda: Around(before=lambda x: x.transpose(2, 3)),
    "batchnorm_statistics": without_bn_statistics,
    "batchnorm_statistics/batch": with_batch_statistics,
    "batchnorm_momentum": lambda: with_momentum(None),
    "left_hooks": lambda: with_hook(True),
    "left_hooks/silent": lambda: with_hook(False),
    "finite_weights": with_nan_weight,
    "frozen_parameters": with_frozen_layer,
    "dead_units": with_dead_layer,
    "weights_dtype": lambda: trained().double(),
    "weights_dtype/mixed": mixed,
    "weights_dtype/half": lambda: trained().bfloat16(),
    "one_device": on_meta,
    "number_of_logits": lambda: with_classes(40),
    "takes_images": lambda: normalised(network(channels=1), (0.0,) * 3, (1.0,) * 3),
    "has_learnt": lambda: normalised(network(), MEAN, STD).eval(),
    "batchnorm_ddp": lambda: nn.DataParallel(trained()),
    "plain_module": lambda: torch.jit.trace(trained(), torch.rand(2, 3, 16, 16), check_trace=False),
}
WARNINGS = {"batchnorm_momentum", "left_hooks/silent", "frozen_parameters", "has_learnt", "batchnorm_ddp"}

TRUE_TOO = {
    "unchanged_input": {"reaches_pixels"},  # a leaf cannot be written on
    "unused_parameters": {"reaches_pixels"},
    "gradient_beats_noise": {"finite_differences", "unbounded_attack", "many_steps_beat_one", "larger_radius_succeeds"},
    "dead_gradients": {"unbounded_attack", "double_backward", "gradient_beats_noise"},
    "saturated_softmax": {"unbounded_attack"},
    "pixel_scaling/bytes": {"normalisation_constants"},
    "normalisation_constants/twice": {"pixel_scaling"},
    "normalisation_constants/scale": {"pixel_scaling"},
    "batchnorm_statistics": {"pixel_scaling"},
    "batchnorm_statistics/batch": {"batch_independence"},
    "finite_weights": {"finite_logits"},
    "dead_units": {"dead_gradients", "double_backward", "pixel_scaling"},
    "weights_dtype/mixed": {"takes_images"},
    "one_device": {"takes_images"},
    "left_hooks": {"pixel_scaling"},  # other pixels can make up for a layer that is halved
}


@pytest.mark.parametrize("fault", MODELS)
def test_a_fault_of_the_model_is_found_and_nothing_else_is_blamed(fault):
    found = statuses(MODELS[fault](), eps=8 / 255)
    name = fault.split("/")[0]
    assert found[name] == ("warning" if fault in WARNINGS else "problem")
    problems = {check for check, status in found.items() if status == "problem"}
    assert problems - {name} <= TRUE_TOO.get(fault, set())


def test_unused_layers_are_a_warning():
    assert statuses(with_unused_layer())["unused_parameters"] == "warning"


def changed(split, images=None, labels=None):
    x, y = split
    return (images(x.clone()) if images else x, labels(y.clone()) if labels else y)


def _set(place, value):
    def change(tensor):
        tensor[place] = value
        return tensor

    return change


def of_train(change):
    train, test = splits()
    return change(train), test


def of_test(change):
    train, test = splits()
    return train, change(test)


def of_both(change):
    return tuple(map(change, splits()))


def leak(count):
    train, test = splits()
    return train, (torch.cat([test[0], train[0][:count]]), torch.cat([test[1], train[1][:count]]))


def near_leak():
    train, test = splits()
    copies = (train[0][:30] + 0.008 * torch.randn(30, 3, 16, 16, generator=torch.Generator().manual_seed(0))).clamp(
        0, 1
    )
    return train, (torch.cat([test[0], copies]), torch.cat([test[1], train[1][:30]]))


def conflict():
    train, test = splits()
    return (torch.cat([train[0], train[0][:20]]), torch.cat([train[1], (train[1][:20] + 1) % 6])), test


def without_class(split, label):
    x, y = split
    return x[y != label], y[y != label]


def unbalanced(split):
    x, y = split
    rare = (y == 2).nonzero()[:, 0][3:]
    keep = torch.ones(len(y), dtype=torch.bool)
    keep[rare] = False
    return x[keep], y[keep]


MEANS, STDS = (torch.tensor(values).view(1, 3, 1, 1) for values in (MEAN, STD))
DATA = {
    "pixel_range/bytes": lambda: of_both(lambda s: (s[0] * 255, s[1])),
    "pixel_range/twice": lambda: of_both(lambda s: (s[0] / 255, s[1])),
    "normalised_data": lambda: of_both(lambda s: ((s[0] - MEANS) / STDS, s[1])),
    "finite_pixels": lambda: of_train(lambda s: changed(s, _set((5, 0, 0, 0), float("nan")))),
    "constant_images": lambda: of_test(lambda s: changed(s, _set(slice(0, 9), 0.0))),
    "duplicates_between_splits": lambda: leak(30),
    "near_duplicates_between_splits": near_leak,
    "conflicting_labels": conflict,
    "label_range": lambda: of_both(lambda s: changed(s, None, _set(4, 9))),
    "label_range/negative": lambda: of_train(lambda s: changed(s, None, _set(4, -1))),
    "class_balance": lambda: of_train(lambda s: (s[0], torch.zeros_like(s[1]))),
    "class_balance/rare": lambda: of_train(unbalanced),
    "missing_classes": lambda: of_test(lambda s: without_class(s, 3)),
    "splits_alike": lambda: of_test(lambda s: (s[0] * 0.3, s[1])),
}
DATA_WARNINGS = {"class_balance/rare", "missing_classes", "splits_alike"}
DATA_TRUE_TOO = {
    "pixel_range/twice": {"pixel_scaling", "normalisation_constants"},
    "normalised_data": {"pixel_range"},
    "label_range": {"number_of_logits"},
    "splits_alike": {"pixel_scaling"},
}


@pytest.mark.parametrize("fault", DATA)
def test_a_fault_of_the_data_is_found_and_nothing_else_is_blamed(fault):
    train, test = DATA[fault]()
    found = statuses(trained(), train, test)
    name = fault.split("/")[0]
    assert found[name] == ("warning" if fault in DATA_WARNINGS else "problem")
    problems = {check for check, status in found.items() if status == "problem"}
    assert problems - {name} <= DATA_TRUE_TOO.get(fault, set())


@pytest.mark.parametrize(
    ("eps", "status"),
    [
        (8.0, "problem"),
        (0.6, "warning"),
        (0.001, "warning"),
        (8 / 255, "ok"),
        (1 / 255, "ok"),
        (None, "not applicable"),
    ],
)
def test_eps_in_other_units(eps, status):
    assert statuses(trained(), eps=eps)["eps_units"] == status


def test_an_eps_that_changes_nothing():
    found = by_check(examine(trained(), *splits(), eps=0.0))["eps_effect"]
    assert found.status == "warning"
    assert "changes 0 of 64 predictions and takes 0.0% of the margin" in found.finding


def attacks(**losses):
    """Evidence in which all 12 attacks agree, but for what is given: (cross-entropy, another class wins)."""
    flat = (torch.ones(12), torch.zeros(12, dtype=torch.bool))
    usual = dict.fromkeys(("clean", "noise", "once", "often", "wider"), flat)
    return Attacks(0.03, **{**usual, **losses})


def judged(name, **losses):
    case = case_of(trained(), *splits())
    case.attacked = attacks(**losses)
    return getattr(checks, name)(case).status


def some(count, high=2.0, low=1.0):
    wins = torch.arange(12) < count
    return torch.where(wins, high, low), wins


@pytest.mark.parametrize(("count", "status"), [(0, "ok"), (6, "ok"), (7, "problem"), (12, "problem")])
def test_one_step_may_beat_many_on_half_of_the_images(count, status):
    assert judged("many_steps_beat_one", once=some(count)) == status


@pytest.mark.parametrize(("count", "status"), [(0, "ok"), (3, "ok"), (4, "problem")])
def test_noise_may_beat_the_gradient_on_a_quarter(count, status):
    assert judged("gradient_beats_noise", noise=some(count)) == status


@pytest.mark.parametrize(("fewer", "status"), [(0, "ok"), (2, "ok"), (3, "problem")])
def test_a_larger_radius_may_succeed_on_a_tenth_and_one_image_less(fewer, status):
    assert judged("larger_radius_succeeds", often=some(8), wider=some(8 - fewer)) == status


def test_every_check_but_those_of_configs_is_planted_here():
    planted = {name.split("/")[0] for name in [*MODELS, *DATA]} | {"eps_units", "eps_effect"}
    elsewhere = {"batchnorm_batch", "smoothing_layer", "cost", "modules_called_once", "in_place_activations"}
    masking = {"larger_radius_succeeds", "many_steps_beat_one", "unbounded_attack"}
    assert set(checks.__all__) == planted | elsewhere | masking
