"""Mutated ONNX files, one after the other, in a process with little memory and a watchdog.

    python fuzz_worker.py FOLDER SEED COUNT

Prints a line for each answer that is neither a result nor a TwofourError; exits with 1 if there was any.
"""

from __future__ import annotations

import os
import random
import resource
import signal
import sys
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from twofour.common.errors import TwofourError
from twofour.engines.inspect import inspect
from twofour.engines.samples import random_inputs

SECONDS, BYTES = 10, 6 << 30
HUGE = (-(2**63), -1, 0, 1, 3, 2**31, 2**40, 2**62, 2**63 - 1)
TEXT = ("", "x", "w", "y", "../x", "\0", "é" * 300, "Conv", "Identity", "If", "Quantizer", "ai.onnx.ml")


def seeds(folder: Path) -> list[bytes]:
    """Small sound models, with what a weight can go through."""
    rng = np.random.default_rng(0)
    names = {"w": rng.normal(size=(8, 4, 3, 3)).astype(np.float32), "s": np.full(8, 0.1, np.float32),
             "z": np.zeros(8, np.int8), "xs": np.float32(0.1), "xz": np.int8(0), "b": np.ones(8, np.float32),
             "codes": rng.integers(-9, 9, (4, 32), np.int8), "half": np.ones((32, 4), np.float16),
             "shape": np.array([-1, 32], np.int64)}
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "xs", "xz"], ["xq"], "xq"),
        helper.make_node("DequantizeLinear", ["xq", "xs", "xz"], ["xd"], "xd"),
        helper.make_node("QuantizeLinear", ["w", "s", "z"], ["wq"], "wq", axis=0),
        helper.make_node("DequantizeLinear", ["wq", "s", "z"], ["wd"], "wd", axis=0),
        helper.make_node("Conv", ["xd", "wd", "b"], ["c"], "conv", pads=[1, 1, 1, 1], group=1),
        helper.make_node("Relu", ["c"], ["r"], "relu"),
        helper.make_node("GlobalAveragePool", ["r"], ["p"], "pool"),
        helper.make_node("Concat", ["p", "p", "p", "p"], ["k"], "concat", axis=1),
        helper.make_node("Reshape", ["k", "shape"], ["f"], "flat"),
        helper.make_node("DequantizeLinear", ["codes", "xs"], ["cd"], "cd"),
        helper.make_node("Transpose", ["cd"], ["ct"], "turn", perm=[1, 0]),
        helper.make_node("MatMul", ["f", "ct"], ["m"], "mm"),
        helper.make_node("Cast", ["half"], ["hf"], "cast", to=TensorProto.FLOAT),
        helper.make_node("Gemm", ["f", "hf", "m"], ["g"], "gemm", alpha=1.0),
        helper.make_node("ReduceSum", ["g"], ["sum"], "sum", keepdims=0),
        helper.make_node("Greater", ["sum", "xs"], ["cond"], "gt"),
    ]
    branch = helper.make_graph([helper.make_node("MatMul", ["f", "hf"], ["o"], "inner")], "branch", [],
                               [helper.make_tensor_value_info("o", 1, None)])
    nodes.append(helper.make_node("If", ["cond"], ["y"], "if", then_branch=branch, else_branch=branch))
    graph = helper.make_graph(nodes, "g", [helper.make_tensor_value_info("x", 1, ["batch", 4, 8, 8])],
                              [helper.make_tensor_value_info("y", 1, ["batch", 4])],
                              [numpy_helper.from_array(array, name) for name, array in names.items()])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    onnx.checker.check_model(model)
    outside = onnx.ModelProto()
    outside.CopyFrom(model)
    onnx.save(outside, str(folder / "seed.onnx"), save_as_external_data=True, location="model.data", size_threshold=64)
    return [model.SerializeToString(), (folder / "seed.onnx").read_bytes()]


def flipped(content: bytes, chance: random.Random, _others: list[bytes]) -> bytes:
    """Some bits turned."""
    damaged = bytearray(content)
    for _ in range(chance.choice((1, 1, 2, 8, 40))):
        damaged[chance.randrange(len(damaged))] ^= 1 << chance.randrange(8)
    return bytes(damaged)


def cut(content: bytes, chance: random.Random, _others: list[bytes]) -> bytes:
    """The beginning, or without a piece in the middle."""
    first, second = sorted(chance.randrange(len(content)) for _ in range(2))
    return content[:first] if chance.random() < 0.3 else content[:first] + content[second:]


def spliced(content: bytes, chance: random.Random, others: list[bytes]) -> bytes:
    """A piece of another model, or of this one, somewhere else."""
    other, place = chance.choice(others), chance.randrange(len(content))
    start = chance.randrange(len(other))
    return content[:place] + other[start : start + chance.randrange(1, 200)] + content[place:]


def rewritten(content: bytes, chance: random.Random, _others: list[bytes]) -> bytes:
    """Fields of the protobuf changed to other valid values."""
    model = onnx.ModelProto()
    model.ParseFromString(content)
    for _ in range(chance.choice((1, 1, 1, 2, 4))):
        chance.choice((_tensor, _tensor, _node, _node, _attribute, _value, _model, _external))(model, chance)
    return bytes(model.SerializeToString())


def _tensor(model: onnx.ModelProto, chance: random.Random) -> None:
    tensor = chance.choice(model.graph.initializer)
    kind = chance.randrange(6)
    if kind == 0 and tensor.dims:
        tensor.dims[chance.randrange(len(tensor.dims))] = chance.choice(HUGE)
    elif kind == 1:
        tensor.data_type = chance.randrange(0, 30)
    elif kind == 2:
        tensor.name = chance.choice((*TEXT, chance.choice(model.graph.initializer).name))
    elif kind == 3:
        tensor.raw_data = bytes(chance.randrange(256) for _ in range(len(tensor.raw_data)))
    elif kind == 4:
        tensor.dims.extend(chance.choice(((1,), (0,), (2, 2), (1,) * 70)))
    else:
        sizes = list(tensor.dims)
        chance.shuffle(sizes)
        tensor.dims[:] = sizes


def _node(model: onnx.ModelProto, chance: random.Random) -> None:
    node = chance.choice(model.graph.node)
    kind = chance.randrange(6)
    others = [chance.choice(model.graph.node) for _ in range(2)]
    if kind == 0:
        node.op_type = chance.choice((*TEXT, others[0].op_type))
    elif kind == 1 and node.input:
        node.input[chance.randrange(len(node.input))] = chance.choice(
            (*TEXT, *others[0].output, *others[1].input, chance.choice(model.graph.initializer).name))
    elif kind == 2:
        node.input.extend(chance.choice((others[0].input, others[0].output, [""])))
    elif kind == 3 and node.input:
        del node.input[-1]
    elif kind == 4:
        model.graph.node.append(others[0])
    else:
        node.domain = chance.choice(TEXT)


def _attribute(model: onnx.ModelProto, chance: random.Random) -> None:
    nodes = [node for node in model.graph.node if node.attribute]
    attribute = chance.choice(chance.choice(nodes).attribute)
    kind = chance.randrange(5)
    if kind == 0:
        attribute.i = chance.choice(HUGE)
    elif kind == 1 and attribute.ints:
        attribute.ints[chance.randrange(len(attribute.ints))] = chance.choice(HUGE)
    elif kind == 2:
        attribute.type = chance.randrange(0, 15)
    elif kind == 3:
        attribute.name = chance.choice(("axis", "group", "perm", "block_size", "to", "transB", "output_dtype", "axes"))
    else:
        chance.choice(model.graph.node).attribute.append(attribute)


def _value(model: onnx.ModelProto, chance: random.Random) -> None:
    value = chance.choice([*model.graph.input, *model.graph.output])
    kind = chance.randrange(4)
    if kind == 0 and value.type.tensor_type.shape.dim:
        chance.choice(value.type.tensor_type.shape.dim).dim_value = chance.choice(HUGE)
    elif kind == 1:
        value.type.tensor_type.elem_type = chance.randrange(0, 30)
    elif kind == 2:
        value.name = chance.choice((*TEXT, chance.choice(model.graph.node).output[0]))
    else:
        model.graph.input.append(chance.choice((value, model.graph.output[0] if model.graph.output else value)))


def _model(model: onnx.ModelProto, chance: random.Random) -> None:
    kind = chance.randrange(4)
    if kind == 0:
        model.opset_import[0].version = chance.choice((*HUGE, 7, 13, 19, 24))
    elif kind == 1:
        model.ir_version = chance.choice((0, 3, 13, 99))
    elif kind == 2:
        model.opset_import.add(domain=chance.choice(TEXT), version=chance.choice(HUGE))
    else:
        del model.graph.output[:]


def _external(model: onnx.ModelProto, chance: random.Random) -> None:
    entries = [entry for tensor in model.graph.initializer for entry in tensor.external_data]
    for entry in entries[: chance.randrange(1, 4)]:
        entry.value = chance.choice((*TEXT, *map(str, HUGE), "model.onnx", "/etc/passwd", "loop", "nowhere", "."))


MUTATIONS: tuple[Callable[[bytes, random.Random, list[bytes]], bytes], ...] = (
    flipped, cut, spliced, rewritten, rewritten, rewritten,
)


def cases(folder: Path, seed: int, count: int) -> Iterator[bytes]:
    """The mutated files."""
    chance, models = random.Random(seed), seeds(folder)
    for _ in range(count):
        content = chance.choice(models)
        yield chance.choice(MUTATIONS)(content, chance, models)


def examine(path: Path) -> None:
    """What `twofour inspect` and the start of `twofour profile` do with a file."""
    inspect(path)
    random_inputs(path, 1, {})


def watch(folder: Path) -> list[str]:
    """From now on note what is opened for writing, renamed, removed or made outside of `folder`."""
    outside: list[str] = []

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        writes = event in ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.truncate")
        if event == "open" and isinstance(arguments[2], int):
            writes = bool(arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)) and isinstance(arguments[0], str)
        target = str(arguments[0]) if writes else ""
        if writes and not target.startswith(("/dev/", "/proc/")) and folder not in Path(target).resolve().parents:
            outside.append(f"{event} {target}")

    sys.addaudithook(hook)
    return outside


def hang(_signal: int, _frame: object) -> None:
    """The watchdog."""
    raise TimeoutError(f"no answer within {SECONDS} s")


def main() -> int:
    """Run the cases; 1 where one was answered badly."""
    folder, seed, count = Path(sys.argv[1]).resolve(), int(sys.argv[2]), int(sys.argv[3])
    path, answers, bad = folder / "model.onnx", Counter[str](), 0
    (folder / "loop").symlink_to(folder / "loop")
    outside = watch(folder)
    resource.setrlimit(resource.RLIMIT_AS, (BYTES, BYTES))
    signal.signal(signal.SIGALRM, hang)
    for number, content in enumerate(cases(folder, seed, count)):
        path.write_bytes(content)
        signal.alarm(SECONDS)
        try:
            examine(path)
            answers["examined"] += 1
        except TwofourError as error:
            answers[f"refused, exit code {error.exit_code}"] += 1
        except BaseException as error:
            bad += 1
            (folder / f"case-{seed}-{number}.onnx").write_bytes(content)
            sys.stdout.write(f"case {seed}/{number}: {type(error).__name__}: {str(error)[:200]}\n")
            sys.stdout.writelines(traceback.format_tb(error.__traceback__)[-4:])
        finally:
            signal.alarm(0)
    sys.stdout.write(f"{dict(answers)}, written outside: {outside}\n")
    return int(bool(bad or outside or answers["refused, exit code 1"]))


if __name__ == "__main__":
    sys.exit(main())
