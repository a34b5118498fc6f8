"""ONNX Runtime sessions with this backend's settings."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from ...common.errors import MissingError, UserError
from ...common.machine import usable_cores

_QUIET = 4  # what it logs of an error is in what it raises
_FIX = "Build it again with `twofour build`, or export the bundle again."


def runtime() -> ModuleType:
    """The package `onnxruntime`.

    Raises:
        MissingError: it is missing or broken.
    """
    try:
        return import_module("onnxruntime")
    except Exception as error:  # a broken native build can raise anything at import
        raise MissingError(
            f"The package 'onnxruntime' is missing or broken ({type(error).__name__}: {error}).",
            fix="Install it with: pip install --force-reinstall onnxruntime",
        ) from error


def open_session(
    path: Path, threads: int | None, optimized: Path | None = None, *, plain: bool = False
) -> Any:
    """An `onnxruntime.InferenceSession` on the CPU; warnings are silenced.

    Args:
        path: ONNX file.
        threads: threads of one inference, or None for every usable core.
        optimized: where ONNX Runtime writes the graph that it really runs. Defaults to nowhere.
        plain: run the graph as it stands, with ONNX Runtime's optimizations off. Defaults to False.

    Raises:
        UserError: the file is missing, or ONNX Runtime refuses it.
        MissingError: ONNX Runtime is missing or broken.
    """
    package = runtime()
    if not path.is_file():
        raise UserError("This model is missing.", where=str(path), fix=_FIX)
    try:
        options = _options(package, threads, optimized)
        if plain:
            options.graph_optimization_level = package.GraphOptimizationLevel.ORT_DISABLE_ALL
            options.enable_mem_pattern = False  # it keeps all dequantized weights: 2.7 times the weights, not 1.9
        return package.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime raises a different class for every way to be damaged
        reason = " ".join(str(error).split())
        raise UserError(f"ONNX Runtime can't load this model ({reason}).", where=str(path), fix=_FIX) from error


def _options(package: ModuleType, threads: int | None, optimized: Path | None) -> Any:
    options = package.SessionOptions()
    options.log_severity_level = _QUIET
    options.graph_optimization_level = package.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.execution_mode = package.ExecutionMode.ORT_SEQUENTIAL
    options.intra_op_num_threads = threads or usable_cores()
    # Threads that go on spinning after an inference take the cores from whoever runs next: beside a second session,
    # the 99th percentile rose from 1.3 ms to 4.9 ms.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    # A layer of 8-bit weights and float inputs becomes MatMulNBits, which of itself also quantizes the inputs, anew in
    # every inference: no quantizer of the network says so, and 45 dB were left of 130. 1 is computing in FP32.
    options.add_session_config_entry("session.qdq_matmulnbits_accuracy_level", "1")
    if optimized is not None:
        options.optimized_model_filepath = str(optimized)
    return options


__all__ = ["open_session", "runtime"]
