"""OnnxParser and ParserError: takes what onnx-tensorrt takes, as far as it is known, and refuses the rest by node."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

from . import callbacks, checked
from .checked import Checked
from .graph import Graph
from .state import STATE

real = checked.REAL
UNSUPPORTED = ("QLinearConv", "QLinearMatMul", "ConvInteger", "MatMulInteger", "DynamicQuantizeLinear")


class ParserError(Checked, of=real.ParserError):
    """One error; its attributes are methods, as in truth."""

    def _setup(self, **given: Any) -> None:
        self._given = {"code": "INVALID_NODE", "desc": "", "file": "ImporterContext.cpp", "line": 1,
                       "func": "parseNode", "node": -1, "node_name": "", "node_operator": "",
                       "local_function_stack": [], **given}

    def code(self) -> Any:
        return getattr(real.ErrorCode, self._given["code"])

    def local_function_stack_size(self) -> int:
        return len(self._given["local_function_stack"])

    def __str__(self) -> str:
        return f"In node {self.node()} with name: {self.node_name()} and operator: {self.node_operator()} " \
               f"({self.func()}): {self._given['code']}: {self.desc()}"


def _plain(key: str) -> Any:
    def get(self: Any) -> Any:
        return self._given[key]

    return get


for _key in ("desc", "file", "line", "func", "node", "node_name", "node_operator", "local_function_stack"):
    setattr(ParserError, _key, _plain(_key))


class OnnxParser(Checked, of=real.OnnxParser):
    """Keeps the ONNX; its errors name the node."""

    def _setup(self, network: Any, logger: Any) -> None:
        self._network, self._logger = network, callbacks.attach("ILogger", logger)
        self._errors: list[Any] = []
        self._flags = {"NATIVE_INSTANCENORM"} & set(real.OnnxParserFlag.__members__)

    def set_flag(self, flag: Any) -> None:
        self._flags.add(flag.name)

    def clear_flag(self, flag: Any) -> None:
        self._flags.discard(flag.name)

    def get_flag(self, flag: Any) -> bool:
        return flag.name in self._flags

    @property
    def flags(self) -> int:
        return sum(1 << int(getattr(real.OnnxParserFlag, name)) for name in self._flags)

    @flags.setter
    def flags(self, value: int) -> None:
        self._flags = {name for name, flag in real.OnnxParserFlag.__members__.items() if value >> int(flag) & 1}

    def set_builder_config(self, builder_config: Any) -> bool:
        self._config = builder_config
        return True

    def parse(self, model: Any, path: str | None = None) -> bool:
        raw = memoryview(model).tobytes()
        STATE.parsed.append(raw)
        try:
            loaded = onnx.load_from_string(raw)
        except Exception as error:  # protobuf's own
            return self._fail({"code": "MODEL_DESERIALIZE_FAILED", "desc": f"Failed to parse the ONNX model: {error}"})
        return self._take(loaded, Path(path).parent if path else None)

    def parse_from_file(self, model: str) -> bool:
        if not Path(model).is_file():
            return self._fail({"code": "MODEL_DESERIALIZE_FAILED", "desc": f"Failed to open file: {model}"})
        return self.parse(Path(model).read_bytes(), model)

    def _take(self, model: onnx.ModelProto, folder: Path | None) -> bool:
        outside = [one for one in model.graph.initializer if one.data_location == onnx.TensorProto.EXTERNAL]
        if outside and (folder is None or not _load(model, folder)):
            return self._fail({"code": "MODEL_DESERIALIZE_FAILED", "desc": f"Failed to import initializer "
                               f"{outside[0].name}: its external data can't be found without the model's path"})
        refused = [*STATE.parse_errors, *_refusals(model)]
        if refused:
            return self._fail(*refused)
        self._network._fill(model.SerializeToString(), Graph(model))
        return True

    def _fail(self, *errors: dict[str, Any]) -> bool:
        for one in errors:
            self._errors.append(ParserError._make(**one))
            callbacks.log(self._logger, "ERROR", f"ModelImporter.cpp: {self._errors[-1]}")
        return False

    def clear_errors(self) -> None:
        self._errors.clear()

    @property
    def num_errors(self) -> int:
        return len(self._errors)

    def get_error(self, index: int) -> Any:
        return self._errors[index] if 0 <= index < len(self._errors) else None

    def supports_operator(self, op_name: str) -> bool:
        return op_name not in UNSUPPORTED and any(schema.name == op_name for schema in onnx.defs.get_all_schemas())


def _load(model: onnx.ModelProto, folder: Path) -> bool:
    try:
        onnx.external_data_helper.load_external_data_for_model(model, str(folder))
    except Exception:
        return False
    return True


def _refusals(model: onnx.ModelProto) -> list[dict[str, Any]]:
    """The first node that the parser would refuse, if there is one; then whatever ONNX's own checker finds."""
    stored = {one.name: one for one in model.graph.initializer}
    for index, node in enumerate(model.graph.node):
        found = _refusal(node, stored)
        if found:
            return [{"node": index, "node_name": node.name, "node_operator": node.op_type, **found}]
    try:
        onnx.checker.check_model(model, full_check=True)
    except Exception as error:
        return [{"code": "INVALID_GRAPH", "desc": str(error)}]
    return []


def _refusal(node: onnx.NodeProto, stored: dict[str, Any]) -> dict[str, Any] | None:
    if node.op_type in UNSUPPORTED:
        return {"code": "UNSUPPORTED_NODE", "desc": f"No importer registered for op: {node.op_type}"}
    if node.op_type not in ("QuantizeLinear", "DequantizeLinear"):
        return None
    scale = _value(stored, node.input[1])
    if scale is None:
        return {"code": "INVALID_NODE", "desc": "the scale must be an initializer"}
    if not (scale > 0).all():
        return {"code": "INVALID_NODE", "desc": "Assertion failed: Scale coefficients must all be positive"}
    if len(node.input) < 3 or not node.input[2]:
        return None
    zero = stored.get(node.input[2])
    if zero is not None and zero.data_type == onnx.TensorProto.UINT8:
        return {"code": "UNSUPPORTED_NODE_DATATYPE", "desc": "TensorRT doesn't support UINT8 zero points"}
    values = _value(stored, node.input[2])
    if values is None or (values != 0).any():
        return {"code": "INVALID_NODE", "desc": "Assertion failed: TensorRT only supports symmetric quantization. "
                                                "The zero point must be all zeros"}
    return None


def _value(stored: dict[str, Any], name: str) -> np.ndarray | None:
    return numpy_helper.to_array(stored[name]).astype(np.float64) if name in stored else None
