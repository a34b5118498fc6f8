"""What is in a TensorRT engine: its folder, its plan seen from outside, or what its inspector said elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from ...common import console, files
from ...common.errors import UserError
from ...export.graph.load import load
from ..config import ShapeRange
from ..inspection import NO_GRAPH, Inspection, Kernel, of_record
from ..records import PROFILE, EngineRecord, ProfileRecord, Ratio, TensorRTBuild
from .engine_layers import layers_json
from .evidence import weigh_model, with_shares
from .hops import hops
from .inspector import InspectedLayer, parse
from .join import computing
from .ladder import rung
from .plan import read_plan
from .plan_header import plan_header
from .ports import ports_of
from .reasons import BuildFacts
from .sparsity_log import out_of_memory, sparsity_lines

LAYERS = "layers.json"
_SPARSE_ARMS = ("sparse-int8", "sparse-int8-flag-off")


def inspect_folder(folder: Path, record: EngineRecord, notes: Sequence[str]) -> Inspection:
    """An engine's folder: its record, what the engine said of its layers, and the shares and gain of its profile.

    Raises:
        UserError: its `layers.json` is not the inspector's.
    """
    build, profile, layers = record.tensorrt, _profile(folder, record), _layers(folder, record)
    log = build.sparsity_log if build is not None else []
    evidence = with_shares(record.layers, layers, profile.layer_shares) if profile is not None else record.layers
    return Inspection(
        kind="engine", path=str(folder), sizes=record.sizes, layers=[of_record(one) for one in evidence],
        qdq=NO_GRAPH, notes=[*notes, *_memory(build)], sparsity_log=log, hops=hops(layers),
        ladder=rung(evidence, log, _sparse_gain(profile)) if build is not None else None,
    )


def _memory(build: TensorRTBuild | None) -> list[str]:
    lines = len(build.out_of_memory) if build is not None else 0
    return [f"memory was short while it was built ({lines} lines of the log): no basis for any claim"] if lines else []


def _layers(folder: Path, record: EngineRecord) -> list[InspectedLayer]:
    return parse((folder / LAYERS).read_text(encoding="utf-8")) if LAYERS in record.files else []


def _profile(folder: Path, record: EngineRecord) -> ProfileRecord | None:
    """The profile of this very engine file."""
    path = folder / "profile" / PROFILE
    try:
        found = ProfileRecord.model_validate(files.read_json(path)) if path.is_file() else None
    except (UserError, ValidationError):
        console.warn(f"{path} is damaged; nothing of it is shown.")
        return None
    if found is not None and found.engine != record.files[record.engine]:
        console.warn(f"{path} is of an earlier build of this engine; nothing of it is shown. Profile it again.")
        return None
    return found


def _sparse_gain(profile: ProfileRecord | None) -> Ratio | None:
    """Speed with sparse weights over that without, at the first batch size."""
    ratios = profile.ratios if profile is not None else []
    return next((ratio for ratio in ratios if (ratio.arm, ratio.baseline) == _SPARSE_ARMS), None)


def inspect_plan(path: Path) -> Inspection:
    """A plan file seen from outside: nothing of it is loaded.

    Raises:
        UserError: it can't be read.
    """
    notes = _about(path)
    if plan_header(path).plan:
        notes.append("its layers show only once it is loaded, which can execute code that it holds: give --trust, on "
                     "a machine with its TensorRT and its GPU, if you trust where it comes from")
    return Inspection(kind="plan", path=str(path), sizes={path.name: path.stat().st_size}, layers=[], qdq=NO_GRAPH,
                      notes=notes)


def inspect_loaded_plan(path: Path, onnx: Path | None = None) -> Inspection:
    """A plan file that is trusted, loaded and asked for its layers.

    Args:
        path: the plan.
        onnx: the graph that it was built from. Defaults to none: then each kernel is shown, and no weight.

    Raises:
        UserError: it is missing, no plan, or of another TensorRT or GPU.
        MissingError: TensorRT or the GPU is missing, or the GPU has too little memory.
    """
    opened = read_plan(path, None, trust=True)
    inputs = ports_of(opened.engine).inputs.values()
    shapes = {port.name: _range(port.ranges) for port in inputs if port.ranges is not None and not port.on_host}
    return inspect_plan_information(layers_json(opened, shapes), onnx, plan=path)


def _range(ranges: tuple[tuple[int, ...], ...]) -> ShapeRange:
    low, most, high = map(list, ranges)
    return ShapeRange(min=low, opt=most, max=high)


def _about(path: Path) -> list[str]:
    digest, header = files.sha256(path), plan_header(path)
    named = f"written by TensorRT {header.version}" if header.version else "which names no release that is known"
    what = f"a TensorRT plan, {named}" if header.plan else "no TensorRT plan by its first bytes, whatever its name says"
    notes = [what, f"SHA-256 {digest}"]
    if header.wrapped:
        notes.append(f"{header.wrapped} bytes of other metadata come before the plan; TensorRT takes it without them")
    return notes


def inspect_plan_information(
    information: str, onnx: Path | None = None, *, plan: Path | None = None, log: Sequence[str] = (),
    build: BuildFacts | None = None,
) -> Inspection:
    """Judge a deployed plan by what its engine inspector says.

    Args:
        information: `get_engine_information(LayerInformationFormat.JSON)`, or what trtexec exports.
        onnx: the graph that it was built from. Defaults to none: then each kernel is shown, and no weight.
        plan: the plan's file, for its size and hash. Defaults to none.
        log: lines of its build log. Defaults to none.
        build: how it was built, as far as that is known. Defaults to what the log tells.

    Raises:
        UserError: it is not the inspector's JSON, or a file can't be used.
    """
    layers, said = parse(information), sparsity_lines(log)
    notes = _about(plan) if plan is not None else []
    if not any(layer.tactic for layer in layers):
        notes.append("it was built without detailed profiling verbosity: its kernels' names are not in it")
    size = {plan.name: plan.stat().st_size} if plan is not None else {}
    found = Inspection(
        kind="plan", path=str(plan or "plan"), sizes=size, layers=[], qdq=NO_GRAPH, notes=notes,
        sparsity_log=said, hops=hops(layers), kernels=[_kernel(layer) for layer in computing(layers)],
    )
    if onnx is None:
        return found
    facts = build or BuildFacts(short_of_memory=bool(out_of_memory(log)))
    evidence = weigh_model(load(onnx), layers, said, None, facts)
    update = {"layers": [of_record(one) for one in evidence], "kernels": [], "ladder": rung(evidence, said)}
    return found.model_copy(update=update)


def _kernel(layer: InspectedLayer) -> Kernel:
    ran: Literal["yes", "no", "unknown"] = "unknown" if layer.sparse is None else "yes" if layer.sparse else "no"
    return Kernel(name=layer.name, type=layer.type, nodes=list(layer.onnx_nodes), kernel=layer.tactic, ran_sparse=ran,
                  weights=layer.weights_count)


__all__ = ["LAYERS", "inspect_folder", "inspect_loaded_plan", "inspect_plan", "inspect_plan_information"]
