"""2:4 sparse beside dense matrix products, through PyTorch's cuSPARSELt: where does sparsity begin to pay?

A weight of shape (out, in) meets tokens of shape (tokens, in), padded to a multiple of 16. The shapes are those of the
layers of DeiT-S, DeiT-B and ResNet-50. A 3x3 convolution is taken as the product that it would be after unfolding its
input, which a real kernel does on the way: a hint, not that layer's time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from twofour.engines.cuda.stopwatch import Timed, Work, interleaved
from twofour.engines.cuda.stream import Stream
from twofour.engines.intervals import interval, verdict

ARMS = ("fp16-dense", "fp16-sparse", "int8-dense", "int8-sparse", "int8-sparse-scaled")
PAIRS = (("fp16-sparse", "fp16-dense"), ("int8-sparse", "int8-dense"), ("int8-sparse-scaled", "int8-dense"))
SECONDS, RUNS, WARMUP = 0.04, 40, 0.01


@dataclass(frozen=True)
class Shape:
    """One product: (tokens, inside) by (inside, out)."""

    layer: str
    tokens: int
    inside: int
    out: int


def shapes() -> Iterator[Shape]:
    """The grid, smallest first within each network."""
    for name, width in (("DeiT-S", 384), ("DeiT-B", 768)):
        sizes = {"qkv": (width, 3 * width), "proj": (width, width), "fc1": (width, 4 * width)}
        sizes["fc2"] = (4 * width, width)
        for batch in (1, 8, 64):
            for layer, (inside, out) in sizes.items():
                yield Shape(f"{name} {layer}, batch {batch}", padded(197 * batch), inside, out)
    for batch in (1, 8, 64):
        for layer, side, inside, out in _RESNET50:
            yield Shape(f"ResNet-50 {layer}, batch {batch}", padded(batch * side * side), inside, out)
    for size in (4096, 8192):
        yield Shape(f"square {size}", size, size, size)


_RESNET50 = (
    ("stage 1, 1x1 up", 56, 64, 256), ("stage 2, 1x1 up", 28, 128, 512), ("stage 3, 1x1 up", 14, 256, 1024),
    ("stage 4, 1x1 up", 7, 512, 2048), ("stage 2, 3x3 unfolded", 28, 9 * 128, 128),
    ("stage 3, 3x3 unfolded", 14, 9 * 256, 256), ("stage 4, 3x3 unfolded", 7, 9 * 512, 512),
)


def padded(tokens: int) -> int:
    """The next multiple of 16, which the INT8 kernels ask for; never below 32, cuBLAS's least for INT8."""
    return max(32, -(-tokens // 16) * 16)


def two_four(rows: int, columns: int, generator: torch.Generator) -> torch.Tensor:
    """Random INT8 codes, (rows, columns) on the CPU, with two zeros at random places in each group of four."""
    codes = torch.randint(1, 128, (rows, columns), generator=generator, dtype=torch.int8)
    codes *= torch.randint(0, 2, (rows, columns), generator=generator, dtype=torch.int8) * 2 - 1
    order = torch.rand(rows, columns // 4, 4, generator=generator).argsort(-1)
    return codes * (order < 2).reshape(rows, columns).to(torch.int8)


def measure(shape: Shape) -> dict[str, Any]:
    """Check one shape for exact integers and time its arms by turns, by CUDA graph and by plain calls."""
    products, exact = _products(shape)
    row: dict[str, Any] = {"layer": shape.layer, "tokens": shape.tokens, "in": shape.inside, "out": shape.out,
                           "exact": exact, "graph": {}, "eager": {}}
    for mode, graph in (("graph", True), ("eager", False)):
        works = {arm: Work(enqueue=_on(product)) for arm, product in products.items()}
        timed = interleaved(works, seconds=SECONDS, runs=RUNS, warmup=WARMUP, graph=graph, spin=True, streams=1,
                            on_progress=lambda _share: None)
        row[mode] = {arm: _figures(one) for arm, one in timed.items()}
        row[f"{mode}_speedup"] = {f"{fast} / {slow}": _ratio(timed[fast], timed[slow]) for fast, slow in PAIRS}
    return row


def _products(shape: Shape) -> tuple[dict[str, Callable[[], torch.Tensor]], bool]:
    generator = torch.Generator().manual_seed(24)
    weight = two_four(shape.out, shape.inside, generator).cuda()
    tokens = torch.randint(-127, 128, (shape.tokens, shape.inside), generator=generator, dtype=torch.int8).cuda()
    half_weight, half_tokens = weight.half() / 127, tokens.half() / 127
    packed, half_packed = torch._cslt_compress(weight), torch._cslt_compress(half_weight)
    across, half_across = tokens.t(), half_tokens.t()
    scale = torch.rand(shape.out, generator=generator).cuda() / 127
    whole = _searched(packed, across, out_dtype=torch.int32)
    scaled = _searched(packed, across, alpha=scale, out_dtype=torch.bfloat16)
    half = _searched(half_packed, half_across)
    exact = bool(torch.equal(whole(), torch._int_mm(weight, across)))
    return {
        "fp16-dense": lambda: torch.mm(half_weight, half_across), "fp16-sparse": half,
        "int8-dense": lambda: torch._int_mm(weight, across), "int8-sparse": whole, "int8-sparse-scaled": scaled,
    }, exact


def _searched(packed: torch.Tensor, dense: torch.Tensor, **options: Any) -> Callable[[], torch.Tensor]:
    """The sparse product with the algorithm that cuSPARSELt's search finds fastest for this shape."""
    algorithm = torch._cslt_sparse_mm_search(packed, dense, **options)
    return lambda: torch._cslt_sparse_mm(packed, dense, alg_id=algorithm, **options)


def _on(product: Callable[[], torch.Tensor]) -> Callable[[Stream], None]:
    def enqueue(stream: Stream) -> None:
        with torch.cuda.stream(torch.cuda.ExternalStream(stream.handle)):
            product()

    return enqueue


def _figures(timed: Timed) -> dict[str, Any]:
    low, middle, high = (float(value) for value in np.quantile(np.concatenate(timed.compute), (0.25, 0.5, 0.75)))
    return {"ms": middle, "spread": (high - low) / middle, "runs": timed.runs, "graph": timed.graph,
            "fallback": timed.fallback}


def _ratio(fast: Timed, slow: Timed) -> dict[str, Any]:
    rounds = np.array([np.median(b) / np.median(a) for a, b in zip(fast.compute, slow.compute, strict=True)])
    low, high = interval(rounds)
    return {"speedup": float(np.median(rounds)), "low": low, "high": high, "verdict": verdict(low, high)}


def crossover(rows: list[dict[str, Any]], pair: str, mode: str = "graph") -> dict[str, Any] | None:
    """The shape with the fewest multiplications at which `pair` is faster, and stays so for every larger one."""
    ordered = sorted(rows, key=lambda row: row["tokens"] * row["in"] * row["out"])
    found = None
    for row in reversed(ordered):
        if row[f"{mode}_speedup"][pair]["verdict"] != "faster":
            break
        found = row
    return None if found is None else {key: found[key] for key in ("layer", "tokens", "in", "out")}


__all__ = ["ARMS", "PAIRS", "Shape", "crossover", "measure", "padded", "shapes", "two_four"]
