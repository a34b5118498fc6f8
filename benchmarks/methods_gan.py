"""Compressed generators of digits: self-supervised beside its baselines, at equal steps after one dense generator.

The part `gan` of `training_methods.py`. Feature distances are in the hidden layer of one fixed small classifier of the
real training digits; they are no FID.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from twofour.common.files import read_json
from twofour.pipeline.recipe import Recipe, validated
from twofour.training.stage import StageRequest, forget, train_stage

Row = dict[str, Any]
_NETS, _DATA = "twofour.training.gan_models:", "twofour.training.gan_data:"
_OPTIMIZER = {"name": "adamw", "lr": 0.001, "betas": [0.5, 0.999], "weight_decay": 0, "warmup": 0.02}
CASES: dict[str, dict[str, Any]] = {
    "noise": {"model": "tiny_generator", "data": "digits_from_noise", "batch": 32, "epochs": 40, "after": 8,
              "small": 21, "conditional": False, "reconstruction": 0},
    "edges": {"model": "tiny_translator", "data": "edges_to_digits", "batch": 64, "epochs": 20, "after": 5,
              "small": 23, "conditional": True, "reconstruction": 10},
}
PATTERNS: dict[str, dict[str, Any]] = {
    "50 %": {"pattern": "unstructured", "sparsity": 0.5},
    "2:4": {"pattern": "2:4"},
    "75 %": {"pattern": "unstructured", "sparsity": 0.75},
    "90 %": {"pattern": "unstructured", "sparsity": 0.9},
    "filters 25 %": {"pattern": "filters", "sparsity": 0.25},
}
WAYS: dict[str, dict[str, Any]] = {
    "one-shot": {"method": "gan"},
    "distilled": {"gan_compression": {"consistency": 0, "distill": 1, "prune": "once"}},
    "ours": {},
}
NOTHING = {"method": "gan", "pattern": "unstructured", "sparsity": 1e-9}  # trains on; no weight is pruned
ARMS: dict[str, dict[str, Any]] = {"dense for as long": NOTHING} | {
    f"{way}, {pattern}": {**said, **where} for pattern, where in PATTERNS.items() for way, said in WAYS.items()
} | {
    f"ours per sample, {pattern}": {"gan_compression": {"ratio": "per_sample"}, **PATTERNS[pattern]}
    for pattern in ("2:4", "90 %")
}


def rows(seed: int, done: set[tuple[str, str]]) -> Iterator[Row]:
    """The rows that are missing.

    Args:
        seed: of the recipe.
        done: (case, arm) that were measured.

    Yields:
        `case`, `arm`, `feature_distance`, of edges `ssim`, and `seconds` of the arm's own training.
    """
    for case in CASES:
        missing = [arm for arm in ("dense", "small dense", *ARMS) if (case, arm) not in done]
        if missing:
            with tempfile.TemporaryDirectory() as folder:
                yield from _case(case, seed, missing, Path(folder))


def recipe_of(case: str, seed: int, sparse: dict[str, Any] | None = None, width: int = 32) -> Recipe:
    """A recipe without engines, from which the stages take their settings; of a small one for all the steps."""
    about = CASES[case]
    judge = {"factory": f"{_NETS}tiny_discriminator", "args": {"conditional": about["conditional"]}}
    gan = {"discriminator": judge, "lr": _OPTIMIZER["lr"] / 2, "reconstruction": about["reconstruction"]}
    epochs = about["epochs"] + (about["after"] if width != 32 else 0)
    dense = {"stage": "dense", "method": "gan", "epochs": epochs, "optimizer": _OPTIMIZER, "gan": gan}
    content = {
        "name": f"gan-{case}", "seed": seed, "engines": [],
        "model": {"factory": _NETS + about["model"], "args": {"width": width}},
        "data": {"factory": _DATA + about["data"], "args": {"batch": about["batch"]}},
        "training": [dense, {"stage": "sparse", "epochs": about["after"], **(sparse or {})}],
    }
    return validated(content, Path("benchmarks/methods_gan.py")).resolved()


def _case(case: str, seed: int, missing: list[str], folder: Path) -> Iterator[Row]:
    dense = folder / "dense"
    row = {"case": case, "arm": "dense", **_stage(recipe_of(case, seed), 0, dense)}
    if "dense" in missing:
        yield row
    for arm in missing:
        if arm == "small dense":
            small = recipe_of(case, seed, width=CASES[case]["small"])
            yield {"case": case, "arm": arm, **_stage(small, 0, folder / "small")}
        elif arm in ARMS:
            yield {"case": case, "arm": arm, **_stage(recipe_of(case, seed, ARMS[arm]), 1, folder / "sparse", dense)}


def _stage(recipe: Recipe, index: int, folder: Path, before: Path | None = None) -> Row:
    start = time.perf_counter()
    request = StageRequest(recipe.model, recipe.data, recipe.training[index], recipe.seed, str(folder), before, before)
    train_stage(request, folder)
    seconds = time.perf_counter() - start
    forget(folder)
    found = read_json(folder / "metrics.json")
    return {name: found[name] for name in ("feature_distance", "ssim") if name in found} | {"seconds": seconds}


__all__ = ["rows"]
