"""How many samples the server may put together, and which shapes are sure to suit the engine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ...common.bundle import Tensor
from ...common.errors import UserError
from ..config import ShapeRange, TensorRTConfig
from .config import PackageConfig
from .source import Source
from .tensors import batched

_MOST = 64  # where the engine itself knows no limit


@dataclass(frozen=True)
class Batching:
    """What the server is told of batches.

    Attributes:
        most: largest batch; 0: the server puts nothing together, and dims are whole shapes.
        best: the batch that the plan was tuned for, or None where no batch is special.
        reason: why the server puts nothing together, or None where it does.
        shapes: whole shapes by input that the engine is known to take; inputs with unknown dimensions are absent.
    """

    most: int
    best: int | None
    reason: str | None
    shapes: dict[str, list[int]]


def batching_of(source: Source, config: PackageConfig) -> Batching:
    """Decide on batches.

    Raises:
        UserError: `config.max_batch` is more than the plan takes, or was given where there is no batch axis.
    """
    manifest = source.bundle.manifest
    shapes = _shapes(manifest.inputs, _ranges(source))
    reason = _obstacle(source)
    if reason is not None:
        if config.max_batch is not None:
            raise UserError(f"A largest batch was asked for, but {reason}.", where=str(source.folder),
                            fix="Leave the largest batch out: requests are then served one by one.")
        return Batching(0, None, reason, shapes)
    limit = min(_batches(source, "max"), default=None)
    most = config.max_batch or limit or _MOST
    if limit is not None and most > limit:
        raise UserError(f"A largest batch of {most} was asked for, but the plan takes no more than {limit}.",
                        where=str(source.folder), fix="Ask for less, or build the engine with a larger batch.")
    return Batching(most, min([*_batches(source, "opt"), most]) if limit else None, None, shapes)


def _obstacle(source: Source) -> str | None:
    manifest = source.bundle.manifest
    if not batched([*manifest.inputs, *manifest.outputs]):
        return "the first dimension of its inputs and outputs is not one dynamic batch axis"
    least = max(_batches(source, "min"), default=1)
    return f"the plan takes no fewer than {least} samples at once" if least > 1 else None


def _ranges(source: Source) -> dict[str, ShapeRange]:
    """The plan's optimization profile, by input; nothing for ONNX Runtime."""
    return source.record.tensorrt.shapes if source.record.tensorrt else {}


def _batches(source: Source, end: Literal["min", "opt", "max"]) -> list[int]:
    """A batch of the profile, input by input; the one asked for where the record holds no profile."""
    options = source.record.options
    asked = [getattr(options, f"{end}_batch")] if isinstance(options, TensorRTConfig) else []
    return [getattr(one, end)[0] for one in _ranges(source).values()] or asked


def _shapes(inputs: list[Tensor], ranges: dict[str, ShapeRange]) -> dict[str, list[int]]:
    found = {name: list(one.opt) for name, one in ranges.items()}
    for tensor in inputs:
        rest = [size for size in tensor.shape[1:] if isinstance(size, int)]
        if tensor.name not in found and tensor.shape and len(rest) == len(tensor.shape) - 1:
            found[tensor.name] = [tensor.shape[0] if isinstance(tensor.shape[0], int) else 1, *rest]
    return found


__all__ = ["Batching", "batching_of"]
