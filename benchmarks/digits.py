"""The two demo recipes over several seeds: accuracy of every stage and of the engine, agreement, speed, time.

    python benchmarks/digits.py [--seeds 3] [--runs FOLDER]

Runs the very command of the README, each seed in a process of its own, and writes `results/digits.json`.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from twofour.common.files import write_json
from twofour.common.machine import describe

ROOT = Path(__file__).parent.parent
RECIPES = ("digits-resnet", "digits-vit")
STAGES = ("dense", "sparse", "calibrate", "qat")


def one(recipe: str, seed: int, runs: Path) -> dict[str, Any]:
    out = runs / f"{recipe}-{seed}"
    options = ["--set", f"seed={seed}", "--out", str(out), "--json", "--quiet"]
    command = [sys.executable, "-m", "twofour", "run", str(ROOT / "recipes" / f"{recipe}.yaml"), *options]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode not in (0, 3):
        sys.exit(done.stderr)
    summary = json.loads(done.stdout)
    engine = next(iter(summary["engines"].values()))
    accuracy = {stage: summary["stages"][stage]["metrics"]["accuracy"] for stage in STAGES}
    one_shot = json.loads((out / "sparse" / "metrics.json").read_text())["one_shot_accuracy"]
    return {
        "recipe": recipe, "seed": seed, "exit_code": done.returncode, "said": done.stderr.strip(),
        "accuracy": {**accuracy, "one_shot": one_shot, "engine": engine["validation"]["value"]},
        "agreement": engine["validation"]["agreement"], "noise_floor": engine["validation"]["noise_floor"],
        "two_four_share": engine["two_four_share"], "bytes": engine["bytes"], "fp32_bytes": engine["fp32_bytes"],
        "speedup": engine["speedup"], "latency": engine["latency"],
        "seconds": {name: stage["seconds"] for name, stage in summary["stages"].items()},
    }


def spread(values: list[float]) -> str:
    return f"{100 * statistics.mean(values):6.2f} % ({100 * min(values):.2f} to {100 * max(values):.2f})"


def show(rows: list[dict[str, Any]]) -> None:
    for recipe in RECIPES:
        mine = [row for row in rows if row["recipe"] == recipe]
        print(f"\n{recipe}, {len(mine)} seeds: mean (least to most)")
        for stage in (*STAGES[:1], "one_shot", *STAGES[1:], "engine"):
            print(f"  {stage:<10} {spread([row['accuracy'][stage] for row in mine])}")
        print(f"  agreement  {spread([row['agreement']['predictions'] for row in mine])}")
        print(f"  drop       {spread([row['accuracy']['dense'] - row['accuracy']['engine'] for row in mine])}")
        print(f"  seconds    {[round(sum(row['seconds'].values())) for row in mine]}, exit codes "
              f"{[row['exit_code'] for row in mine]}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--runs", type=Path, help="keep the run folders here")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        runs = options.runs or Path(folder)
        rows = [one(recipe, seed, runs) for recipe in RECIPES for seed in range(options.seeds)]
    write_json(ROOT / "benchmarks" / "results" / "digits.json", {"machine": describe(), "rows": rows})
    show(rows)


if __name__ == "__main__":
    main()
