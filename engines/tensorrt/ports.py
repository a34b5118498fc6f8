"""What an engine takes and gives: names, dtypes, and the shapes of its optimization profile."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...common.errors import UserError
from ...common.lazy import require
from .capabilities import tensorrt

Shape = tuple[int, ...]
_DTYPES = {
    "FLOAT": "float32", "HALF": "float16", "INT8": "int8", "UINT8": "uint8", "INT32": "int32", "INT64": "int64",
    "BOOL": "bool",
}


@dataclass(frozen=True)
class Port:
    """One input or output of an engine.

    Attributes:
        name: as in the ONNX file.
        dtype: NumPy's; bfloat16 is that of the package `ml_dtypes`, which comes with onnx, since NumPy has none.
        shape: -1 for dimensions that vary.
        ranges: (smallest, most used, largest) shape of the optimization profile; None for an output.
        on_host: TensorRT reads or writes it in the host's memory, as it does for tensors that hold shapes.
    """

    name: str
    dtype: np.dtype[Any]
    shape: Shape
    ranges: tuple[Shape, Shape, Shape] | None = None
    on_host: bool = False


@dataclass(frozen=True)
class Ports:
    """All inputs and outputs by name, in the engine's order."""

    inputs: Mapping[str, Port]
    outputs: Mapping[str, Port]

    @property
    def batches(self) -> tuple[int, int, int] | None:
        """Smallest, most used and largest first dimension of the first input where it varies; None where none does."""
        ranges = next((port.ranges for port in self.inputs.values() if port.shape and port.shape[0] == -1), None)
        if ranges is None:
            return None
        low, most, high = (shape[0] for shape in ranges)
        return low, most, high


def ports_of(engine: Any, profile: int = 0) -> Ports:
    """Read them from a `trt.ICudaEngine`.

    Args:
        engine: the engine.
        profile: number of the optimization profile. Defaults to 0.

    Raises:
        UserError: no such profile, a dtype that NumPy can't hold, or a layout other than the plain one.
        MissingError: a bfloat16 tensor, and no `ml_dtypes`.
    """
    if profile not in range(engine.num_optimization_profiles):
        raise UserError(f"The engine has no optimization profile {profile}; "
                        f"it has {engine.num_optimization_profiles}, counted from 0.")
    found = [_port(engine, engine.get_tensor_name(index), profile) for index in range(engine.num_io_tensors)]
    return Ports({port.name: port for port in found if port.ranges is not None},
                 {port.name: port for port in found if port.ranges is None})


def _port(engine: Any, name: str, profile: int) -> Port:
    trt = tensorrt()
    form = engine.get_tensor_format(name, profile)
    if form != trt.TensorFormat.LINEAR:
        raise UserError(f"The engine has the tensor {name!r} in the layout {form.name}.",
                        fix="Build it so that inputs and outputs are plain: with `twofour build`, "
                            "or without --inputIOFormats and --outputIOFormats.")
    on_host = engine.get_tensor_location(name) == trt.TensorLocation.HOST
    shape, dtype = tuple(engine.get_tensor_shape(name)), dtype_of(engine.get_tensor_dtype(name), name)
    if engine.get_tensor_mode(name) == trt.TensorIOMode.OUTPUT:
        return Port(name, dtype, shape, None, on_host)
    if on_host or -1 not in shape:
        return Port(name, dtype, shape, (shape, shape, shape), on_host)
    low, most, high = map(tuple, engine.get_tensor_profile_shape(name, profile))
    return Port(name, dtype, shape, (low, most, high))


def dtype_of(kind: Any, name: str) -> np.dtype[Any]:
    """The NumPy dtype of a `trt.DataType`.

    Args:
        kind: the data type.
        name: of the tensor, for the error.

    Raises:
        UserError: there is none (FP8, INT4 and the like).
        MissingError: bfloat16, and no `ml_dtypes`.
    """
    if kind.name == "BF16":
        package = require("ml_dtypes", extra="tensorrt", purpose=f"Reading the bfloat16 tensor {name!r}")
        found: np.dtype[Any] = np.dtype(package.bfloat16)
        return found
    if kind.name not in _DTYPES:
        raise UserError(f"The tensor {name!r} has the data type {kind.name}, which NumPy arrays can't hold.",
                        fix="Export the model with floating-point inputs and outputs.")
    return np.dtype(_DTYPES[kind.name])


__all__ = ["Port", "Ports", "Shape", "dtype_of", "ports_of"]
