"""From a bundle to an engine folder: the graph that TensorRT got, the plan, its log and layers, and `engine.json`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ...common import console, files, machine
from ...common.bundle import Bundle
from ...common.errors import UserError
from ...export.graph.load import load
from ..config import TensorRTConfig
from ..cuda.device import Device, device
from ..cuda.nvml import snapshot
from ..records import ENGINE, EngineRecord, LayerEvidence, TensorRTBuild
from .build_plan import BuiltPlan, build_plan
from .builder_config import check_options
from .capabilities import capabilities
from .engine_layers import layers_json
from .evidence import weigh_model
from .inspect import LAYERS
from .inspector import parse
from .ladder import RUNGS, rung
from .plan import open_plan
from .reasons import BuildFacts
from .shapes import optimization_profile
from .signature import key_path, sign
from .timing_cache import cache_path
from .trtexec import trtexec_command
from .typed import TYPED, Typed, largest_of, write_typed

PLAN, LOG = "engine.plan", "build.log"


def build_engine(bundle: Bundle, config: TensorRTConfig, folder: Path) -> EngineRecord:
    """Build the engine.

    Args:
        bundle: what training shipped.
        config: the options.
        folder: where to; files of an earlier build are replaced one by one, each whole.

    Raises:
        UserError: the bundle's model is damaged or TensorRT refuses it, the shapes don't suit it, or `folder` can't be
            written.
        MissingError: TensorRT or the GPU is missing, or lacks memory or a feature.
        KeyboardInterrupt: Ctrl-C canceled the build; then the folder holds no engine.
    """
    gpu = device()
    check_options(config, gpu)
    optimization_profile(bundle.manifest.inputs, config)  # a mistake there is said before anything is done
    with files.explained(folder / ENGINE):
        (folder / ENGINE).unlink(missing_ok=True)  # a build that is stopped half-way leaves no engine on record
    model = load(bundle.model)
    typed = write_typed(model, config, largest_of(bundle, config), folder / TYPED)
    built = build_plan(folder / TYPED, bundle.manifest.inputs, config, label="build TensorRT engine",
                       log_to=folder / LOG)
    _write_plan(folder, built)
    information = layers_json(open_plan(built.plan, config, str(folder / PLAN)), built.shapes)
    files.write_text(folder / LAYERS, information)
    facts = BuildFacts.of(config, gpu.compute_capability, short_of_memory=bool(built.out_of_memory))
    layers = weigh_model(load(folder / TYPED), parse(information), built.sparsity, None, facts)
    written = [*typed.files, PLAN, LAYERS, LOG]
    record = _record(bundle, config, folder, written, layers, _how(bundle, config, folder, typed, built, gpu))
    files.write_json(folder / ENGINE, record.model_dump(mode="json"))
    return record


def _write_plan(folder: Path, built: BuiltPlan) -> None:
    with files.atomic(folder / PLAN) as temporary:
        temporary.write_bytes(built.plan)


def _how(
    bundle: Bundle, config: TensorRTConfig, folder: Path, typed: Typed, built: BuiltPlan, gpu: Device
) -> TensorRTBuild:
    can = capabilities()
    command = trtexec_command(TYPED, "trtexec.plan", bundle.manifest.inputs, built.shapes, config, can,
                              cache_path(config.timing_cache, gpu))
    return TensorRTBuild(
        version=can.version, gpu=_described(gpu), rest=config.rest, islands=typed.islands, shapes=built.shapes,
        sparsity_log=built.sparsity, out_of_memory=built.out_of_memory, seconds=built.seconds,
        timing_cache=built.timing_cache, trtexec=command, signature=_signature(files.sha256(folder / PLAN)),
    )


def _described(gpu: Device) -> dict[str, Any]:
    return {**asdict(gpu), "compute_capability": list(gpu.compute_capability), "driver": snapshot().get("driver")}


def _signature(digest: str) -> str:
    """The plan's signature; where there can be no key, none, and the plan needs `--trust`."""
    try:
        return sign(digest)
    except UserError as error:
        console.warn(f"The plan is not signed, so loading it will need --trust. {error} (See {key_path()}.)")
        return ""


def _record(
    bundle: Bundle, config: TensorRTConfig, folder: Path, written: list[str], layers: list[LayerEvidence],
    built: TensorRTBuild,
) -> EngineRecord:
    return EngineRecord(
        backend="tensorrt", device=str(built.gpu["name"]), name=bundle.manifest.name, bundle_digest=bundle.digest,
        bundle=os.path.relpath(bundle.folder.resolve(), folder.resolve()), options=config, engine=PLAN, baseline=None,
        files=files.hashes(folder, written), sizes={name: (folder / name).stat().st_size for name in written},
        machine=machine.describe(), layers=layers, notes=list(_notes(layers, built)), tensorrt=built,
    )


def _notes(layers: list[LayerEvidence], built: TensorRTBuild) -> Iterator[str]:
    sparse = [layer for layer in layers if layer.ran_sparse == "yes"]
    kernels = ", ".join(dict.fromkeys(layer.kernel for layer in sparse if layer.kernel))
    yield f"{len(sparse)} of {len(layers)} weighted layers run sparse" + (f" ({kernels})" if kernels else "")
    ladder = rung(layers, built.sparsity_log)
    yield f"evidence of sparsity: {RUNGS[ladder.rung]}; " + (f"next: {ladder.missing}" if ladder.missing else "")
    integer = sum(layer.precision == "int8" for layer in layers)
    yield f"{integer} of {len(layers)} weighted layers run on integers; the rest is {built.rest}"
    if built.islands:
        yield f"{len(built.islands)} nodes stay FP32: {', '.join(island.node for island in built.islands)}"
    if built.out_of_memory:
        yield f"memory was short ({len(built.out_of_memory)} lines of the log): no basis for claims"
    yield f"built in {built.seconds:.1f} s, timing cache {built.timing_cache}"
    yield f"the same by trtexec: {built.trtexec}"


__all__ = ["LOG", "PLAN", "build_engine"]
