"""The readable form of what `scripts/gpu_check` found."""

from __future__ import annotations

from typing import Any

_COLUMNS = ("fp16-sparse / fp16-dense", "int8-sparse / int8-dense", "int8-sparse-scaled / int8-dense")


def page(results: dict[str, Any]) -> str:
    """The results as Markdown."""
    parts = [_machine(results["machine"]), _layer(results.get("cuda layer")), _gemm(results.get("gemm")),
             _digits(results.get("digits")), _tensorrt(results.get("tensorrt"))]
    return "\n\n".join(part for part in parts if part) + "\n"


def _machine(found: dict[str, Any]) -> str:
    gpu, packages = found["gpu"], ", ".join(f"{name} {version}" for name, version in found["packages"].items())
    major, minor = gpu["compute_capability"]
    native = ", ".join(found["libnvinfer"]) or "none"
    return (f"GPU: {gpu['name']}, compute capability {major}.{minor}, {gpu['memory_bytes'] / 2**30:.0f} GiB, CUDA "
            f"{found['torch_cuda']}, cuSPARSELt {found['cusparselt']}; {packages}. libnvinfer: {native}.")


def _layer(checks: Any) -> str:
    if not isinstance(checks, list):
        return _undone("CUDA layer", checks)
    rows = [[check["name"], "yes" if check["passed"] else "NO", check["detail"]] for check in checks]
    return "CUDA layer\n\n" + _table(["check", "passed", "detail"], rows)


def _gemm(found: Any) -> str:
    if not isinstance(found, dict) or "rows" not in found:
        return _undone("2:4 products", found)
    rows = [[row["layer"], f"{row['tokens']} x {row['in']} x {row['out']}", "yes" if row["exact"] else "NO",
             *(_times(row["graph_speedup"][pair]) for pair in _COLUMNS),
             *(_times(row["eager_speedup"][pair]) for pair in _COLUMNS[1:2])] for row in found["rows"]]
    heads = ["layer", "tokens x in x out", "exact", "FP16", "INT8", "INT8, scaled", "INT8 without graph"]
    lines = [f"{mode}, {pair}: from {at['layer']} ({at['tokens']} x {at['in']} x {at['out']}) on" if at else
             f"{mode}, {pair}: nowhere" for mode, pairs in found.get("crossover", {}).items()
             for pair, at in pairs.items()]
    stopped = f"\n\nStopped early: {found['stopped']}." if "stopped" in found else ""
    return ("2:4 sparse beside dense, times faster (95 % interval), by CUDA graph\n\n" + _table(heads, rows)
            + "\n\nWhere sparse begins to win for good:\n\n" + "\n".join(f"- {line}" for line in lines) + stopped)


def _times(ratio: dict[str, Any]) -> str:
    figure = "no difference" if ratio["verdict"] == "no difference" else f"{ratio['speedup']:.2f}"
    return f"{figure} ({ratio['low']:.2f} to {ratio['high']:.2f})"


def _digits(found: Any) -> str:
    if not isinstance(found, dict) or found.get("code") != 0:
        return _undone("digits recipe on the GPU", found)
    rows = [[name, f"{stage['seconds']:.1f}", f"{stage['metrics'].get('accuracy', float('nan')):.4f}"]
            for name, stage in found["stages"].items()]
    return f"Digits recipe on the GPU, {found['seconds']:.0f} s\n\n" + _table(["stage", "seconds", "accuracy"], rows)


def _tensorrt(found: Any) -> str:
    if not isinstance(found, dict) or "digits" not in found:
        return _undone("TensorRT", found)
    parts = [_judged(f"TensorRT, {name}", found.get(name)) for name in ("digits", "resnet50")]
    return "\n\n".join([*parts, _questions(found)])


def _judged(what: str, found: Any) -> str:
    """The profile and the validation of one engine."""
    if not isinstance(found, dict):
        return f"{what}: not done (no time was left)"
    profile, validation = found["profile"], found["validation"]
    if "ratios" not in profile:
        return _undone(f"{what}, profile", profile)
    rows = [[ratio["arm"], ratio["baseline"], str(ratio["batch"]), _times(ratio)] for ratio in profile["ratios"]]
    said = "; ".join(validation["findings"]) or "no finding" if "findings" in validation else \
        _undone("validation", validation)
    return f"{what}; validation: {said}\n\n" + _table(["arm", "against", "batch", "times as fast"], rows)


def _questions(found: dict[str, Any]) -> str:
    if "questions" not in found:
        return _undone("TensorRT, ResNet-50-shaped", found["resnet50 bundle"])
    rows = [[row["variant"], str(row.get("ran_sparse", "")), str(row.get("eligible", "")), str(row.get("unknown", "")),
             str(row.get("layers", "")), row["error"][-120:] if row["code"] != 0 else ""] for row in found["questions"]]
    wording = list(dict.fromkeys(line for row in found["questions"] for line in row.get("wording", [])))
    marks = sum(row.get("has_sparse_weights", 0) for row in found["questions"])
    return ("TensorRT, ResNet-50-shaped, ways to build\n\n"
            + _table(["build", "ran sparse", "eligible", "unknown", "of layers", "trouble"], rows)
            + f"\n\nHasSparseWeights is named {marks} times. The log on sparsity:\n\n"
            + "\n".join(f"- {line}" for line in wording[:8] or ["nothing"]))


def _undone(what: str, found: Any) -> str:
    reason = found.get("not done") or found.get("error") if isinstance(found, dict) else None
    return f"{what}: not done ({' '.join(str(reason or 'no time was left').split())})"


def _table(heads: list[str], rows: list[list[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(str(cell).replace("|", "/").replace("\n", " ") for cell in line) + " |"
                     for line in lines)


__all__ = ["page"]
