"""The 2:4 check beside Polygraphy's `inspect sparsity`: the same files, one after the other, in one run.

A stack of Linear layers (MatMul), all 2:4, in two forms: FP32 weights, and INT8 codes behind a DequantizeLinear.
Polygraphy looks at one group of four at a time and passes over INT8 codes, so the two are compared on FP32: several
times on a small file, and once on a large one, where Polygraphy is stopped when patience ends. A time is that of a
process of its own, from its start to its end; the part of it that reads and judges is given beside it. The two are
compared by processor time, which other work on the machine doesn't stretch.

    python benchmarks/two_four_check.py [--small 5] [--large 500] [--patience 3600] [--out FILE]
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from twofour.common import console, files, machine

ROWS, ROUNDS = 1024, 3
TYPES = {"fp32": (TensorProto.FLOAT, np.float32), "int8": (TensorProto.INT8, np.int8)}
PEER = "import sys; from polygraphy.tools import main; sys.exit(main())"
OURS = """
import json, sys
from pathlib import Path
from twofour.common.measure import measured
from twofour.export.graph.two_four import check_file
with measured() as cost:
    found = check_file(Path(sys.argv[1]))
print(json.dumps({"layers": len(found), "two_four": sum(layer.two_four for layer in found),
                  "seconds": cost.seconds, "peak_memory_bytes": cost.peak_memory_bytes}))
"""


def make(path: Path, form: str, millions: float, layers: int = 5) -> None:
    """Write a file with that many million weights; its data lie beside it."""
    kind, dtype = TYPES[form]
    columns = int(millions * 1e6 / layers / ROWS) // 4 * 4
    random = np.random.default_rng(24)
    nodes, constants = [], [onnx.numpy_helper.from_array(np.float32(0.01), "scale")]
    with path.with_suffix(".data").open("wb") as data:
        for index in range(layers):
            constants.append(_external(f"w{index}", kind, (ROWS, columns), path.with_suffix(".data").name, data.tell(),
                                       ROWS * columns * np.dtype(dtype).itemsize))
            for _ in range(0, ROWS, 4):
                data.write(_sparse(random, columns, dtype).tobytes())
            operand = f"w{index}"
            if form == "int8":
                nodes.append(helper.make_node("DequantizeLinear", [operand, "scale"], [f"d{index}"]))
                operand = f"d{index}"
            nodes.append(helper.make_node("MatMul", ["x", operand], [f"y{index}"], f"layer{index}"))
    outputs = [helper.make_tensor_value_info(f"y{index}", TensorProto.FLOAT, ["batch", columns])
               for index in range(layers)]
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", ROWS])]
    graph = helper.make_graph(nodes, "stack", inputs, outputs, constants)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10), str(path))


def _sparse(random: np.random.Generator, columns: int, dtype: type) -> np.ndarray[Any, Any]:
    """Four rows with two numbers in each column."""
    four = random.integers(1, 128, (4, columns), np.int8)
    first = random.integers(0, 4, columns)
    for zero in (first, (first + random.integers(1, 4, columns)) % 4):
        four[zero, np.arange(columns)] = 0
    return four.astype(dtype)


def _external(name: str, kind: int, dims: tuple[int, ...], location: str, offset: int, length: int) -> Any:
    tensor = onnx.TensorProto(name=name, data_type=kind, dims=dims, data_location=TensorProto.EXTERNAL)
    for key, value in (("location", location), ("offset", offset), ("length", length)):
        tensor.external_data.add(key=key, value=str(value))
    return tensor


def ours(path: Path) -> dict[str, Any]:
    """Our check in a process of its own."""
    start, before = time.perf_counter(), processor()
    done = subprocess.run([sys.executable, "-c", OURS, str(path)], check=True, capture_output=True, text=True)
    return {"process_seconds": time.perf_counter() - start, "cpu_seconds": processor() - before,
            **json.loads(done.stdout)}


def processor() -> float:
    """Processor time of all processes that were started here and have ended, in seconds."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def polygraphy(path: Path, patience: float) -> dict[str, Any]:
    """Polygraphy's in a process of its own, `patience` seconds at most; how many weights it took for sparse."""
    command = [sys.executable, "-c", PEER, "inspect", "sparsity", str(path)]
    start, before = time.perf_counter(), processor()
    try:
        done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=patience)
    except subprocess.TimeoutExpired:
        return {"process_seconds": time.perf_counter() - start, "cpu_seconds": processor() - before, "stopped": True}
    seconds, cpu = time.perf_counter() - start, processor() - before
    said = done.stdout + done.stderr
    return {"process_seconds": seconds, "cpu_seconds": cpu, "two_four": said.count("Found sparse tensor"),
            "eligible": said.count("Found sparse tensor") + said.count("Found non-sparse tensor")}


def main() -> None:
    """Make the files in a temporary folder, time both, write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--small", type=float, default=5, help="millions of weights of the file that is read often")
    parser.add_argument("--large", type=float, default=500, help="of the file that Polygraphy reads once, likewise")
    parser.add_argument("--patience", type=float, default=3600, help="seconds until Polygraphy is stopped")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "two_four_check.json")
    given = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for millions in (given.small, given.large):
            for form in TYPES:
                path = Path(folder) / f"{form}.onnx"
                make(path, form, millions)
                rows.append(_row(path, form, millions, ROUNDS if millions == given.small else 1, given.patience))
                console.say(json.dumps(rows[-1]))
    found = machine.describe()
    found["versions"] |= machine.versions(("polygraphy", "onnx-ir"))
    files.write_json(given.out, {"machine": found, "rows": rows})


def _row(path: Path, form: str, millions: float, rounds: int, patience: float) -> dict[str, Any]:
    size = path.with_suffix(".data").stat().st_size
    runs = [ours(path) for _ in range(ROUNDS)]
    peers = [polygraphy(path, patience) for _ in range(rounds)]
    best, peer = (min(found, key=lambda run: run["process_seconds"]) for found in (runs, peers))
    return {"form": form, "millions": millions, "file_bytes": size, "twofour": best, "polygraphy": peer}


if __name__ == "__main__":
    main()
