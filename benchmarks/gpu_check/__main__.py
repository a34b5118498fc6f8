"""Check on a GPU what can't be checked without one, in under ten minutes and without a network.

    scripts/gpu_check [--out FILE] [--seconds 570] [--work DIR]

Describes the machine and looks for TensorRT's native library; checks the CUDA layer with PyTorch's kernels; measures
2:4 sparse against dense matrix products through cuSPARSELt; runs the digits recipe on the GPU; and, where TensorRT is
installed, builds, proves, profiles and validates engines. What can't be done for want of a package is said in its
place, with the reason. One JSON with everything, and a table to read.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import table

from twofour.common import files
from twofour.common.errors import TwofourError


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("gpu_check.json"), help="where the JSON goes")
    parser.add_argument("--seconds", type=float, default=570, help="what all of it may take")
    parser.add_argument("--work", type=Path, help="folder for runs and engines; default: a temporary one")
    return parser.parse_args()


def main() -> int:
    """Run every part that the time allows."""
    asked = arguments()
    end = time.perf_counter() + asked.seconds
    try:
        import surroundings

        results: dict[str, Any] = {"machine": surroundings.describe()}
    except (TwofourError, ImportError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 4
    with tempfile.TemporaryDirectory() as temporary:
        for name, part in parts(asked.work or Path(temporary), end).items():
            start = time.perf_counter()
            sys.stderr.write(f"{name} ...\n")
            results[name] = safely(part)
            results[f"{name} seconds"] = round(time.perf_counter() - start, 1)
            files.write_text(asked.out, json.dumps(results, indent=1, default=str))  # what is done is kept
    sys.stdout.write(table.page(results))
    return 0


def parts(work: Path, end: float) -> dict[str, Callable[[], Any]]:
    """The parts in order; each is told what time is left when it begins."""
    return {
        "cuda layer": _layer,
        "gemm": lambda: _gemm(end - 300),
        "digits": lambda: _engines().train(work / "digits", end - time.perf_counter() - 150),
        "tensorrt": lambda: _tensorrt(work, end),
    }


def safely(part: Callable[[], Any]) -> Any:
    """What the part gives; or why it couldn't."""
    try:
        return part()
    except Exception as error:  # one part that fails must not take the others with it
        return {"not done": f"{type(error).__name__}: {error}", "traceback": traceback.format_exc()[-1500:]}


def _layer() -> Any:
    import layer

    return layer.check_all()


def _gemm(end: float) -> Any:
    import gemm

    rows = []
    for shape in gemm.shapes():
        if time.perf_counter() > end:
            return {"rows": rows, "stopped": f"no time was left before {shape.layer}"}
        rows.append(gemm.measure(shape))
    crossings = {mode: {pair: gemm.crossover(rows, pair, mode) for pair in map(" / ".join, gemm.PAIRS)}
                 for mode in ("graph", "eager")}
    return {"rows": rows, "crossover": crossings}


def _engines() -> Any:
    import engines

    return engines


def _tensorrt(work: Path, end: float) -> Any:
    engines = _engines()
    left = end - time.perf_counter()
    doctor = engines.twofour("doctor", "--json", limit=30)
    first = engines.twofour("build", str(work / "digits" / "bundle"), "--backend", "tensorrt", "--out",
                            str(work / "digits-engine"), "--json", limit=left / 3)
    if first["code"] != 0:
        return {"not done": first["error"], "doctor": doctor["output"]}
    found = {"doctor": doctor["output"], "digits": engines.judged(work / "digits-engine", left / 4)}
    shaped = engines.resnet50(work / "resnet50", (end - time.perf_counter()) / 2)
    if shaped["code"] == 0:
        variants = work / "variants"
        found["questions"] = engines.questions(work / "resnet50", variants, (end - time.perf_counter()) / 2)
        found["resnet50"] = engines.judged(variants / engines.USUAL.folder, end - time.perf_counter() - 10)
    return {**found, "resnet50 bundle": shaped}


if __name__ == "__main__":
    raise SystemExit(main())
