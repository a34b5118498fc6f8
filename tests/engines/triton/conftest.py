"""Bundles with any inputs and outputs, plans for them, and Triton's own definition of config.pbtxt."""

import importlib.util
from pathlib import Path

import pytest
from google.protobuf import text_format

from twofour.common import bundle as bundles
from twofour.common import files
from twofour.common.bundle import Tensor
from twofour.engines.config import TensorRTConfig
from twofour.engines.records import ENGINE, EngineRecord, TensorRTBuild


def _definition():
    """`tritonclient.grpc.model_config_pb2` by its path, for importing the package would ask for gRPC."""
    folder = importlib.util.find_spec("tritonclient").submodule_search_locations[0]
    path = Path(folder) / "grpc" / "model_config_pb2.py"
    spec = importlib.util.spec_from_file_location("model_config_pb2", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


DEFINITION = _definition()


def parse_config(text):
    return text_format.Parse(text, DEFINITION.ModelConfig())


@pytest.fixture(scope="session")
def triton():
    """Triton's messages and enums."""
    return DEFINITION


@pytest.fixture(scope="session")
def parse():
    """From text to Triton's `ModelConfig`; whatever its definition doesn't know is an error."""
    return parse_config


@pytest.fixture
def served(parse):
    """What a server reads in a model's folder."""
    return lambda folder: parse((folder / "config.pbtxt").read_text(encoding="utf-8"))


@pytest.fixture
def declare(bundle):
    """Replace what the bundle says of its inputs, outputs and name: `declare(inputs=[(name, dtype, shape)])`."""
    x, logits = ("x", "float32", ["batch", 64]), ("logits", "float32", ["batch", 10])

    def change(inputs=(x,), outputs=(logits,), name="digits"):
        manifest = bundles.read(bundle).manifest
        tensors = [[Tensor(name=n, dtype=d, shape=s) for n, d, s in group] for group in (inputs, outputs)]
        changed = manifest.model_copy(update={"inputs": tensors[0], "outputs": tensors[1], "name": name})
        files.write_json(bundle / bundles.MANIFEST, changed.model_dump(mode="json"))
        return bundle

    return change


@pytest.fixture
def plan(bundle):
    """Write a TensorRT engine folder for the bundle as it is now; `shapes` is its optimization profile."""

    def write(device="nvidia-h100", shapes=None, **options):
        folder = bundle.parent / "engines" / f"tensorrt-{device}"
        folder.mkdir(parents=True)
        (folder / "engine.plan").write_bytes(b"plan for " + device.encode())
        config = TensorRTConfig(**options)
        if shapes is None:
            batches = {"min": config.min_batch, "opt": config.opt_batch, "max": config.max_batch}
            shapes = {"x": {end: [size, 64] for end, size in batches.items()}}
        built = TensorRTBuild(
            version="10.13.3", gpu={"name": "NVIDIA H100"}, rest="fp16", islands=[], shapes=shapes, sparsity_log=[],
            out_of_memory=[], seconds=1.0, timing_cache="off", trtexec="trtexec", signature="",
        )
        record = EngineRecord(
            backend="tensorrt", device=device, name="digits", bundle="../../bundle",
            bundle_digest=bundles.read(bundle).digest, options=config, engine="engine.plan", baseline=None,
            files=files.hashes(folder, ["engine.plan"]), sizes={}, machine={}, layers=[], notes=[], tensorrt=built,
        )
        files.write_json(folder / ENGINE, record.model_dump(mode="json"))
        return folder

    return write
