"""The commands: parse, call the rooms, print. Nothing else, and nothing heavy imported before it is needed."""

from __future__ import annotations

import json
import sys
import tempfile
import traceback
from pathlib import Path
from typing import Annotated, Any

import typer
import typer.core

from .common import console
from .common.errors import TwofourError


class StoppedError(TwofourError):
    """Ctrl-C, said in one line."""

    exit_code = 130


class Commands(typer.core.TyperGroup):
    """The commands; keeps Ctrl-C from typer, which would say only "Aborted!"."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as error:
            raise StoppedError("Interrupted. What was finished is kept; the same command continues.") from error


app = typer.Typer(
    name="twofour",
    cls=Commands,
    help="From a PyTorch model to a 2:4-sparse INT8 engine whose accuracy and speed are proven.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)



def _print_version(wanted: bool) -> None:
    if wanted:
        from . import __version__

        console.result(__version__)
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _twofour(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_print_version, help="Print the version and exit.")
    ] = False,
) -> None: ...


Target = Annotated[Path, typer.Argument(help="A recipe, a ready one's name, a run folder, or a quantized ONNX file.")]
Out = Annotated[Path | None, typer.Option("--out", help="Where to write. Default: runs/NAME.")]
Sets = Annotated[list[str] | None, typer.Option("--set", help="Change one key: training.qat.epochs=1. Repeatable.")]
Inputs = Annotated[Path | None, typer.Option("--inputs", help="Of an ONNX file: npz with arrays by input name.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Only warnings, errors and results.")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Backend = Annotated[str, typer.Option("--backend", help="What runs the engine.")]
Threads = Annotated[int | None, typer.Option("--threads", min=1, help="ONNX Runtime: threads of one inference.")]
Trust = Annotated[bool, typer.Option("--trust", help="Load a plan that was not built here: it can run code.")]
Bundle = Annotated[Path | None, typer.Option("--bundle", help="The bundle, if it is not where the engine says.")]


@app.command()
def run(
    target: Target, inputs: Inputs = None, out: Out = None, sets: Sets = None, quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Do the whole job: train, calibrate, export, build, profile, validate, report."""
    console.configure(quiet=quiet)
    _pipeline(target, out, sets, None, as_json, inputs)


@app.command()
def train(target: Target, out: Out = None, sets: Sets = None, quiet: Quiet = False, as_json: Json = False) -> None:
    """Do the training stages of a recipe or run folder."""
    console.configure(quiet=quiet)
    _pipeline(target, out, sets, "train", as_json)


@app.command()
def calibrate(target: Target, out: Out = None, sets: Sets = None, quiet: Quiet = False, as_json: Json = False) -> None:
    """Choose the quantizers' ranges, after whatever training is still to be done."""
    console.configure(quiet=quiet)
    _pipeline(target, out, sets, "calibrate", as_json)


@app.command()
def export(
    target: Target, inputs: Inputs = None, out: Out = None, sets: Sets = None, quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Write the bundle, after whatever comes before it and is still to be done."""
    console.configure(quiet=quiet)
    _pipeline(target, out, sets, "export", as_json, inputs)


@app.command()
def report(folder: Annotated[Path, typer.Argument(help="A run folder.")]) -> None:
    """Write report.html again from what the run folder holds."""
    from .pipeline.report.write import write_report

    console.result(str(write_report(folder)))


@app.command()
def build(
    bundle: Annotated[Path, typer.Argument(help="A bundle folder.")],
    backend: Backend = "onnxruntime",
    out: Annotated[Path | None, typer.Option("--out", help="Default: engines/BACKEND-DEVICE beside it.")] = None,
    threads: Threads = None,
    rest: Annotated[str | None, typer.Option(help="TensorRT: fp16, bf16 or fp32 for what isn't quantized.")] = None,
    scales: Annotated[str | None, typer.Option(help="TensorRT: auto, rest or fp32 for the scales of Q and DQ.")] = None,
    sparse: Annotated[bool | None, typer.Option(help="TensorRT: allow kernels for 2:4 weights.")] = None,
    min_batch: Annotated[int | None, typer.Option(min=1, help="TensorRT: smallest batch. Default: 1.")] = None,
    opt_batch: Annotated[int | None, typer.Option(min=1, help="TensorRT: the batch to be best at. Default: 8.")] = None,
    max_batch: Annotated[int | None, typer.Option(min=1, help="TensorRT: largest batch. Default: 64.")] = None,
    shape: Annotated[list[str] | None, typer.Option(help="TensorRT: NAME=MIN:OPT:MAX. Repeatable.")] = None,
    workspace_mib: Annotated[int | None, typer.Option(min=1, help="TensorRT: most scratch memory.")] = None,
    optimization_level: Annotated[int | None, typer.Option(min=0, max=5, help="TensorRT: Default: 3.")] = None,
    timing_cache: Annotated[str | None, typer.Option(help="TensorRT: auto, off, or a file.")] = None,
    hardware_compatibility: Annotated[
        str | None, typer.Option(help="TensorRT: none, ampere_plus or same_compute_capability.")
    ] = None,
    version_compatible: Annotated[bool | None, typer.Option(help="TensorRT: run on later releases too.")] = None,
    refit: Annotated[bool | None, typer.Option(help="TensorRT: let weights be exchanged later.")] = None,
    tf32: Annotated[bool | None, typer.Option(help="TensorRT: TF32 for what stays FP32.")] = None,
    dla_core: Annotated[int | None, typer.Option(min=0, help="TensorRT: build for this DLA core.")] = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Build an engine from a bundle."""
    from .engines.build import build_engine
    from .engines.options import shapes_of
    from .pipeline.complaints import engine_settings
    from .pipeline.standalone import standalone

    console.configure(quiet=quiet)
    config = engine_settings(
        backend, threads=threads, rest=rest, scales=scales, sparse=sparse, min_batch=min_batch, opt_batch=opt_batch,
        max_batch=max_batch, shapes=shapes_of(shape) if shape else None, workspace_mib=workspace_mib,
        optimization_level=optimization_level, timing_cache=timing_cache, dla_core=dla_core, tf32=tf32, refit=refit,
        hardware_compatibility=hardware_compatibility, version_compatible=version_compatible,
    )
    with standalone(bundle):
        folder, record = build_engine(bundle, config, out)
    _result(record.model_dump(mode="json"), as_json, "\n".join([*record.notes, str(folder)]))


@app.command()
def profile(
    target: Annotated[Path, typer.Argument(help="An engine folder, a bundle, or a plain ONNX or plan file.")],
    backend: Backend = "onnxruntime",
    batch: Annotated[list[int] | None, typer.Option("--batch", min=1, help="Repeatable. Default: 1 and 8.")] = None,
    seconds: Annotated[float, typer.Option("--seconds", help="Least time per batch size and arm.")] = 3.0,
    threads: Threads = None,
    shape: Annotated[list[str] | None, typer.Option(help="A plain file: NAME=SHAPE of an input. Repeatable.")] = None,
    rebuilds: Annotated[int | None, typer.Option(min=1, help="TensorRT: builds of each arm. Default: 3.")] = None,
    arm: Annotated[list[str] | None, typer.Option(help="TensorRT: what to compare. Repeatable. Default: all.")] = None,
    cuda_graph: Annotated[str | None, typer.Option(help="TensorRT: on, off or both.")] = None,
    transfers: Annotated[bool | None, typer.Option(help="TensorRT: also time host-device copies.")] = None,
    spin: Annotated[bool | None, typer.Option(help="TensorRT: wait by spinning, not blocking.")] = None,
    streams: Annotated[int | None, typer.Option(min=1, help="TensorRT: inferences in flight. Default: 1.")] = None,
    trust: Trust = False,
    bundle: Bundle = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Measure latency and throughput, side by side with what the engine is compared with."""
    from .engines.commands import profile_target
    from .engines.config import ProfileConfig
    from .engines.folder import require
    from .engines.options import shapes_of
    from .pipeline.complaints import engine_settings, settings
    from .pipeline.standalone import standalone
    from .pipeline.tables import profile_table

    console.configure(quiet=quiet)
    gpu = {"rebuilds": rebuilds, "arms": arm, "cuda_graph": cuda_graph, "transfers": transfers, "spin": spin,
           "streams": streams}
    given = {name: value for name, value in gpu.items() if value is not None}
    config = settings(ProfileConfig, batch=batch or [1, 8], seconds=seconds, gpu=given)
    shapes = {name: sizes["opt"] for name, sizes in shapes_of(shape or []).items()}
    with standalone(target):
        engine = engine_settings(backend, threads=threads)
        record = profile_target(target, config, engine, bundle, trust, shapes)
    _result(record.model_dump(mode="json"), as_json, profile_table(record))
    require(record.gates)


@app.command()
def validate(
    target: Annotated[Path, typer.Argument(help="An engine folder or a bundle.")],
    backend: Backend = "onnxruntime",
    max_drop: Annotated[float | None, typer.Option("--max-drop", help="Gate: largest loss of the metric.")] = None,
    min_agreement: Annotated[
        float | None, typer.Option(help="Gate: least share of equal predictions, or SSIM of pictures.")
    ] = None,
    min_snr_db: Annotated[float | None, typer.Option(help="Gate: least signal-to-noise ratio in dB.")] = None,
    no_gates: Annotated[bool, typer.Option("--no-gates", help="No gates but those given here.")] = False,
    layers: Annotated[
        bool | None, typer.Option(help="Layer by layer too. Default: unless that takes another build.")
    ] = None,
    trust: Trust = False,
    bundle: Bundle = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Check an engine against the answers recorded in its bundle, and on real samples.

    Gates that aren't given are those of the engine's last validation, such as the recipe's; without one, a loss of
    0.01 and an agreement of 0.995.
    """
    from .engines.commands import validate_target
    from .engines.folder import require
    from .pipeline.complaints import engine_settings
    from .pipeline.standalone import standalone
    from .pipeline.tables import validation_table

    console.configure(quiet=quiet)
    with standalone(target):
        record = validate_target(
            target, engine_settings(backend), max_drop=max_drop, min_agreement=min_agreement, min_snr_db=min_snr_db,
            gates=not no_gates, bundle=bundle, trust=trust, layers=layers,
        )
    _result(record.model_dump(mode="json"), as_json, validation_table(record))
    require(record.gates)


@app.command()
def inspect(
    path: Annotated[Path, typer.Argument(help="An ONNX file, a bundle, an engine folder or a TensorRT plan.")],
    trust: Trust = False,
    onnx: Annotated[Path | None, typer.Option(help="With --trust: the graph that a plan was built from.")] = None,
    tensorrt: Annotated[str | None, typer.Option(help="Judge a graph for this release, such as 10.13 or 11.4.")] = None,
    fail_on: Annotated[
        str | None, typer.Option(help="Exit with 3 if a finding is this bad: error, warning or note.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Say of each layer whether its weight is 2:4 and ran, or will run, sparse, and what is wrong with the graph."""
    from .engines.inspect import inspect as examine
    from .export.graph.lint import find_severity, require_clean
    from .pipeline.tables import inspection_table

    limit = find_severity(fail_on) if fail_on is not None else None
    found = examine(path, trust=trust, onnx=onnx, tensorrt=tensorrt)
    _result(found.model_dump(mode="json"), as_json, inspection_table(found))
    if limit is not None:
        require_clean(found.findings, limit)


@app.command()
def package(
    target: Annotated[Path, typer.Argument(help="A bundle or an engine folder.")],
    triton: Annotated[Path, typer.Option("--triton", help="Triton's model repository; made if need be.")],
    name: Annotated[str | None, typer.Option(help="The model's name. Default: the bundle's.")] = None,
    backend: Annotated[str | None, typer.Option(help="Of a bundle: tensorrt, onnxruntime, or auto.")] = None,
    max_batch: Annotated[int | None, typer.Option(min=1, help="Largest batch. Default: the plan's, or 64.")] = None,
    queue_delay_us: Annotated[int | None, typer.Option(min=0, help="How long a request waits for others.")] = None,
    instances: Annotated[int | None, typer.Option(min=1, help="Copies side by side. Default: 1.")] = None,
    cuda_graphs: Annotated[bool | None, typer.Option(help="TensorRT: replay CUDA graphs.")] = None,
    warmup: Annotated[bool | None, typer.Option(help="Run once before the first request.")] = None,
    bundle: Bundle = None,
    quiet: Quiet = False,
) -> None:
    """Hand an engine over to a Triton Inference Server, as a version of a model in its repository."""
    from .engines.triton.config import PackageConfig
    from .engines.triton.package import package as hand_over
    from .pipeline.complaints import settings
    from .pipeline.standalone import standalone

    console.configure(quiet=quiet)
    options = {"name": name, "backend": backend, "max_batch": max_batch, "queue_delay_us": queue_delay_us,
               "instances": instances, "cuda_graphs": cuda_graphs, "warmup": warmup, "bundle": bundle}
    given = {key: value for key, value in options.items() if value is not None}
    with standalone(target):
        handed = hand_over(target, triton, settings(PackageConfig, **given))
    console.result("\n".join(handed.lines))


@app.command()
def doctor(as_json: Json = False) -> None:
    """Say what this machine has, what it lacks, and the line that installs it."""
    from .engines.doctor import examine
    from .pipeline.tables import doctor_table

    found = examine()
    _result([item.model_dump(mode="json") for item in found], as_json, doctor_table(found))


def _pipeline(
    target: Path, out: Path | None, sets: list[str] | None, until: str | None, as_json: bool, inputs: Path | None = None
) -> None:
    from .pipeline.job import do

    do(target, out, sets or [], until, as_json, inputs)


def _result(value: Any, as_json: bool, shown: Any) -> None:
    if as_json:
        console.result(json.dumps(value, indent=2))
    elif isinstance(shown, str):
        console.result(shown)
    else:
        from rich.console import Console

        Console().print(shown)


def main() -> None:
    """Run a command; every ending has its exit code, and no user error a traceback."""
    try:
        app()
    except TwofourError as error:
        _stop(str(error) if isinstance(error, StoppedError) else f"error: {error}", error.exit_code)
    except Exception as error:  # a bug of ours: kept for whoever mends it, not thrown at the user
        _stop(f"error: This is a bug in twofour ({type(error).__name__}: {error}). Report it with {_kept()}.", 1)


def _kept() -> str:
    """Where the traceback was put."""
    try:
        with tempfile.NamedTemporaryFile("w", prefix="twofour-", suffix=".txt", delete=False, encoding="utf-8") as file:
            file.write(traceback.format_exc())
    except OSError:
        return traceback.format_exc()
    return file.name


def _stop(message: str, code: int) -> None:
    sys.stderr.write(f"{message}\n")
    raise SystemExit(code)
