"""INetworkDefinition, ITensor and ILayer over the ONNX graph that a parser read."""

from __future__ import annotations

from typing import Any

from . import checked
from .checked import Checked
from .graph import Graph, Tensor

real = checked.REAL
KINDS = {"Conv": "CONVOLUTION", "ConvTranspose": "DECONVOLUTION", "Gemm": "MATRIX_MULTIPLY",
         "MatMul": "MATRIX_MULTIPLY", "Relu": "ACTIVATION", "Sigmoid": "ACTIVATION",
         "Add": "ELEMENTWISE", "Mul": "ELEMENTWISE",
         "QuantizeLinear": "QUANTIZE", "DequantizeLinear": "DEQUANTIZE", "Cast": "CAST", "MaxPool": "POOLING",
         "AveragePool": "POOLING", "GlobalAveragePool": "REDUCE", "ReduceMean": "REDUCE", "Concat": "CONCATENATION",
         "Softmax": "SOFTMAX", "Resize": "RESIZE", "Constant": "CONSTANT", "LayerNormalization": "NORMALIZATION"}


class ITensor(Checked, of=real.ITensor):
    """A tensor of the network."""

    def _setup(self, one: Tensor, role: str) -> None:
        self._one, self._role = one, role
        object.__setattr__(self, "name", one.name)

    @property
    def dtype(self) -> Any:
        return getattr(real.DataType, self._one.type)

    @dtype.setter
    def dtype(self, value: Any) -> None:
        raise checked.NotDoubled("types come from the graph: a strongly typed network ignores this")

    @property
    def shape(self) -> Any:
        return real.Dims(list(self._one.shape))

    @property
    def is_network_input(self) -> bool:
        return self._role == "input"

    @property
    def is_network_output(self) -> bool:
        return self._role == "output"

    @property
    def is_shape_tensor(self) -> bool:
        return False

    @property
    def is_execution_tensor(self) -> bool:
        return True


class ILayer(Checked, of=real.ILayer):
    """A layer of the network: one ONNX node."""

    def _setup(self, network: Any, node: Any) -> None:
        self._network, self._node = network, node
        object.__setattr__(self, "name", node.name or node.output[0])
        object.__setattr__(self, "metadata", f"[ONNX Layer: {node.name or node.output[0]}]")

    @property
    def type(self) -> Any:
        return getattr(real.LayerType, KINDS.get(self._node.op_type, "IDENTITY"))

    @property
    def num_inputs(self) -> int:
        return len(self._node.input)

    @property
    def num_outputs(self) -> int:
        return len(self._node.output)

    def get_input(self, index: int) -> Any:
        return self._network._tensor(self._node.input[index]) if 0 <= index < len(self._node.input) else None

    def get_output(self, index: int) -> Any:
        return self._network._tensor(self._node.output[index]) if 0 <= index < len(self._node.output) else None


class INetworkDefinition(Checked, of=real.INetworkDefinition):
    """Empty until a parser fills it."""

    def _setup(self, builder: Any, flags: int) -> None:
        known = sum(1 << int(flag) for flag in real.NetworkDefinitionCreationFlag.__members__.values())
        if flags & ~known:
            raise ValueError(f"network flags {flags:#x} have bits that this release doesn't know ({known:#x})")
        self._builder, self._flags, self._model, self._graph = builder, int(flags), b"", None
        self._debug: set[str] = set()
        self._unfused, self._cached = False, {}
        object.__setattr__(self, "name", "Unnamed Network 0")
        object.__setattr__(self, "error_recorder", None)

    def _fill(self, model: bytes, graph: Graph) -> None:
        self._model, self._graph = model, graph

    def _tensor(self, name: str) -> Any:
        if name not in self._cached:
            inputs = {one.name for one in self._inputs}
            outputs = {one.name for one in self._outputs}
            one = self._graph.tensors.get(name) or Tensor(name, "FLOAT", ())
            role = "input" if name in inputs else "output" if name in outputs else "between"
            self._cached[name] = ITensor._make(one, role)
        return self._cached[name]

    @property
    def _inputs(self) -> list[Tensor]:
        return self._graph.inputs if self._graph else []

    @property
    def _outputs(self) -> list[Tensor]:
        return self._graph.outputs if self._graph else []

    @property
    def _nodes(self) -> list[Any]:
        return list(self._graph.model.graph.node) if self._graph else []

    @property
    def builder(self) -> Any:
        return self._builder

    @property
    def flags(self) -> int:
        return self._flags

    @property
    def num_inputs(self) -> int:
        return len(self._inputs)

    @property
    def num_outputs(self) -> int:
        return len(self._outputs)

    @property
    def num_layers(self) -> int:
        return len(self._nodes)

    @property
    def has_implicit_batch_dimension(self) -> bool:
        return False

    def get_flag(self, flag: Any) -> bool:
        return bool(self._flags >> int(flag) & 1)

    def get_input(self, index: int) -> Any:
        return self._tensor(self._inputs[index].name) if 0 <= index < len(self._inputs) else None

    def get_output(self, index: int) -> Any:
        return self._tensor(self._outputs[index].name) if 0 <= index < len(self._outputs) else None

    def get_layer(self, index: int) -> Any:
        return ILayer._make(self, self._nodes[index]) if 0 <= index < len(self._nodes) else None

    def __len__(self) -> int:
        return self.num_layers

    def __getitem__(self, index: int) -> Any:
        if not 0 <= index < len(self._nodes):
            raise IndexError(index)
        return self.get_layer(index)

    def mark_debug(self, tensor: Any) -> bool:
        self._debug.add(tensor.name)
        return True

    def unmark_debug(self, tensor: Any) -> bool:
        self._debug.discard(tensor.name)
        return True

    def is_debug_tensor(self, tensor: Any) -> bool:
        return tensor.name in self._debug

    def mark_unfused_tensors_as_debug_tensors(self) -> bool:
        self._unfused = True
        return True

    def unmark_unfused_tensors_as_debug_tensors(self) -> bool:
        self._unfused = False
        return True
