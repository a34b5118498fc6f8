"""Inputs for an engine of which nothing but its plan is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ...common.errors import UserError
from .ports import Port, Ports

Array = np.ndarray[Any, Any]
_SEED = 24


def random_batch(ports: Ports, batch: int, shapes: Mapping[str, Sequence[int]]) -> dict[str, Array]:
    """Random inputs that the engine takes: floats from a standard normal distribution, integers from {0, 1}.

    A dynamic first dimension is the batch; other dynamic dimensions have the size that the engine was tuned for.

    Args:
        ports: of the engine.
        batch: the size of dynamic first dimensions.
        shapes: whole shapes by input name, for other dynamic dimensions; their first number stands for the batch.

    Raises:
        UserError: a shape for an input that isn't there or has another rank, or an input that holds a shape.
    """
    if unknown := sorted(set(shapes) - set(ports.inputs)):
        raise UserError(f"The engine has no input {unknown[0]!r}.", where="--shape",
                        fix=f"Its inputs: {', '.join(ports.inputs)}.")
    generator = np.random.default_rng(_SEED)
    return {name: _random(port, batch, shapes.get(name), generator) for name, port in ports.inputs.items()}


def _random(port: Port, batch: int, asked: Sequence[int] | None, generator: np.random.Generator) -> Array:
    if port.on_host:
        raise UserError(f"The input {port.name!r} decides shapes inside of the engine; it can't be made up.")
    assert port.ranges is not None
    if asked is not None and len(asked) != len(port.shape):
        raise UserError(f"The input {port.name!r} can't have the shape {list(asked)}; it has {len(port.shape)} "
                        "dimensions.", where="--shape")
    others = asked if asked is not None else port.ranges[1]
    shape = [size if size != -1 else batch if not axis else others[axis] for axis, size in enumerate(port.shape)]
    if asked is not None and list(asked)[1:] != shape[1:]:
        raise UserError(f"The input {port.name!r} can't have the shape {list(asked)}.", where="--shape",
                        fix=f"The engine declares {[size if size != -1 else '?' for size in port.shape]}.")
    if port.dtype.kind in "biu":
        return generator.integers(0, 2, shape).astype(port.dtype)
    return generator.standard_normal(shape).astype(port.dtype)


__all__ = ["random_batch"]
