"""A tiny quantized network with its bundle and engine folder, and a bare backend over ONNX Runtime to run them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper, numpy_helper

from twofour.common import bundle as bundles
from twofour.common import files
from twofour.common.bundle import Agreement, Manifest, Tensor
from twofour.engines import backend as backends
from twofour.engines.config import OnnxRuntimeConfig
from twofour.engines.layers import compare_layers
from twofour.engines.profile import profile_beside_fp32, profile_onnx
from twofour.engines.records import ENGINE, EngineRecord

HIDDEN = 16


class Session:
    """The least that runs an ONNX file."""

    def __init__(self, path: Path, threads: int = 1) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        self.session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self.closed = False

    def infer(self, inputs):
        names = [output.name for output in self.session.get_outputs()]
        return dict(zip(names, self.session.run(names, dict(inputs)), strict=True))

    def close(self) -> None:
        self.closed = True


class Plain:
    name = "onnxruntime"

    def device(self) -> str:
        return "cpu"

    def load(self, path: Path, config: OnnxRuntimeConfig, *, trust: bool = False) -> Session:
        return Session(path, config.threads or 1)

    def profile(self, folder, record, source, config, options, *, trust=False):
        return profile_beside_fp32(folder, record, source, config, options)

    def profile_model(self, path, config, options, shapes, *, trust=False):
        return profile_onnx(path, config, options, shapes)

    def compare_layers(self, folder, record, source):
        return compare_layers(folder / record.engine, source, record.options)


@pytest.fixture
def plain_backend(monkeypatch):
    monkeypatch.setattr(backends, "find", lambda name: Plain())


def quantizer(nodes, initializers, name, source, scale, dtype=np.int8):
    """Append a Q/DQ pair named as the exporters name it."""
    initializers.append(numpy_helper.from_array(np.float32(scale), f"{name}/scale"))
    initializers.append(numpy_helper.from_array(dtype(0), f"{name}/zero_point"))
    rest = [f"{name}/scale", f"{name}/zero_point"]
    nodes.append(helper.make_node("QuantizeLinear", [source, *rest], [f"{name}/codes"], name=f"{name}/QuantizeLinear"))
    codes = f"{name}/codes"
    nodes.append(helper.make_node("DequantizeLinear", [codes, *rest], [name], name=f"{name}/DequantizeLinear"))
    return name


def model(nodes, initializers, shape=("batch", 64), output="logits", size=10):
    graph = helper.make_graph(
        nodes, "net",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(output, onnx.TensorProto.FLOAT, [shape[0], size])],
        initializers,
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)])
    made.ir_version = 10
    return made


def weight_codes(weight):
    """INT8 codes and a scale per output channel."""
    scale = np.abs(weight).max(axis=1) / np.float32(127)
    return np.rint(weight / scale[:, None]).astype(np.int8), scale


def int8_weight(nodes, initializers, layer, weight):
    codes, scale = weight_codes(weight)
    name = f"{layer}.weight_quantizer"
    arrays = {f"{name}/codes": codes, f"{name}/scale": scale, f"{name}/zero_point": np.zeros(len(scale), np.int8)}
    initializers += [numpy_helper.from_array(array, key) for key, array in arrays.items()]
    nodes.append(helper.make_node("DequantizeLinear", list(arrays), [name], name=f"{name}/DequantizeLinear", axis=0))
    return name


def plain(initializers, layer, weight):
    initializers.append(numpy_helper.from_array(weight, f"{layer}.weight"))
    return f"{layer}.weight"


@dataclass
class Network:
    """Two Gemms with INT8 weights, per channel; `scales` are those of both activation quantizers.

    Activations are never negative; stored as uint8 up to code 127 they keep 16-bit sums of pairs exact.
    """

    first: np.ndarray
    second: np.ndarray
    scales: tuple[float, float]

    def onnx(self, quantized: bool = True, dtype=np.uint8) -> onnx.ModelProto:
        nodes, stored = [], []
        pair = (lambda *args: quantizer(nodes, stored, *args)) if quantized else (lambda name, source, *args: source)
        weigh = (lambda *args: int8_weight(nodes, stored, *args)) if quantized else (lambda *args: plain(stored, *args))
        a, w1 = pair("fc1.input_quantizer", "x", self.scales[0], dtype), weigh("fc1", self.first)
        nodes.append(helper.make_node("Gemm", [a, w1], ["fc1"], name="fc1", transB=1))
        nodes.append(helper.make_node("Relu", ["fc1"], ["relu"], name="relu"))
        b, w2 = pair("fc2.input_quantizer", "relu", self.scales[1], dtype), weigh("fc2", self.second)
        nodes.append(helper.make_node("Gemm", [b, w2], ["logits"], name="fc2", transB=1))
        return model(nodes, stored)

    def pytorch(self, x):
        """What PyTorch's fake-quant model records: values at the two quantizers, and logits."""
        a = self._fake(x, self.scales[0])
        b = self._fake(np.maximum(a @ self._weight(self.first).T, 0), self.scales[1])
        return {"fc1.input_quantizer": a, "fc2.input_quantizer": b}, b @ self._weight(self.second).T

    @staticmethod
    def _weight(weight):
        codes, scale = weight_codes(weight)
        return codes * scale[:, None]

    @staticmethod
    def _fake(x, scale):
        return (np.clip(np.rint(x / np.float32(scale)), -127, 127) * np.float32(scale)).astype(np.float32)


def digits():
    x, y = _digits()
    return x.copy(), y.copy()


@cache
def _digits():
    """Read once, which takes 50 ms, and without scikit-learn itself, which takes a second to import."""
    rows = np.loadtxt(Path(find_spec("sklearn").origin).parent / "datasets/data/digits.csv.gz", delimiter=",")
    return (rows[:, :-1] / 16).astype(np.float32), rows[:, -1].astype(np.int64)


@pytest.fixture(scope="session")
def network() -> Network:
    """Trained by least squares on random features: right about nine times in ten."""
    x, y = digits()
    first = (np.random.default_rng(0).standard_normal((96, 64)) / 4).astype(np.float32)
    hidden = np.maximum(x @ first.T, 0)
    second = np.linalg.lstsq(hidden, np.eye(10)[y], rcond=None)[0].T.astype(np.float32)
    return Network(first, second, (1 / 127, float(hidden.max()) / 127))


def write_bundle(folder: Path, network: Network, reference=40, evaluation=150, layers=4) -> Path:
    folder.mkdir(parents=True)
    x, y = digits()
    onnx.save(network.onnx(), str(folder / bundles.MODEL))
    tensors, logits = network.pytorch(x[:layers])
    recorded = {f"tensors/{name}": value for name, value in tensors.items()} | {"outputs/logits": logits}
    files.save_npz(folder / bundles.LAYERS, recorded)
    answers = network.pytorch(x[:reference])[1]
    files.save_npz(folder / bundles.REFERENCE, {"inputs/x": x[:reference], "outputs/logits": answers})
    files.save_npz(folder / bundles.EVAL, {"inputs/x": x[:evaluation], "targets": y[:evaluation]})
    right = float(np.mean(network.pytorch(x[:evaluation])[1].argmax(1) == y[:evaluation]))
    names = [bundles.MODEL, bundles.LAYERS, bundles.REFERENCE, bundles.EVAL]
    manifest = Manifest(
        name="digits", files=files.hashes(folder, names),
        inputs=[Tensor(name="x", dtype="float32", shape=["batch", 64])],
        outputs=[Tensor(name="logits", dtype="float32", shape=["batch", 10])],
        layers=[], ranges=[], metric="accuracy", metrics={"dense": {"accuracy": right}}, eval_metric=right,
        noise_floor=Agreement(predictions=1.0, snr_db=60.0, samples=reference), versions={},
    )
    files.write_json(folder / bundles.MANIFEST, manifest.model_dump(mode="json"))
    return folder


def write_engine(folder: Path, bundle: Path, network: Network, graph: onnx.ModelProto | None = None) -> Path:
    folder.mkdir(parents=True)
    onnx.save(graph or network.onnx(), str(folder / "engine.onnx"))
    onnx.save(network.onnx(quantized=False), str(folder / "fp32.onnx"))
    names = ["engine.onnx", "fp32.onnx"]
    record = EngineRecord(
        backend="onnxruntime", device="cpu", name="digits", bundle="../../bundle",
        bundle_digest=bundles.read(bundle).digest, options=OnnxRuntimeConfig(threads=1), engine="engine.onnx",
        baseline="fp32.onnx", files=files.hashes(folder, names),
        sizes={name: (folder / name).stat().st_size for name in names}, machine={}, layers=[], notes=[],
    )
    files.write_json(folder / ENGINE, record.model_dump(mode="json"))
    return folder


@pytest.fixture
def bundle(tmp_path, network) -> Path:
    return write_bundle(tmp_path / "bundle", network)


@pytest.fixture
def engine(tmp_path, bundle, network) -> Path:
    return write_engine(tmp_path / "engines" / "onnxruntime-cpu", bundle, network)
