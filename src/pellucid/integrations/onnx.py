"""ONNX: a model as one file, normalisation and SmoothBlock inside, and the proof that it gives the same numbers."""

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import torch
from torch import nn

from pellucid.errors import BadInput, RunFailed
from pellucid.files import write_atomic
from pellucid.gradients import describe
from pellucid.integrations.extras import library
from pellucid.modes import differentiable_attention, mode
from pellucid.types import Image

__all__ = ["TOLERANCE", "export_onnx", "largest_difference"]

OPSET = 18
TOLERANCE = 1e-4
"""The largest difference of a logit that is put down to the order of float32 sums."""
IMAGES, LOGITS = "images", "logits"


def export_onnx(
    model: nn.Module, path: Path, *, example: Image, opset: int = OPSET, notes: Mapping[str, str] | None = None
) -> None:
    """Write a model as one ONNX file: "images" [batch, C, H, W] in [0, 1] to "logits" [batch, K], float32.

    Parameters
    ----------
    model
        Images to logits, as :func:`pellucid.models.opening.open_model` and a run give it; exported in eval mode.
    example
        Images [B, C, H, W]: C, H and W are fixed by them, B is not.
    opset
        Of ONNX, at least 17; exporters may raise it.
    notes
        Kept in the file's metadata, such as class names and the weights' hash.

    Raises
    ------
    BadInput
        If ``onnx`` or ``onnxscript`` is missing, or the model does something that ONNX cannot say.
    RunFailed
        If the file cannot be written.
    """
    library("onnxscript", extra="onnx")
    two = example[:1].detach().float().cpu().repeat(2, 1, 1, 1)  # a batch of one would be taken for a constant
    if any(tensor.device.type != "cpu" for tensor in (*model.parameters(), *model.buffers())):
        raise BadInput("ONNX files are written from the CPU; move the model there with model.cpu()")
    try:
        with mode(model, training=False), differentiable_attention(), _silent():
            program = torch.onnx.export(
                model,
                (two,),
                dynamo=True,
                dynamic_shapes=({0: torch.export.Dim("batch")},),
                input_names=[IMAGES],
                output_names=[LOGITS],
                opset_version=opset,
                verbose=False,
            )
    except torch.onnx.OnnxExporterError as error:
        reason = str(error.__cause__ or error).strip().partition("\n")[0]
        raise BadInput(f"this model cannot be exported to ONNX: {reason}") from error
    assert program is not None
    proto = program.model_proto
    for key, value in (notes or {}).items():
        proto.metadata_props.add(key=key, value=value)
    write_atomic(path, proto.SerializeToString())


def largest_difference(model: nn.Module, path: Path, x: Image, *, batch_sizes: Sequence[int] = (1, 2, 7)) -> float:
    """The largest |logit of the file - logit of the model| over images, run by onnxruntime at several batch sizes.

    Raises
    ------
    BadInput
        If onnxruntime is missing.
    RunFailed
        If the file cannot be run, or its output has another shape.
    """
    runtime = library("onnxruntime", extra="onnx")
    x = x.detach().float().cpu()
    with mode(model, training=False), torch.no_grad():
        expected = model(x)
    try:
        session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        outputs = [
            torch.cat([torch.from_numpy(session.run([LOGITS], {IMAGES: part.numpy()})[0]) for part in x.split(size)])
            for size in batch_sizes
        ]
    except Exception as error:  # its errors have no common class
        raise RunFailed(f"onnxruntime cannot run {path}: {' '.join(str(error).split())[:300]}") from error
    for output in outputs:
        if output.shape != expected.shape:
            raise RunFailed(f"{path} gives {describe(output)}, the model {describe(expected)}")
    return max(float((output - expected).abs().nan_to_num(nan=torch.inf).max()) for output in outputs)


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Without the exporter's running commentary."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
