"""docs/results.md, from the raw results in benchmarks/results/; run it after a benchmark.

python benchmarks/tables.py
"""

from __future__ import annotations

import json
import math
import statistics
from pathlib import Path
from typing import Any

import sparsity_claims as claims
import training_claims

ROOT = Path(__file__).parent.parent
RESULTS, PAGE = ROOT / "benchmarks" / "results", ROOT / "docs" / "results.md"
STAGES = {
    "dense": "dense", "one_shot": "2:4, before retraining", "sparse": "2:4, retrained", "calibrate": "INT8, calibrated",
    "qat": "INT8, fine-tuned (QAT)", "engine": "engine (ONNX Runtime)",
}
JUDGED = ["policy", "Q/DQ pairs", "lint: errors, warnings", "will run sparse, may, won't"]
NETWORKS = {"deit_s": "DeiT-S", "resnet50": "ResNet-50"}
METHOD_HEADS = ["arm", "before retraining", "before fine-tuning", "accuracy", "seconds", "against dense for as long",
                "against retrained"]
HEAD = """# What was measured

Made by `python benchmarks/tables.py` from the raw results in `benchmarks/results/`. A speed-up is the median over
interleaved rounds, with its 95 % interval; where that holds 1 there is no difference.
"""


def machine(results: dict[str, Any]) -> str:
    found = results["machine"]
    versions = ", ".join(f"{name} {found['versions'][name]}" for name in ("onnxruntime", "torch"))
    instructions = ", ".join(found["int8_instructions"]) or "none listed"
    return f"Machine: {found['cpu']}, {found['cores']} cores, INT8 instructions {instructions}; {versions}."


def table(heads: list[str], rows: list[list[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def percent(values: list[float]) -> str:
    return f"{100 * statistics.mean(values):.2f} ({100 * min(values):.2f} to {100 * max(values):.2f})"


def digits(results: dict[str, Any]) -> str:
    recipes = sorted({row["recipe"] for row in results["rows"]})
    mine = {recipe: [row for row in results["rows"] if row["recipe"] == recipe] for recipe in recipes}
    rows = [[label, *(percent([row["accuracy"][key] for row in mine[name]]) for name in recipes)]
            for key, label in STAGES.items()]
    rows.append(["dense minus engine", *(percent([r["accuracy"]["dense"] - r["accuracy"]["engine"] for r in mine[name]])
                                         for name in recipes)])
    rows.append(["same prediction as PyTorch", *(percent([r["agreement"]["predictions"] for r in mine[name]])
                                                 for name in recipes)])
    count = len(mine[recipes[0]])
    return (
        f"## The demo recipes\n\n`python benchmarks/digits.py`: scikit-learn's digits, {count} seeds, per cent, mean "
        f"(least to most). One of the 360 validation samples is 0.28 points. {machine(results)}\n\n"
        + table(["stage", *recipes], rows) + "\n\n" + speeds(mine)
    )


def speeds(mine: dict[str, list[dict[str, Any]]]) -> str:
    rows = [
        [recipe, str(ratio["batch"]), str(row["seed"]), factor(ratio), ratio["verdict"]]
        for recipe, found in mine.items() for row in found for ratio in row["speedup"]
    ]
    heads = ["recipe", "batch", "seed", "speed-up", "verdict"]
    return "INT8 engine against its FP32 twin, two threads:\n\n" + table(heads, rows)


def factor(ratio: dict[str, Any]) -> str:
    return f"{ratio['speedup']:.2f} ({ratio['low']:.2f} to {ratio['high']:.2f})"


def cpu_engine(results: dict[str, Any]) -> str:
    parts = [f"## The CPU engine beside others\n\n`python benchmarks/cpu_engine.py`. {machine(results)}"]
    for name, network in results["networks"].items():
        shape = "x".join(map(str, network["input"]))
        quality = [[arm, f"{100 * found['accuracy']:.2f}", f"{100 * found['agreement']:.2f}",
                    f"{network['bytes'].get(arm, 0) / 1e6:.2f}" if arm in network["bytes"] else ""]
                   for arm, found in network["quality"].items()]
        parts.append(f"### {name}, input {shape}")
        parts.append(table(["arm", "accuracy %", "same prediction as PyTorch %", "MB"], quality))
        parts.append("Median milliseconds, and how many times as fast twofour is as FP32 and as the best rival:")
        parts.append(race(network["races"]))
    return "\n\n".join(parts)


def race(races: list[dict[str, Any]]) -> str:
    arms = [item["arm"] for item in races[0]["latencies"]]
    rows = []
    for entry in races:
        times = {item["arm"]: f"{item['p50']:.2f}" for item in entry["latencies"]}
        ours = {item["baseline"]: item for item in entry["ratios"] if item["arm"] == "twofour"}
        shown = [factor(ours[base]) for base in ("fp32", entry["best_rival"])]
        rows.append([str(entry["threads"]), str(entry["batch"]), *(times[arm] for arm in arms), shown[0],
                     f"{entry['best_rival']}: {shown[1]}"])
    return table(["threads", "batch", *arms, "against FP32", "against the best rival"], rows)


def two_four_check(results: dict[str, Any]) -> str:
    rows = []
    for row in results["rows"]:
        own, other = row["twofour"], row.get("polygraphy")
        size = [row["form"], f"{row['millions']:g} million", f"{row['file_bytes'] / 1e6:.0f}"]
        mine = [f"{own['process_seconds']:.2f}", f"{own['seconds']:.2f}", f"{own['two_four']} of {own['layers']}",
                f"{own['peak_memory_bytes'] / 1e6:.0f}"]
        rows.append([*size, *mine, *peer(other, own)])
    versions, whole = results["machine"]["versions"], all("polygraphy" in row for row in results["rows"])
    heads = ["weights", "number", "MB", "twofour, s", "of it reading and judging, s", "found 2:4", "peak MB",
             f"Polygraphy {versions['polygraphy']}, s", "found 2:4", "times as long"]
    return (
        "## The 2:4 check beside Polygraphy's\n\n`python benchmarks/two_four_check.py`: a stack of MatMul layers, all "
        "2:4, each checked in a process of its own, the shortest of 3 runs. Polygraphy's `inspect sparsity` reads the "
        f"{'larger files once' if whole else 'smaller files only'}, and passes over INT8 codes. Times as "
        f"long: by processor time, where that was taken. {machine(results)}\n\n"
        + table(heads, rows)
    )


def peer(other: dict[str, Any] | None, own: dict[str, Any]) -> list[str]:
    if other is None:
        return ["", "", ""]
    clock = "cpu_seconds" if "cpu_seconds" in other else "process_seconds"
    seconds, ratio = other["process_seconds"], other[clock] / own[clock]
    kind = "processor time" if clock == "cpu_seconds" else "time"
    if other.get("stopped"):
        return [f"stopped after {other[clock]:.0f} of {kind}", "", f"more than {ratio:.0f}"]
    found = f"{other['two_four']} of {own['layers']}"
    return [f"{seconds:.2f}", found, f"{ratio:.1f}" if other["eligible"] else "it judges none"]


def placement(results: dict[str, Any]) -> str:
    rows = results["rows"]
    recipes, seeds = sorted({row["recipe"] for row in rows}), sorted({row["seed"] for row in rows})
    parts = [
        f"## Where quantizers go\n\n`python benchmarks/placement.py`: each policy of `calibrate.placement` on the same "
        f"sparse networks, {len(seeds)} seeds, per cent, mean (least to most). A difference within the spread of the "
        f"seeds is none. Lint and prediction are for TensorRT {results['release']}. {machine(results)} "
        f"{results['note']}"
    ]
    for recipe in recipes:
        mine = {policy: [row for row in rows if row["recipe"] == recipe and row["policy"] == policy]
                for policy in dict.fromkeys(row["policy"] for row in rows)}
        parts += [f"### {recipe}", placed(mine), "INT8 engine against its FP32 twin, one thread, median of the seeds "
                  "(least to most of their intervals):", placed_speeds(mine)]
    parts += ["### Wider networks", "Fresh weights, pruned by magnitude: only placed, exported and judged.",
              table(["network", *JUDGED], [[row["network"], *judged(row)] for row in results["wide"]])]
    return "\n\n".join(parts)


def placed(mine: dict[str, list[dict[str, Any]]]) -> str:
    base = "weights-and-inputs"
    rows = []
    for policy, found in mine.items():
        values = {stage: [row["accuracy"][stage] for row in found] for stage in ("calibrate", "qat")}
        rivals = [row["accuracy"]["qat"] for row in mine[base]]
        ratios = [row["agreement"]["snr_db"] for row in found]
        rows.append([
            *judged(found[0]), percent(values["calibrate"]), percent(values["qat"]),
            "" if policy == base else difference(values["qat"], rivals),
            percent([row["agreement"]["predictions"] for row in found]),
            f"{statistics.mean(ratios):.1f} ({min(ratios):.1f} to {max(ratios):.1f})",
        ])
    heads = ["calibrated", "fine-tuned", f"against {base}", "same prediction as PyTorch", "SNR, dB"]
    return table([*JUDGED, *heads], rows)


def judged(row: dict[str, Any]) -> list[str]:
    twin = f" (the same as {row['same_as']})" if row.get("same_as") else ""
    lint = ", ".join(str(row["lint"].get(severity, 0)) for severity in ("error", "warning"))
    predicted = ", ".join(str(row["predicted"].get(verdict, 0)) for verdict in ("will run sparse", "may", "won't"))
    return [row["policy"] + twin, str(row["quantize"]), lint, predicted]


def difference(values: list[float], base: list[float]) -> str:
    gap = statistics.mean(values) - statistics.mean(base)
    spread = max(max(each) - min(each) for each in (values, base))
    return "no difference" if abs(gap) <= spread else f"{100 * gap:+.2f} points"


def placed_speeds(mine: dict[str, list[dict[str, Any]]]) -> str:
    batches = [ratio["batch"] for ratio in next(iter(mine.values()))[0]["speedup"]]
    rows = []
    for policy, found in mine.items():
        each = [[row["speedup"][index] for row in found] for index in range(len(batches))]
        rows.append([policy, *(
            f"{statistics.median(ratio['speedup'] for ratio in ratios):.2f} "
            f"({min(ratio['low'] for ratio in ratios):.2f} to {max(ratio['high'] for ratio in ratios):.2f})"
            for ratios in each)])
    return table(["policy", *(f"batch {batch}" for batch in batches)], rows)


def large_model(results: dict[str, Any]) -> str:
    runs = results["runs"]
    costs = [{"calibration": {**export, **export["calibration"]}, **run["steps"]}
             for run in runs for export in [run["steps"]["export"]]]
    steps = max(([step for step in run["steps"] if step != "baseline"] for run in runs), key=len)
    rows = [[step, *(cost(found.get(step), run["weight_bytes"]) for found, run in zip(costs, runs, strict=True))]
            for step in ["baseline", "calibration", *steps]]
    sizes = sorted({run["weight_bytes"] for run in runs})
    return (
        "## A model above 2 GB\n\n`python benchmarks/large_model.py`: a vision transformer of "
        f"{', '.join(f'{size / 1e9:.2f} GB' for size in sizes)} of FP32 weights, by exporter and form of the weights "
        "in the bundle; each step in a process of its own. Peak resident memory in GB, files that are mapped included; "
        "how many times the FP32 weights that is (2.5 is the limit); seconds, once, on a machine with other work. The "
        f"baseline is a process that only imports what the steps import. {machine(results)}\n\n"
        + table(["step", *(f"{run['exporter']}, {run['weights']}" for run in runs)], rows)
        + elsewhere([step for run in runs for step in run["steps"].values()])
        + "".join(f"\n\n{note}" for note in results.get("notes", []))
    )


def cost(step: dict[str, Any] | None, weight_bytes: int) -> str:
    if step is None:
        return ""
    peak = step["peak_memory_bytes"]
    mark = " *" if "machine" in step else ""
    return f"{peak / 1e9:.2f} GB, {peak / weight_bytes:.2f} times, {step['seconds']:.0f} s{mark}"


def elsewhere(steps: list[dict[str, Any]]) -> str:
    machines = dict.fromkeys(machine(step) for step in steps if "machine" in step)
    return f"\n\n\\* Measured later. {' '.join(machines)}" if machines else ""


def permutation(results: dict[str, Any]) -> str:
    found = results["searches"]
    shapes = [row for search in found.values() if "arms" in search for row in permutation_rows(search)]
    heads = ["rows x columns", "escapes", "default keeps", "ours, efficacy %", "apex, efficacy %", "ours, CPU s",
             "apex, CPU s", "times as long"]
    parts = [
        "## Channel permutations\n\n`python benchmarks/permutation.py --apex FOLDER`: kept magnitude and time of the "
        "search on one thread, window of 8 columns. Efficacy: 0 is the order as it came, 100 keeps the larger half of "
        "every row, which no order reaches. Times are CPU time, on a machine that had other work; ours the median of 3 "
        "up to 256 columns. Apex was stopped where a time says \"more than\"; * is an estimate from the groups that it "
        "had finished by then: all groups that it evaluates in the end where that is known, otherwise those of its "
        "first pass alone; its efficacy is then that of its own code with sums of ours. "
        + machine(results), table(heads, shapes),
    ]
    for name, network in found.items():
        if "groups" in network:
            minutes = network["cpu_seconds"] / 60
            parts.append(f"All groups of a {NETWORKS[name]}, random weights, defaults: {minutes:.1f} minutes of CPU.")
            parts.append(table(["group", "rows", "columns", "times", "efficacy %", "CPU s each"], [
                [one["group"], str(one["rows"]), str(one["columns"]), str(one["count"]), f"{one['efficacy']:.1f}",
                 f"{one['cpu_seconds']:.1f}"] for one in network["groups"]]))
    return "\n\n".join(parts)


def permutation_rows(search: dict[str, Any]) -> list[list[str]]:
    possible, rows = search["bound"] - search["default"], []
    for escapes in sorted({arm["escapes"] for arm in search["arms"]}):
        arms = {arm["arm"]: arm for arm in search["arms"] if arm["escapes"] == escapes}
        own, other, quick = arms["ours"], arms.get("apex", {}), arms.get("apex, quick sums", {})
        kept = other.get("kept", quick.get("kept"))
        time, times = apex_times(search, other, quick, own["cpu_seconds"])
        rows.append([
            f"{search['rows']} x {search['columns']}", str(escapes), f"{search['default']:.2f}",
            f"{own['efficacy']:.2f}",
            "" if kept is None else f"{100 * (kept - search['default']) / possible:.2f}",
            f"{own['cpu_seconds']:.2f}", time, times,
        ])
    return rows


def apex_times(search: dict[str, Any], other: dict[str, Any], quick: dict[str, Any], own: float) -> tuple[str, str]:
    """What apex took, and how many times ours that is; empty where it didn't run."""
    if not other:
        return "", ""
    spent = other["cpu_seconds"]
    if not other.get("stopped"):
        return f"{spent:.1f}", f"{spent / own:.0f}"
    whole = spent / other["groups"] * quick.get("groups", math.comb(search["columns"] // 4, 2))
    least = "" if quick else "more than "
    return (f"more than {spent:.0f}; {least}{whole:,.0f} *",
            f"more than {spent / own:,.0f}; {least}{whole / own:,.0f} *")


def overhead(results: dict[str, Any]) -> str:
    settings = results["settings"]
    rows = [[name, arm, baseline, f"{row['ms']:.1f} ({row['quartiles'][0]:.1f} to {row['quartiles'][1]:.1f})",
             f"{row['cost']:.2f} ({row['cost_low']:.2f} to {row['cost_high']:.2f})", row["verdict"]]
            for name, parts in results["networks"].items()
            for part, baseline in (("masked", "plain"), ("quantized", "modelopt"))
            for arm, row in parts[part].items() if arm != baseline]
    heads = ["network", "step", "against", "ms (quartiles)", "times the peer's (95 %)", "verdict"]
    return (
        "## What masks and quantizers cost in training\n\n`python benchmarks/overhead.py`: a step of "
        f"{settings['batch']} samples, {settings['size']}x{settings['size']}, processor time of one thread, arms in "
        f"turn for {settings['rounds']} rounds of {settings['steps']} steps. Peers: the same step without masks, and a "
        "network quantized by ModelOpt's own `mtq.quantize`. `tensorrt` has quantizers at sums and products that "
        f"ModelOpt's has not. {machine(results)}\n\n" + table(heads, rows)
    )


def sparsity_methods(results: dict[str, Any]) -> str:
    found = claims.cases(results["rows"])
    counts = {case: len({row["seed"] for row in rows}) for case, rows in found.items()}
    parts = [
        "## Sparsity methods\n\n`python benchmarks/sparsity_methods.py`: one dense network for each seed, from which "
        "every arm that is retrained trains for as many epochs again, with the same hyper-parameters; INT8 and INT4 "
        "add the same few epochs of fine-tuning. `digits` are scikit-learn's, `hard` is their cluttered and warped "
        "variant. Per cent, mean (least to most) over the seeds; a difference is that of two arms on the same seed, in "
        "points, and where its spread holds zero that is said. INT4 is fake quantization, for accuracy only. Seconds "
        f"are the stage's own, on a machine that had other work. {machine(results)}",
    ]
    for (network, data), rows in found.items():
        parts += [f"### {network}, {data}, {counts[network, data]} seeds", table(METHOD_HEADS, method_rows(rows))]
    judged = [[claim.text, *(claims.judged(rows, claim) for rows in found.values())] for claim in claims.CLAIMS]
    parts += [
        "### What was claimed, and what was found",
        "Each claim is that one arm is as good as another, or better. Where its difference, mean (least to most) in "
        "points, is above zero on all seeds, the claim holds; below on all, it doesn't; else there is no difference, "
        "which is as much as \"as good\", \"no harm\" and \"loses nothing\" ask for. \"On every seed\" asks for more. "
        f"By chance {min(counts.values())} seeds agree on a sign once in {2 ** (min(counts.values()) - 1)} times.",
        table(["claim", *(f"{network}, {data}" for network, data in found)], [row for row in judged if any(row[1:])]),
    ]
    return "\n\n".join(parts)


def method_rows(rows: list[dict[str, Any]]) -> list[list[str]]:
    """One for each arm, in the order in which the arms were measured on the seed that has most."""
    fullest = max((row["seed"] for row in rows), key=lambda seed: sum(row["seed"] == seed for row in rows))
    first = [row["arm"] for row in rows if row["seed"] == fullest]
    arms = sorted(dict.fromkeys([*first, *(row["arm"] for row in rows)]), key=lambda arm: arm != claims.DENSE)
    shown = []
    for arm in arms:
        own = {key: list(claims.values(rows, arm, key).values())
               for key in ("one_shot", "calibrated", "accuracy", "seconds")}
        shown.append([
            arm, *(percent(own[key]) if own[key] else "" for key in ("one_shot", "calibrated", "accuracy")),
            f"{statistics.mean(own['seconds']):.0f} ({min(own['seconds']):.0f} to {max(own['seconds']):.0f})",
            claims.against(rows, arm, claims.AS_LONG), claims.against(rows, arm, claims.RETRAINED),
        ])
    return shown


def training_methods(results: dict[str, Any]) -> str:
    sections = [
        "## Training methods\n\n`python benchmarks/training_methods.py`: on scikit-learn's digits and variants of them "
        "made by our own program. Mean (least to most) over the seeds, accuracy in per cent; a difference is that of "
        "two arms on the same seed, above zero where the first is better. A claim is that one arm is better than "
        "another: it holds where it is on all seeds, doesn't hold where it is worse on all; else there is no "
        f"difference. {machine(results)}"
    ]
    for name, part in training_claims.PARTS.items():
        mine = [row for row in results["rows"] if row["part"] == name]
        cases = dict.fromkeys(row["case"] for row in mine)
        by_case = {case: [row for row in mine if row["case"] == case] for case in cases}
        sections += [f"### {part.title}", part.about] if mine else []
        for case, rows in by_case.items():
            heads = ["arm", *part.columns, f"against {part.base}"]
            seeds = len({row["seed"] for row in rows})
            sections += [f"{case}, {seeds} seeds:", table(heads, training_claims.arm_rows(rows, part))]
        judged = [[claim.text, *(training_claims.judged(rows, claim) for rows in by_case.values())]
                  for claim in part.claims]
        sections += [table(["claim", *by_case], [row for row in judged if any(row[1:])])] if mine else []
    return "\n\n".join(sections)


def page() -> str:
    parts = [HEAD]
    for name, write in (("digits", digits), ("cpu_engine", cpu_engine), ("two_four_check", two_four_check),
                        ("large_model", large_model), ("placement", placement),
                        ("sparsity_methods", sparsity_methods), ("training_methods", training_methods),
                        ("permutation", permutation), ("overhead", overhead)):
        if (RESULTS / f"{name}.json").is_file():
            parts.append(write(json.loads((RESULTS / f"{name}.json").read_text())) + "\n")
    return "\n".join(parts)


if __name__ == "__main__":
    PAGE.write_text(page())
