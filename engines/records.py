"""What an engine folder says of itself: `engine.json`, `profile.json` and `validation.json`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from ..common import files
from ..common.bundle import Agreement
from ..common.errors import UserError
from ..common.schema import Document
from .config import Arm, EngineConfig, ProfileConfig, Rest, ShapeRange, ValidateConfig

ENGINE, PROFILE, VALIDATION, SAMPLES = "engine.json", "profile.json", "validation.json", "samples.npz"
PYTORCH = "PyTorch"  # the reference where the bundle was exported from a network
Precision = Literal["int8", "float", "unknown"]
Verdict = Literal["ran sparse", "eligible, dense was chosen", "not eligible", "unknown"]


class LayerEvidence(Document):
    """One weighted layer of the built engine.

    Attributes:
        name: the ONNX node's name.
        op: the ONNX operator (`Conv`, `MatMul`, `Gemm`, `ConvTranspose`).
        shape: the weight's shape in the ONNX file.
        two_four: every aligned group of 4 integer codes along the reduction axis has at least 2 zeros.
        zeros: share of zero codes, 0 to 1.
        precision: what the engine computes the layer in.
        kernel: the operator or tactic that the engine chose, or None where it does not say.
        ran_sparse: `yes` only with evidence of a sparse kernel.
        reason: why it is, or is not, 2:4 and sparse.
        eligible: its weight, shape and precision allow a sparse kernel on this device.
        change: what would make it run sparse, or None where nothing is known to.
        time_share: its share of the engine's time, 0 to 1, or None where it was not measured.
    """

    name: str
    op: str
    shape: list[int]
    two_four: bool
    zeros: float
    precision: Precision
    kernel: str | None
    ran_sparse: Literal["yes", "no", "unknown"]
    reason: str
    eligible: Literal["yes", "no", "unknown"] = "unknown"
    change: str | None = None
    time_share: float | None = None

    @property
    def verdict(self) -> Verdict:
        """What may be said of the layer."""
        if self.ran_sparse == "yes":
            return "ran sparse"
        if self.eligible == "no":
            return "not eligible"
        return "eligible, dense was chosen" if self.ran_sparse == "no" and self.eligible == "yes" else "unknown"


class Island(Document):
    """A node that stays in FP32 while the rest is narrower, and why."""

    node: str
    reason: str


class SparsityLine(Document):
    """What one tactic selection of the builder says of sparsity in its log.

    Attributes:
        eligible: layers that could use sparse tactics, or None where the log doesn't say.
        chosen: layers that do, or None where the log doesn't say.
        eligible_names: the builder's names of the former, where it lists them.
        chosen_names: of the latter.
        text: the line itself, where its wording is not known.
    """

    eligible: int | None = None
    chosen: int | None = None
    eligible_names: list[str] = []
    chosen_names: list[str] = []
    text: str | None = None


class TensorRTBuild(Document):
    """How a TensorRT engine was built.

    Attributes:
        version: of TensorRT.
        gpu: name, UUID, compute capability, memory in bytes, driver and CUDA versions.
        rest: dtype of what is not quantized.
        islands: what stayed FP32 all the same.
        shapes: the optimization profile, by input.
        sparsity_log: what the builder said of sparsity, one entry for each time that it did; empty: nothing.
        out_of_memory: lines of the log that say that a tactic was left out for lack of memory.
        seconds: the builder took.
        timing_cache: what became of the timing cache ("used", "new", "ignored: ...", "off").
        trtexec: the command that builds the same.
        signature: proves, to the user who built it on the machine that built it, that the plan is theirs.
    """

    version: str
    gpu: dict[str, Any]
    rest: Rest
    islands: list[Island]
    shapes: dict[str, ShapeRange]
    sparsity_log: list[SparsityLine]
    out_of_memory: list[str]
    seconds: float
    timing_cache: str
    trtexec: str
    signature: str


class EngineRecord(Document):
    """`engine.json`.

    Attributes:
        bundle: the bundle's folder as seen from the engine's folder.
        bundle_digest: hash of the bundle's manifest.
        engine: file name of the engine.
        baseline: file name of the FP32 graph of the same network, which the profile is compared with; None for a
            backend that builds what it compares with when it is profiled.
        files: name to SHA-256.
        sizes: name to bytes.
        notes: what the builder did and left, for people to read ("31 activations stored as uint8").
        tensorrt: how it was built, of a TensorRT engine.
    """

    schema_version: Literal[1] = 1
    backend: str
    device: str
    name: str
    bundle: str
    bundle_digest: str
    options: EngineConfig
    engine: str
    baseline: str | None
    files: dict[str, str]
    sizes: dict[str, int]
    machine: dict[str, Any]
    layers: list[LayerEvidence]
    notes: list[str]
    tensorrt: TensorRTBuild | None = None


class Spread(Document):
    """How one part of an inference is distributed, in milliseconds."""

    p50: float
    p90: float
    p95: float
    p99: float
    mean: float
    min: float


class GpuTimes(Document):
    """The parts of an inference on a GPU, by CUDA events; the call that starts it, by the host's clock.

    Attributes:
        cuda_graph: launched as a CUDA graph.
        fallback: why it wasn't, though asked for.
        compute: from the first kernel to the last.
        h2d: copy of the inputs to the device; None where they lay there.
        d2h: copy of the outputs to the host; None where they stayed.
        enqueue: the host's time in the call.
        variation: standard deviation over mean of the computing within one build; the largest of the builds'.
        samples: every counted inference, in the order of measurement, build after build: `computeMs`, `h2dMs`, `d2hMs`
            (trtexec's keys) and `enqMs`; what is equal to `samples_ms` is left out.
    """

    cuda_graph: bool
    fallback: str | None
    compute: Spread
    h2d: Spread | None
    d2h: Spread | None
    enqueue: Spread
    variation: float
    samples: dict[str, list[float]] = {}


class Latency(Document):
    """Times of one arm at one batch size, in milliseconds; throughput in samples per second.

    Attributes:
        spread: interquartile range over the median.
        throughput: batch size times runs, over their total time.
        samples_ms: every counted inference, in the order of measurement.
        builds: the median of each build of the arm, where it was built several times.
        gpu: the parts of an inference on a GPU.
    """

    arm: str
    batch: int
    runs: int
    p50: float
    p90: float
    p95: float
    p99: float
    mean: float
    min: float
    spread: float
    throughput: float
    samples_ms: list[float]
    builds: list[float] = []
    gpu: GpuTimes | None = None


class Ratio(Document):
    """How many times faster the engine is than the baseline at one batch size.

    Attributes:
        speedup: median over the interleaved rounds of baseline time / engine time; of arms that were built several
            times, the ratio of the geometric means of the builds' medians.
        low: lower end of its 95 % interval.
        high: upper end of its 95 % interval.
        verdict: `faster`, `slower`, `no difference` where the interval holds 1, or `unknown` where an arm was built
            only once although builds of it differ: the interval holds the noise of running, not that of building.
    """

    arm: str
    baseline: str
    batch: int
    speedup: float
    low: float
    high: float
    verdict: Literal["faster", "slower", "no difference", "unknown"]


class Mode(Document):
    """The arms timed in one more way, which the headline is to be read beside.

    Attributes:
        cuda_graph: launched as CUDA graphs.
        transfers: inputs and outputs are copied between host and device in each inference.
    """

    cuda_graph: bool
    transfers: bool
    latencies: list[Latency]
    ratios: list[Ratio]


class ArmBuild(Document):
    """One build of one arm.

    Attributes:
        arm: its name.
        number: 1 for the first build of the arm.
        file: the plan, as seen from the engine's folder; None where it was discarded.
        seconds: the builder took.
        sparsity_log: what the builder said of sparsity.
        out_of_memory: lines of the log that say that a tactic was left out for lack of memory; such a build is
            discarded, since nobody knows what it would have been.
    """

    arm: Arm
    number: int
    file: str | None
    seconds: float
    sparsity_log: list[SparsityLine] = []
    out_of_memory: list[str] = []


class TrtexecCheck(Document):
    """What trtexec measured on the engine's own plan with the settings of the headline.

    Attributes:
        version: of trtexec.
        batch: samples per inference.
        compute_ms: median by trtexec.
        own_ms: median of the same plan in this profile.
        command: what was run.
    """

    version: str
    batch: int
    compute_ms: float
    own_ms: float
    command: str


class Gate(Document):
    """One demand of the recipe and what was measured."""

    name: str
    limit: float
    value: float
    met: bool


class ProfileRecord(Document):
    """`profile.json`.

    Attributes:
        latencies: of each arm at each batch size; on a GPU with the data on the device, by CUDA graphs where they
            could be captured.
        ratios: the first arm against each of the others.
        modes: the same arms timed in other ways.
        builds: the plans that stand behind the arms.
        warnings: what keeps the figures from being taken at face value.
        gpu_before: clocks, temperature, power and what holds the clocks down, before the first timed inference.
        gpu_after: the same after the last.
        layer_shares: part of the first arm's time by the engine's layer, 0 to 1; good for shares only.
        node_shares: the same by weighted ONNX node, as far as the engine's layers can be told apart.
        trtexec: a second opinion, where trtexec is installed.
        engine: SHA-256 of the engine file that was timed; a later build of the engine makes the figures another's.
    """

    schema_version: Literal[1] = 1
    backend: str
    options: ProfileConfig
    machine: dict[str, Any]
    latencies: list[Latency]
    ratios: list[Ratio]
    gates: list[Gate]
    modes: list[Mode] = []
    builds: list[ArmBuild] = []
    warnings: list[str] = []
    gpu_before: dict[str, Any] = {}
    gpu_after: dict[str, Any] = {}
    layer_shares: dict[str, float] = {}
    node_shares: dict[str, float] = {}
    trtexec: TrtexecCheck | None = None
    engine: str | None = None


class LayerDifference(Document):
    """How far the engine and PyTorch part at one quantizer (or at an output).

    Attributes:
        tensor: the quantizer's name, or the output's.
        snr_db: with every segment fed PyTorch's own values; None where equal bit for bit, or not `fed`.
        codes_differ: share of integer codes that differ there; None at a float output.
        chained_snr_db: the same tensor when the engine feeds itself from the input on; None where equal bit for bit.
        fed: the segments could be fed one by one. A TensorRT engine only runs whole: `snr_db` says nothing then, and
            `codes_differ` is that of the engine that feeds itself.
    """

    tensor: str
    snr_db: float | None
    codes_differ: float | None
    chained_snr_db: float | None
    fed: bool = True


class RuntimeAgreement(Document):
    """One of several runtimes that were asked the same, beside another.

    Attributes:
        name: runtime and graph, such as `ONNX Runtime, typed.onnx`.
        against: likewise, or the reference (`ValidationRecord.reference`).
        agreement: on `reference.npz`; None where the runtime can't run the graph.
        reason: why it can't.
    """

    name: str
    against: str
    agreement: Agreement | None
    reason: str | None = None


class BatchAgreement(Document):
    """The engine's answers in batches of one size.

    Attributes:
        batch: samples per inference.
        agreement: with PyTorch.
        same: with the engine's own answers in batches of the size that it was tuned for.
        steady: the two differ by no more than roundings explain.
    """

    batch: int
    agreement: Agreement
    same: Agreement
    steady: bool


class ValidationRecord(Document):
    """`validation.json`.

    Attributes:
        agreement: engine against PyTorch's fake-quant model on `reference.npz`.
        noise_floor: PyTorch against itself under input noise of 1e-5; no runtime can be asked for more.
        value: the engine's metric on `eval.npz`.
        pytorch_value: the fake-quant model's on the same samples.
        dense_value: the dense model's on the same samples (on the whole validation set where the bundle doesn't have
            it), or None if no dense stage was run.
        runtimes: the same graph on several runtimes, so that it shows which of them parts; empty where the engine is
            ONNX Runtime's own.
        batches: the engine in batches of other sizes; empty where its backend has no range of them.
        findings: what follows from both, in sentences.
        feature_distances: of pictures to the real ones of `eval.npz`, where the bundle has features: of the `engine`'s,
            of `pytorch`'s and of the `dense` model's.
        reference: what is called PyTorch above; the ONNX file's name where the bundle was made from one.
    """

    schema_version: Literal[1] = 1
    backend: str
    options: ValidateConfig
    agreement: Agreement
    noise_floor: Agreement
    metric: str
    samples: int
    value: float
    pytorch_value: float
    dense_value: float | None
    layers: list[LayerDifference]
    gates: list[Gate]
    runtimes: list[RuntimeAgreement] = []
    batches: list[BatchAgreement] = []
    findings: list[str] = []
    feature_distances: dict[str, float] = {}
    reference: str = PYTORCH

    @property
    def foreign(self) -> bool:
        """Whether the reference is an ONNX file that came quantized, and no PyTorch network."""
        return self.reference != PYTORCH


def read_engine(folder: Path) -> EngineRecord:
    """Read `engine.json` and check the files that it lists.

    Raises:
        UserError: no engine there, its record damaged, or a file missing, changed or not listed.
    """
    fix = "Build it again with `twofour build`."
    if not (folder / ENGINE).is_file():
        raise UserError("This folder holds no engine (no engine.json).", where=str(folder), fix=fix)
    try:
        record = EngineRecord.model_validate(files.read_json(folder / ENGINE))
    except ValidationError as error:
        raise UserError(f"engine.json is damaged ({error.errors()[0]['msg']}).", where=str(folder), fix=fix) from error
    files.verify(folder, record.files, fix)
    for name in _needed(folder, record):
        if name not in record.files:
            raise UserError(f"engine.json does not list the file {name!r}.", where=str(folder), fix=fix)
    return record


def _needed(folder: Path, record: EngineRecord) -> list[str]:
    """What a runtime reads when it loads the engine or the baseline: the files, and weights beside them."""
    models = [name for name in (record.engine, record.baseline) if name is not None]
    weights = [f"{name}.data" for name in models]
    return [*models, *(name for name in weights if (folder / name).exists())]


__all__ = [
    "ENGINE",
    "PROFILE",
    "PYTORCH",
    "SAMPLES",
    "VALIDATION",
    "ArmBuild",
    "BatchAgreement",
    "EngineRecord",
    "Gate",
    "GpuTimes",
    "Island",
    "Latency",
    "LayerDifference",
    "LayerEvidence",
    "Mode",
    "ProfileRecord",
    "Ratio",
    "RuntimeAgreement",
    "SparsityLine",
    "Spread",
    "TensorRTBuild",
    "TrtexecCheck",
    "ValidationRecord",
    "Verdict",
    "read_engine",
]
