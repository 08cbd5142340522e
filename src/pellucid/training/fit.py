"""The training loop. Everything random in it is a function of (seed, step), so it can stop and go on anywhere."""

import os
import resource
import signal
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.optim import Optimizer

from pellucid.data.dataset import Dataset
from pellucid.errors import BadInput, RunFailed
from pellucid.files import write_json_lines
from pellucid.memory_format import fast_memory_format
from pellucid.modes import unwrapped
from pellucid.naming import find, options_of
from pellucid.objectives.fast_adversarial import overfitting_alarm
from pellucid.training import optimizers, schedules
from pellucid.training.average import Average
from pellucid.training.checkpoint import flatten_optimizer, load, load_weights, restore_optimizer, save
from pellucid.training.freezing import freeze
from pellucid.training.progress import Reporter
from pellucid.training.regularisation import Regularised
from pellucid.training.settings import Named, TrainingSettings
from pellucid.training.snapshots import snapshot_epochs, snapshot_folder
from pellucid.training.step import Batches, Objective, optimise, takes_attention
from pellucid.training.validate import MAP_SCORE, Validation, score, validated
from pellucid.training.warm_up import eps_at

if TYPE_CHECKING:
    from lightning_fabric import Fabric

CHECKPOINT, WEIGHTS, HISTORY = "checkpoint.safetensors", "weights.safetensors", "history.jsonl"
AVERAGE = "average."
"""Before the names of the moving average's weights in a checkpoint."""


@dataclass
class State:
    """Where a run stands; with the weights and the optimiser's state this is all that a checkpoint holds."""

    step: int = 0
    seconds: float = 0.0
    loss_sum: float = 0.0
    part_sums: dict[str, float] = field(default_factory=dict)
    part_counts: dict[str, int] = field(default_factory=dict)
    """Steps of the epoch that had a part: some are left out of some steps."""
    best: float = -1.0
    best_epoch: int = 0
    history: list[dict[str, Any]] = field(default_factory=list)
    weights: dict[str, float] = field(default_factory=dict)
    """Weights of regularisers that the closed loop has changed."""

    def note(self, loss: float, parts: Mapping[str, float], seconds: float) -> None:
        """Count one step with its loss and its parts."""
        self.step, self.seconds, self.loss_sum = self.step + 1, self.seconds + seconds, self.loss_sum + loss
        for name, part in parts.items():
            self.part_sums[name] = self.part_sums.get(name, 0.0) + part
            self.part_counts[name] = self.part_counts.get(name, 0) + 1


class Stopped(RunFailed):
    """The user (SIGINT) or the machine (SIGTERM) asked to stop; the checkpoint is complete."""


def fit(
    model: nn.Module,
    objective: Objective,
    train: Dataset,
    validation: Dataset | Validation,
    *,
    settings: TrainingSettings,
    seed: int,
    directory: Path,
    title: str = "training",
) -> State:
    """Train `model`, keep the best weights in `directory`, and go on from its checkpoint if there is one.

    Parameters
    ----------
    objective
        ``objective(model, x, y, generator=…) -> Loss``; or that with regularisers
        (:class:`pellucid.training.regularisation.Regularised`), whose weights follow the progress of the run.
    train, validation
        Training images, and the held-out ones that choose the kept weights; with a measure of the maps where the choice
        is "trade_off" (:class:`pellucid.training.validate.Validation`).
    directory
        Gets ``weights.safetensors`` (chosen epoch), ``checkpoint.safetensors`` (last step), ``history.jsonl``.

    Returns
    -------
    The final state (steps, seconds, chosen epoch, history).

    Raises
    ------
    RunFailed
        If the loss is no longer finite, the disk is full, or the run is asked to stop.
    """
    held_out = Validation.of(validation)
    fabric = launch(settings)
    batches = Batches(train, settings, seed, attention=takes_attention(objective, train))
    if batches.size % fabric.world_size:
        raise BadInput(f"batch_size {batches.size} cannot be shared over {fabric.world_size} processes evenly")
    freeze(model, settings.freeze)
    optimizer = make_optimizer(model, settings.optimizer)
    base = [group["lr"] for group in optimizer.param_groups]  # a resumed optimiser holds the scheduled rates instead
    factor = make_schedule(settings.schedule)
    regularised = objective if isinstance(objective, Regularised) else Regularised(objective)
    eps_at(regularised, settings.eps_warm_up, 0.0)  # an objective without eps is refused before anything is computed
    memory_format = fast_memory_format(model, train.batch([0])[0].to(fabric.device))
    reporter = Reporter(title, batches.steps, quiet=not fabric.is_global_zero)
    with memory_format, reporter, stop_signals() as stop:
        average = None if settings.ema is None else Average(model, settings.ema)
        wrapped, _ = fabric.setup(model, optimizer)  # DistributedDataParallel's buckets follow the memory format
        state = resume(directory / CHECKPOINT, model, optimizer, average)
        run = _Run(fabric, model, optimizer, settings, seed, directory, state, batches.per_epoch, average)
        run.begin(held_out, reporter)
        clock = saved = time.monotonic()
        while state.step < batches.steps:
            for group, lr in zip(optimizer.param_groups, base, strict=True):
                group["lr"] = lr * factor(state.step / batches.steps)
            batch = batches(state.step, fabric.global_rank, fabric.world_size)
            warmed = eps_at(regularised, settings.eps_warm_up, state.step / batches.steps)
            current = warmed.at(state.step, batches.steps, state.weights)
            loss, parts = optimise(fabric, wrapped, optimizer, current, batch, seed=seed, step=state.step)
            now = time.monotonic()
            state.note(loss, parts, now - clock)
            clock = now
            run.follow()
            if regularised.is_steered_at(state.step):
                state.weights = regularised.steered(model, held_out.images, state.weights, step=state.step, seed=seed)
            speed = state.step * batches.size / state.seconds
            reporter.advance(state.step, f"{speed:6.0f} img/s  loss {loss:.3f}")
            if state.step % batches.per_epoch == 0 or state.step == batches.steps:
                run.end_epoch(held_out, batches.steps, speed, reporter)
                saved = clock = time.monotonic()
            elif stop.asked or now - saved > settings.checkpoint_seconds:
                run.save()
                saved = clock = time.monotonic()
            if stop.asked and state.step < batches.steps:
                raise Stopped(f"stopped by {stop.asked} after step {state.step}; the same command continues the run")
    return state


@dataclass
class _Run:
    """The parts of a run that its checkpoint and its epoch end need."""

    fabric: "Fabric"
    model: nn.Module
    optimizer: Optimizer
    settings: TrainingSettings
    seed: int
    directory: Path
    state: State
    per_epoch: int
    average: Average | None = None

    @property
    def kept(self) -> nn.Module:
        """The model that is validated and kept: the average where there is one."""
        return self.model if self.average is None else self.average.model

    def begin(self, validation: Validation, reporter: Reporter) -> None:
        """Where the start may be kept: validate it once, as epoch 0, and keep it until an epoch is better."""
        if self.settings.choose != "trade_off" or self.state.history:
            return
        found = validated(self.kept, validation, self.settings, seed=self.seed)
        self.state.history.append({"epoch": 0, "step": 0, "loss": None, "parts": {}, **found})
        self._keep_if_best(self.state.history[-1])
        self.save()
        reporter.say(f"{reporter.title}  start  val {found['clean_accuracy']:.3f}  maps {found[MAP_SCORE]:.3f}")

    def follow(self) -> None:
        """Let the average follow the step that was made."""
        if self.average is not None:
            self.average.update(self.model, self.state.step)

    def end_epoch(self, validation: Validation, steps: int, speed: float, reporter: Reporter) -> None:
        """Validate, note the epoch and say so, keep the weights if they are the best so far, checkpoint."""
        state = self.state
        began = time.monotonic()
        count = (state.step - 1) % self.per_epoch + 1
        found = validated(self.kept, validation, self.settings, seed=self.seed)
        state.seconds += time.monotonic() - began
        row: dict[str, Any] = {
            "epoch": (state.step - 1) // self.per_epoch + 1,
            "step": state.step,
            "loss": state.loss_sum / count,
            "parts": {name: total / state.part_counts[name] for name, total in state.part_sums.items()},
            **({"weights": dict(state.weights)} if state.weights else {}),
            "learning_rate": self.optimizer.param_groups[0]["lr"],
            **found,
            "images_per_second": speed,
            "seconds": state.seconds,
            "seconds_left": state.seconds / state.step * (steps - state.step),
        }
        state.history.append(row)
        state.loss_sum, state.part_sums, state.part_counts = 0.0, {}, {}
        self._keep_if_best(row)
        if row["epoch"] in snapshot_epochs(self.settings.epochs, self.settings.snapshots):
            self._write(snapshot_folder(self.directory, row["epoch"]) / WEIGHTS, row)
        self.save()
        reporter.epoch(row, self.settings.epochs)
        if alarm := overfitting_alarm(state.history):
            reporter.say(alarm)

    def _keep_if_best(self, row: dict[str, Any]) -> None:
        found = score(self.state.history, self.settings)
        if found is None or found <= self.state.best:
            return
        self.state.best, self.state.best_epoch = found, row["epoch"]
        self._write(self.directory / WEIGHTS, row)

    def _write(self, path: Path, row: dict[str, Any]) -> None:
        """The weights of the epoch of `row`."""
        if self.fabric.is_global_zero:
            header = {"epoch": row["epoch"], "step": row["step"], "chosen_by": self.settings.choose}
            save(path, self.kept.state_dict(), header)

    def save(self) -> None:
        """Write the history and the checkpoint, each atomically."""
        if self.fabric.is_global_zero:
            tensors, header = flatten_optimizer(self.optimizer)
            named = {f"model.{name}": value for name, value in self.model.state_dict().items()}
            named |= {f"optimizer.{name}": value for name, value in tensors.items()}
            if self.average is not None:
                named |= {f"{AVERAGE}{name}": value for name, value in self.average.model.state_dict().items()}
            write_json_lines(self.directory / HISTORY, self.state.history)
            save(self.directory / CHECKPOINT, named, {"state": asdict(self.state), "optimizer": header})
        self.fabric.barrier()


def launch(settings: TrainingSettings) -> "Fabric":
    """Fabric for one process, or for the processes that torchrun started (DistributedDataParallel)."""
    from lightning_fabric import Fabric  # noqa: PLC0415 (with what it imports, it takes seconds)
    from lightning_fabric.strategies.ddp import DDPStrategy  # noqa: PLC0415

    wanted = settings.device
    if wanted == "cuda" and not torch.cuda.is_available():
        raise BadInput("device 'cuda' was asked for, but torch sees no CUDA device; use device: auto or cpu")
    accelerator = "cuda" if wanted != "cpu" and torch.cuda.is_available() else "cpu"
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world == 1:
        fabric = Fabric(accelerator=accelerator, devices=1, precision=settings.precision)
    else:
        local = int(os.environ["LOCAL_WORLD_SIZE"])
        # Attack passes run on the unwrapped module, so buffers need no broadcast before each forward (pytorch#175024).
        # Newer torch has another word for it, which the oldest supported one does not know.
        warnings.filterwarnings("ignore", message=".*broadcast_buffers")
        strategy = DDPStrategy(broadcast_buffers=False)
        fabric = Fabric(
            accelerator=accelerator,
            devices=local,
            num_nodes=world // local,
            strategy=strategy,
            precision=settings.precision,
        )
    fabric.launch()
    return fabric


def make_optimizer(model: nn.Module, spec: Named) -> Optimizer:
    """The optimiser of the config, over all parameters of the model that are not frozen."""
    function = find(optimizers, spec.name, "optimizer")
    options = options_of(function, spec.options, where=f"optimizer '{spec.name}'")
    optimizer: Optimizer = function([weight for weight in model.parameters() if weight.requires_grad], **options)
    return optimizer


def make_schedule(spec: Named) -> Any:
    """The schedule of the config as a function of progress."""
    function = find(schedules, spec.name, "schedule")
    options = options_of(function, spec.options, where=f"schedule '{spec.name}'")
    return lambda progress: function(progress, **options)


def resume(path: Path, model: nn.Module, optimizer: Optimizer, average: Average | None = None) -> State:
    """The state in the checkpoint, with weights, optimiser and average put back; a new state if there is none.

    The average goes where the model is.
    """
    if average is not None:
        average.model.to(next(model.parameters()))
    if not path.exists():
        return State()
    tensors, header = load(path)
    plain = unwrapped(model)
    of_model = {n.removeprefix("model."): t for n, t in tensors.items() if n.startswith("model.")}
    of_optimizer = {n.removeprefix("optimizer."): t for n, t in tensors.items() if n.startswith("optimizer.")}
    load_weights(plain, of_model, path)
    if average is not None:
        load_weights(
            average.model, {n.removeprefix(AVERAGE): t for n, t in tensors.items() if n.startswith(AVERAGE)}, path
        )
    restore_optimizer(optimizer, of_optimizer, header["optimizer"])
    return State(**header["state"])


def peak_memory() -> float:
    """Peak memory of this process in MB: the GPU's where one is used, else the resident set."""
    if torch.cuda.is_available() and torch.cuda.max_memory_allocated():
        return torch.cuda.max_memory_allocated() / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


class _Stop:
    asked: str = ""


@contextmanager
def stop_signals() -> Iterator[_Stop]:
    """Turn SIGINT and SIGTERM into a wish that the loop honours after the step in hand. A second SIGINT is obeyed."""
    stop = _Stop()

    def ask(number: int, _: FrameType | None) -> None:
        if stop.asked:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        stop.asked = signal.Signals(number).name

    try:
        before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    except ValueError:  # not in the main thread: whoever runs the main thread handles signals
        yield stop
        return
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def is_main_process() -> bool:
    """Whether this process writes files and talks: the only one, or rank 0 of those that torchrun started."""
    return int(os.environ.get("RANK", "0")) == 0
