"""config.pbtxt: what the server is told of the model."""

from __future__ import annotations

import hashlib
from typing import Any

from ...common.bundle import Tensor
from ..config import OnnxRuntimeConfig, TensorRTConfig
from .batching import Batching
from .config import PackageConfig
from .source import Source
from .tensors import describe
from .text import Word, render

_PLATFORMS = {"tensorrt": "tensorrt_plan", "onnxruntime": "onnxruntime_onnx"}
FILES = {"tensorrt": "model.plan", "onnxruntime": "model.onnx"}
_HEAD = "# Written by `twofour package`, sha256 of all below: "


def model_config(name: str, version: int, source: Source, batching: Batching, config: PackageConfig) -> str:
    """The text of config.pbtxt.

    Only `version` is served. A version that was copied in beside it is thus out of sight until the config that
    belongs to it takes the place of the old one.

    Raises:
        UserError: an input or output that Triton can't serve.
    """
    manifest = source.bundle.manifest
    batch = batching.most > 0
    fields: dict[str, Any] = {
        "name": name,
        "backend": source.backend,
        "platform": _PLATFORMS[source.backend],
        "default_model_filename": FILES[source.backend],
        "max_batch_size": batching.most,
        "input": [describe(one, source.backend, batch) for one in manifest.inputs],
        "output": [describe(one, source.backend, batch) for one in manifest.outputs],
        "version_policy": {"specific": {"versions": [version]}},
        "instance_group": [_instances(source, config)],
        "dynamic_batching": _dynamic_batching(batching, config),
        "optimization": _optimization(source, config),
        "model_warmup": _warmup(source, batching) if config.warmup else None,
        "parameters": _parameters(source),
    }
    return signed(render(fields))


def signed(body: str) -> str:
    """The text under a first line that tells later whether anyone changed it."""
    return f"{_HEAD}{hashlib.sha256(body.encode()).hexdigest()}\n{body}"


def untouched(text: str) -> bool:
    """A config.pbtxt is as `model_config` wrote it."""
    _, _, body = text.partition("\n")
    return text == signed(body)


def _instances(source: Source, config: PackageConfig) -> dict[str, Any]:
    if source.backend == "onnxruntime":
        return {"kind": Word("KIND_CPU"), "count": config.instances}
    options = source.record.options
    core = options.dla_core if isinstance(options, TensorRTConfig) else None
    dla = None if core is None else [{"kind": Word("KIND_NVDLA"), "device_id": core}]
    return {"kind": Word("KIND_GPU"), "count": config.instances, "secondary_devices": dla}


def _dynamic_batching(batching: Batching, config: PackageConfig) -> dict[str, Any] | None:
    if batching.most < 2:
        return None
    sizes = None if batching.best is None else [batching.best]
    return {"preferred_batch_size": sizes, "max_queue_delay_microseconds": config.queue_delay_us}


def _optimization(source: Source, config: PackageConfig) -> dict[str, Any] | None:
    """Without specs of its own the backend captures a graph for batch 1, the preferred and the largest batch."""
    if source.backend != "tensorrt" or not config.cuda_graphs or any(map(_loose, source.bundle.manifest.inputs)):
        return None
    return {"cuda": {"graphs": True}}


def _loose(tensor: Tensor) -> bool:
    return any(isinstance(size, str) for size in tensor.shape[1:])


def _warmup(source: Source, batching: Batching) -> list[dict[str, Any]] | None:
    """As many requests of zeros as the plan was tuned for at once; none where a shape would be a guess."""
    tensors = source.bundle.manifest.inputs
    if any(one.name not in batching.shapes for one in tensors):
        return None
    inputs = [{"key": one.name, "value": _zeros(one, source.backend, batching)} for one in tensors]
    return [{"name": "zeros", "batch_size": batching.best or 1, "inputs": inputs}]


def _zeros(tensor: Tensor, backend: str, batching: Batching) -> dict[str, Any]:
    batch = batching.most > 0
    dims = batching.shapes[tensor.name][int(batch):] or [1]
    return {"data_type": describe(tensor, backend, batch)["data_type"], "dims": dims, "zero_data": True}


def _parameters(source: Source) -> list[dict[str, Any]]:
    record = source.record
    values = {"twofour.bundle": record.bundle_digest, "twofour.engine": record.files[record.engine]}
    if isinstance(record.options, OnnxRuntimeConfig) and record.options.threads:
        values["intra_op_thread_count"] = str(record.options.threads)
    return [{"key": key, "value": {"string_value": value}} for key, value in values.items()]


__all__ = ["FILES", "model_config", "signed", "untouched"]
