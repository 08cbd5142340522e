"""Metrics as torchmetrics.Metric, the Lightning callback, and a module trained by an objective."""

import json
import subprocess
import sys
from functools import partial

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, TensorDataset

from pellucid.attributions import gradient
from pellucid.attributions.reduction import saliency_map
from pellucid.errors import BadInput
from pellucid.experiments.suite import NOISE_LEVELS, Batch, clean, explainer
from pellucid.metrics.faithfulness.aopc import aopc
from pellucid.metrics.sparsity.gini import gini
from pellucid.models.normalised import normalised
from pellucid.objectives import adversarial, natural
from pellucid.randomness import generator
from pellucid.training.regularisation import regularise
from pellucid.training.settings import RegulariserSettings

pytest.importorskip("lightning")
import two_processes_metrics as script
from lightning.pytorch import LightningModule, Trainer
from torchmetrics import MetricCollection

from pellucid.integrations.lightning import ExplanationMetrics, PellucidMixin
from pellucid.integrations.metrics import (
    ExplanationMetric,
    Gini,
    InputStability,
    RelativeOutputStability,
    RoadAopc,
)

ALL = {"gini": Gini, "ssim": InputStability, "ros": RelativeOutputStability, "road": RoadAopc}


def network():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        layers = nn.Conv2d(1, 6, 3), nn.BatchNorm2d(6), nn.Tanh(), nn.Dropout(0.5), nn.Flatten(), nn.Linear(216, 4)
        return normalised(nn.Sequential(*layers), [0.5], [0.25])


@pytest.fixture
def model():
    return network().eval()


@pytest.fixture
def batch(model):
    x = torch.rand(12, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        return x, model(x).argmax(1), list(range(100, 112))


def measured(metric, model, batch, sizes=(12,)):
    for x, y, ids in zip(*(part.split(sizes) for part in batch[:2]), torch.tensor(batch[2]).split(sizes), strict=True):
        metric.update(model, x, y, ids.tolist())
    return metric.compute()


@pytest.mark.parametrize("name", ALL)
def test_it_is_the_mean_of_what_the_suite_measures(name, model, batch):
    suite = clean(Batch(model, *batch, explainer("gradient")), [name], 0)
    expected = {
        "gini": lambda: suite["gini"],
        "ssim": lambda: suite["ssim"][:, NOISE_LEVELS.index(0.1)],
        "ros": lambda: suite["ros_norm"],
        "road": lambda: aopc(suite["road"]),
    }[name]()
    metric = ALL[name]()
    assert measured(metric, model, batch).item() == pytest.approx(expected.nanmean().item(), rel=1e-12)
    assert metric.measured == expected.isfinite().sum()
    assert metric.undefined == expected.isnan().sum()


@pytest.mark.parametrize("name", ALL)
def test_batch_sizes_and_order_do_not_matter(name, model, batch):
    whole = measured(ALL[name](), model, batch)
    parts = measured(ALL[name](), model, batch, (1, 4, 2, 5))
    backwards = measured(ALL[name](), model, [batch[0].flip(0), batch[1].flip(0), batch[2][::-1]])
    assert parts.item() == pytest.approx(whole.item(), rel=1e-5)  # the model's own float32 sums differ
    assert backwards.item() == pytest.approx(whole.item(), rel=1e-5)


def test_misclassified_images_are_counted_and_left_out(model, batch):
    x, y, ids = batch
    wrong = y.clone()
    wrong[:5] = (y[:5] + 1) % 4
    metric, rest = Gini(), Gini()
    found = measured(metric, model, (x, wrong, ids))
    assert found.item() == pytest.approx(measured(rest, model, (x[5:], y[5:], ids[5:]), (7,)).item(), rel=1e-7)
    assert (metric.measured, metric.undefined) == (7, 5)


def test_nothing_defined_is_nan_and_not_an_error(model, batch):
    metric = Gini()
    assert measured(metric, model, (batch[0], (batch[1] + 1) % 4, batch[2])).isnan()
    assert (metric.measured, metric.undefined) == (0, 12)


def test_noise_follows_the_id_or_else_the_pixels(model, batch):
    x, y, ids = batch
    stability = InputStability(noise=0.2)
    by_pixels = stability.values(model, x, y)
    assert torch.allclose(stability.values(model, x[3:5], y[3:5]), by_pixels[3:5], rtol=1e-6, equal_nan=True)
    assert not torch.equal(stability.values(model, x, y, ids), by_pixels)
    assert not torch.equal(InputStability(noise=0.2, seed=1).values(model, x, y), by_pixels)


@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode])
@pytest.mark.parametrize("name", ALL)
def test_gradients_are_taken_where_others_take_none(context, name, model, batch):
    outside = measured(ALL[name](), model, batch)
    with context():
        metric = ALL[name]()
        metric.update(model, batch[0] * 1, batch[1] + 0, batch[2])  # tensors made in inference mode
        assert torch.equal(metric.compute(), outside)
        metric.reset()
    metric.update(model, *batch)  # and the state made inside is of use outside
    assert torch.equal(metric.compute(), outside)


def test_the_model_is_left_as_it_was(model, batch):
    model.train()
    model[1][1].eval()
    flags, state = [m.training for m in model.modules()], {k: v.clone() for k, v in model.state_dict().items()}
    found = measured(Gini(), model, batch)
    assert [m.training for m in model.modules()] == flags
    assert all(torch.equal(state[name], tensor) for name, tensor in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())
    assert torch.equal(found, measured(Gini(), model.eval(), batch))


def test_a_collection_measures_together_and_forward_gives_the_value_of_the_batch(model, batch):
    together = MetricCollection({"gini": Gini(), "ssim": InputStability()})
    together.update(model, *batch)
    assert together.compute()["gini"] == measured(Gini(), model, batch)
    assert Gini()(model, *batch) == measured(Gini(), model, batch)


def test_other_attributions_with_their_options(model, batch):
    found = measured(Gini("integrated_gradients", steps=4), model, batch)
    assert found != measured(Gini("integrated_gradients", steps=64), model, batch)
    with pytest.raises(BadInput, match="unknown option of attribution 'gradient' 'steps'"):
        Gini("gradient", steps=4)
    with pytest.raises(BadInput, match="unknown noise level '0.123'"):
        InputStability(noise=0.123)


def test_wrong_images_are_refused(model, batch):
    x, y, ids = batch
    with pytest.raises(BadInput, match="pixels must lie in"):
        Gini().update(model, 2 * x, y, ids)
    with pytest.raises(BadInput, match="12 images came with 3 ids"):
        Gini().update(model, x, y, ids[:3])


def test_two_processes_give_the_number_of_one(tmp_path):
    one = script.numbers(0, 1)
    arguments = [sys.executable, script.__file__, tmp_path / "meeting", tmp_path / "two.json"]
    processes = [subprocess.Popen([*arguments, str(rank)]) for rank in range(2)]
    assert [process.wait(timeout=240) for process in processes] == [0, 0]
    two = json.loads((tmp_path / "two.json").read_text())
    for name, (value, *counts) in one.items():
        assert two[name][1:] == counts
        assert two[name][0] == pytest.approx(value, rel=1e-14)
    assert one["gini"][1:] == [20, 1]


# --- Lightning --------------------------------------------------------------------------------------------------------


class Classifier(PellucidMixin):
    def __init__(self, objective):
        super().__init__()
        self.network, self.objective = network(), objective

    def forward(self, x):
        return self.network(x)

    def validation_step(self, batch, batch_idx):
        assert not torch.is_grad_enabled()
        self.log("accuracy", (self(batch[0]).argmax(1) == batch[1]).float().mean())

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


def loader(count=40, batch_size=8):
    x = torch.rand(count, 1, 8, 8, generator=torch.Generator().manual_seed(2))
    return DataLoader(TensorDataset(x, (4 * x[:, 0, 0, 0]).long()), batch_size=batch_size)


def trainer(tmp_path, **options):
    defaults = {"accelerator": "cpu", "logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    return Trainer(
        **(defaults | {"max_epochs": 1, "enable_model_summary": False, "default_root_dir": tmp_path} | options)
    )


@pytest.mark.filterwarnings("ignore:.*num_workers.*")
def test_a_callback_logs_what_a_direct_call_gives(tmp_path):
    callback = ExplanationMetrics({"gini": Gini(), "road": RoadAopc("input_x_gradient")}, images=20)
    module = Classifier(natural)
    run = trainer(tmp_path, callbacks=[callback], max_epochs=2)
    assert run.fit(module, loader(), loader()) is None
    x, y = (torch.cat(parts)[:20] for parts in zip(*loader(), strict=True))
    for name, metric in {"gini": Gini(), "road": RoadAopc("input_x_gradient")}.items():
        metric.update(module, x, y)
        assert run.callback_metrics[f"explanation/{name}"].item() == pytest.approx(metric.compute().item(), rel=1e-6)
        share = run.callback_metrics[f"explanation/{name}_undefined"].item()
        assert share == pytest.approx(metric.undefined / 20)
    assert 0 < share < 1
    (validated,) = trainer(tmp_path, callbacks=[ExplanationMetrics({"gini": Gini()}, images=20, every=7)]).validate(
        module, loader(), verbose=False
    )
    assert validated["explanation/gini"] == pytest.approx(run.callback_metrics["explanation/gini"].item(), rel=1e-6)


@pytest.mark.filterwarnings("ignore:.*num_workers.*")
def test_it_measures_every_k_epochs_and_as_many_images_as_asked(tmp_path):
    class Counting(Gini):
        seen, epochs = 0, 0

        def update(self, model, x, y, ids=None):
            Counting.seen += len(x)
            super().update(model, x, y, ids)

        def compute(self):
            Counting.epochs += 1
            return super().compute()

    callback = ExplanationMetrics({"gini": Counting()}, images=11, every=2)
    trainer(tmp_path, callbacks=[callback], max_epochs=5).fit(Classifier(natural), loader(), loader())
    assert (Counting.epochs, Counting.seen) == (2, 22)
    assert [callback._share(rank, 4) for rank in range(4)] == [3, 3, 3, 2]


def without_dropout(model):
    model[1][3].p = 0.0
    return model


@pytest.mark.filterwarnings("ignore:.*num_workers.*")
def test_a_training_step_is_the_objective(tmp_path):
    objective = partial(adversarial, eps=0.05, steps=2)
    module = Classifier(objective)
    without_dropout(module.network)
    run = trainer(tmp_path, max_steps=3, limit_val_batches=0)
    run.fit(module, loader())
    by_hand = without_dropout(network()).train()
    optimizer = torch.optim.SGD(by_hand.parameters(), lr=0.1)
    for step, (x, y) in zip(range(3), loader(), strict=False):
        loss = objective(by_hand, x, y, generator=generator(0, "objective", step, 0))
        optimizer.zero_grad()
        loss.total.backward()
        optimizer.step()
    assert set(run.callback_metrics) == {"train/loss", "train/adversarial_cross_entropy"}
    assert run.callback_metrics["train/loss"] == loss.total
    for name, tensor in by_hand.state_dict().items():
        assert torch.equal(module.network.state_dict()[name], tensor), name


@pytest.mark.filterwarnings("ignore:.*num_workers.*")
def test_regularisers_warm_up_over_the_run(tmp_path):
    specs = (RegulariserSettings(name="gradient_density", weight=4.0, warm_up=1.0),)
    logged = []

    class Noting(Classifier):
        def on_train_batch_end(self, outputs, batch, batch_idx):
            logged.append(self._objective())

    module = Noting(regularise(natural, specs))
    trainer(tmp_path, max_epochs=2, limit_val_batches=0).fit(module, loader())
    x, y = next(iter(loader()))
    module.eval()
    losses = [objective(module, x, y, generator=torch.Generator()).total.item() for objective in logged[:-1]]
    plain = cross_entropy(module(x), y).item()
    added = torch.tensor(losses) - plain
    assert len(added) == 9
    assert torch.allclose(added / added[0], torch.arange(1.0, 10.0), rtol=1e-2)


def test_an_objective_is_needed_and_a_closed_loop_refused():
    with pytest.raises(BadInput, match="set self.objective"):
        Classifier(None)._objective()
    steered = regularise(natural, (RegulariserSettings(name="gradient_density", target=0.1),))
    with pytest.raises(BadInput, match="steered by pellucid train only"):
        Classifier(steered)._objective()


def test_batches_of_another_form_are_refused_or_explained():
    with pytest.raises(BadInput, match="images and labels; got a dict"):
        ExplanationMetrics().take({"image": 1})
    with pytest.raises(BadInput, match="at least 1"):
        ExplanationMetrics(every=0)


def test_the_mix_in_goes_before_another_module():
    class Theirs(LightningModule):
        def training_step(self, batch, batch_idx):
            raise AssertionError

    class Mine(PellucidMixin, Theirs):
        pass

    assert Mine.training_step is PellucidMixin.training_step


def test_the_map_is_that_of_the_attribution(model, batch):
    x, y, _ = batch
    by_hand = gini(saliency_map(gradient(model, x, y), "absolute")).mean()
    assert measured(Gini(), model, batch).item() == pytest.approx(by_hand.item(), rel=1e-7)
    with pytest.raises(NotImplementedError):
        measured(ExplanationMetric(), model, batch)
