"""What is in a TensorRT engine: its folder, its plan seen from outside, or what its inspector said elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from ...common import files
from ...common.errors import UserError
from ...export.graph.load import load
from ..inspection import NO_GRAPH, Inspection, Kernel, of_record
from ..records import PROFILE, EngineRecord, ProfileRecord, Ratio
from .evidence import weigh_model
from .hops import hops
from .inspector import InspectedLayer, parse
from .join import computing
from .ladder import rung
from .plan_header import plan_header
from .reasons import BuildFacts
from .sparsity_log import sparsity_lines

LAYERS = "layers.json"


def inspect_folder(folder: Path, record: EngineRecord, notes: list[str]) -> Inspection:
    """An engine that holds no ONNX graph: its record, and what the engine said of its layers when it was built."""
    log = record.tensorrt.sparsity_log if record.tensorrt is not None else []
    short = record.tensorrt.out_of_memory if record.tensorrt is not None else []
    if short:
        notes.append(f"memory was short while it was built ({len(short)} lines of the log): it is no basis for claims")
    ladder = rung(record.layers, log, _sparse_gain(folder)) if record.tensorrt is not None else None
    return Inspection(
        kind="engine", path=str(folder), sizes=record.sizes, layers=[of_record(evidence) for evidence in record.layers],
        qdq=NO_GRAPH, faults=[], notes=notes, sparsity_log=log, ladder=ladder, hops=hops(_kept_layers(folder, record)),
    )


def _kept_layers(folder: Path, record: EngineRecord) -> list[InspectedLayer]:
    return parse((folder / LAYERS).read_text(encoding="utf-8")) if LAYERS in record.files else []


def _sparse_gain(folder: Path) -> Ratio | None:
    """The last profile's speed with sparse weights over that without, at its first batch size."""
    path = folder / "profile" / PROFILE
    if not path.is_file():
        return None
    try:
        ratios = ProfileRecord.model_validate(files.read_json(path)).ratios
    except (UserError, ValidationError):
        return None
    arms = ("sparse-int8", "sparse-int8-flag-off")
    return next((ratio for ratio in ratios if (ratio.arm, ratio.baseline) == arms), None)


def inspect_plan(path: Path) -> Inspection:
    """A plan file seen from outside: nothing of it is loaded.

    Raises:
        UserError: it can't be read.
    """
    digest, header = files.sha256(path), plan_header(path)
    named = f"written by TensorRT {header.version}" if header.version else "which names no release that is known"
    what = f"a TensorRT plan, {named}" if header.plan else "no TensorRT plan by its first bytes, whatever its name says"
    notes = [what, f"SHA-256 {digest}"]
    if header.wrapped:
        notes.append(f"{header.wrapped} bytes of other metadata come before the plan; TensorRT takes it without them")
    notes.append("its layers show only once it is loaded, which can execute code that it holds: give --trust, on a "
                 "machine with its TensorRT and its GPU, if you trust where it comes from")
    return Inspection(kind="plan", path=str(path), sizes={path.name: path.stat().st_size}, layers=[], qdq=NO_GRAPH,
                      faults=[], notes=notes)


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
        build: how it was built, as far as that is known. Defaults to nothing.

    Raises:
        UserError: it is not the inspector's JSON, or a file can't be used.
    """
    layers, said = parse(information), sparsity_lines(log)
    notes = inspect_plan(plan).notes[:-1] if plan is not None else []
    if not any(layer.tactic for layer in layers):
        notes.append("it was built without detailed profiling verbosity: its kernels' names are not in it")
    size = {plan.name: plan.stat().st_size} if plan is not None else {}
    found = Inspection(
        kind="plan", path=str(plan or "plan"), sizes=size, layers=[], qdq=NO_GRAPH, faults=[], notes=notes,
        sparsity_log=said, hops=hops(layers), kernels=[_kernel(layer) for layer in computing(layers)],
    )
    if onnx is None:
        return found
    evidence = weigh_model(load(onnx), layers, said, None, build or BuildFacts())
    update = {"layers": [of_record(one) for one in evidence], "kernels": [], "ladder": rung(evidence, said)}
    return found.model_copy(update=update)


def _kernel(layer: InspectedLayer) -> Kernel:
    ran: Literal["yes", "no", "unknown"] = "unknown" if layer.sparse is None else "yes" if layer.sparse else "no"
    return Kernel(name=layer.name, type=layer.type, nodes=list(layer.onnx_nodes), kernel=layer.tactic, ran_sparse=ran,
                  weights=layer.weights_count)


__all__ = ["LAYERS", "inspect_folder", "inspect_plan", "inspect_plan_information"]
