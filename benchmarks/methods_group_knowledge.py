"""Group knowledge, GKT-style (reconstructed), against its predecessors and its ablations; part of training_methods.py.

For each case and seed every arm trains the same network from the same weights with the same optimizer; only the method
differs, and of "plain for as long" the number of epochs. `cost` counts residual blocks: those that an arm runs for each
sample and epoch of plain training, over those of the network. Then the dense networks of some arms are made sparse and
INT8.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from twofour.calibrate.config import CalibrateConfig
from twofour.common.files import read_json
from twofour.pipeline.recipe import Recipe, validated
from twofour.training.calibration import calibration_stage
from twofour.training.config import GroupKnowledgeConfig, TrainConfig
from twofour.training.evaluate import evaluate
from twofour.training.factory import build_data
from twofour.training.group_knowledge.base import RECORD
from twofour.training.group_knowledge.elastic import full, shortened
from twofour.training.group_knowledge.recalibrate import recalibrate
from twofour.training.group_knowledge.sampler import sample
from twofour.training.group_knowledge.stages import find_stages
from twofour.training.restore import load_stage
from twofour.training.seeds import steady
from twofour.training.stage import StageRequest, forget, train_stage

Row = dict[str, Any]
MODEL = {
    "factory": "twofour.training.models:tiny_resnet", "args": {"widths": [16, 32, 64], "blocks": 3, "stem_stride": 2},
}
CASES: dict[str, dict[str, Any]] = {
    "digits": {"factory": "twofour.training.data:digits", "args": {"batch": 32, "size": 12}},
    "hard digits": {"factory": "twofour.training.data:hard_digits", "args": {"batch": 32, "size": 24}},
}
EPOCHS = {"digits": 6, "hard digits": 10}
OPTIMIZER = {"name": "sgd", "lr": 0.05}
BLOCKS = (3, 3, 3)
SUBNETS = {"3/4": [(2, 2, 3), (2, 3, 2), (3, 2, 2)], "1/2": [(1, 2, 2), (2, 1, 2), (2, 2, 1)]}
_ST = {"teacher": "main", "nested": False, "rho": 1.0}
GKT = "GKT-style (reconstructed)"
PLAIN, LONG = "plain", "plain for as long"
ARMS: dict[str, dict[str, Any] | None] = {
    PLAIN: None,
    GKT: {},
    LONG: None,
    "plain, recalibrated": {"survival": 1.0},
    "stochastic depth": {"survival": 0.5},
    "stimulative": {**_ST, "groups": 1, "loops": 1},
    "stimulative, as many subnets": _ST,
    f"{GKT} without nesting": {"nested": False},
    f"{GKT}, main teacher": {"teacher": "main"},
    f"{GKT} without EMA": {"aggregate": "last"},
    f"{GKT}, uniform sampler": {"rho": 1.0},
}
ABLATIONS = [arm for arm in ARMS if arm.startswith(GKT) and arm != GKT]
SPARSE = {  # from which dense network, and which one teaches
    "plain start": (PLAIN, None),
    "plain for as long start": (LONG, None),
    f"{GKT} start": (GKT, None),
    "plain start, plain teacher": (PLAIN, PLAIN),
    f"plain start, {GKT} teacher": (PLAIN, GKT),
}


def expected_cost(config: GroupKnowledgeConfig, draws: int = 2000) -> float:
    """Blocks run for each sample over those of the network, by simulation."""
    with steady():
        chains = draws * config.loops
        kept = 0
        for _ in range(chains):
            keep = BLOCKS
            for _ in range(config.groups):
                keep = sample(keep if config.nested else BLOCKS, config.rho, config.strict)
                kept += sum(keep)
    return 1 + kept / sum(BLOCKS) / draws


def recipe_of(case: str, seed: int) -> Recipe:
    """A recipe without engines, from which the stages take their settings."""
    content = {
        "name": "group-knowledge", "seed": seed, "model": MODEL, "data": CASES[case],
        "training": [{"stage": "dense", "epochs": EPOCHS[case], "optimizer": OPTIMIZER}, {"stage": "sparse"}],
    }
    return validated(content, Path(__file__)).resolved()


class Case:
    """One data set and seed, in a folder of its own; a dense network is trained when it is first asked for."""

    def __init__(self, case: str, seed: int, folder: Path) -> None:
        self.case, self.folder, self.recipe = case, folder, recipe_of(case, seed)
        self.made: dict[str, Row] = {}

    def stage(self, name: str, train: TrainConfig, student: Path | None = None, teacher: Path | None = None) -> Row:
        """Train one stage; its accuracy and seconds."""
        recipe, folder = self.recipe, self.folder / name
        start = time.perf_counter()
        train_stage(StageRequest(recipe.model, recipe.data, train, recipe.seed, name, student, teacher), folder)
        seconds = time.perf_counter() - start
        forget(folder)
        return {"accuracy": read_json(folder / "metrics.json")["accuracy"], "seconds": seconds}

    def dense(self, arm: str) -> Row:
        """Train a dense network by an arm's method, unless it was already."""
        if arm not in self.made:
            base, config, cost = self.recipe.training[0].model_dump(), ARMS[arm], 1.0
            if config is not None:
                base |= {"method": "group_knowledge", "group_knowledge": config}
            if arm == LONG:
                base["epochs"] = round(EPOCHS[self.case] * expected_cost(GroupKnowledgeConfig()))
                cost = base["epochs"] / EPOCHS[self.case]
            self.made[arm] = {"cost": cost, **self.stage(arm, TrainConfig.model_validate(base))}
            if config is not None:
                self.made[arm] |= self._told(arm)
        return self.made[arm]

    def _told(self, arm: str) -> Row:
        record = read_json(self.folder / arm / RECORD)
        last = record["groups"][-1]
        return {"cost": record["cost"], "kept": last["kept"], **({} if "survival" in (ARMS[arm] or {}) else {
            "gap": last["gap"]})}

    def subnets(self, arm: str) -> Row:
        """Mean accuracy of the fixed subnets, each with statistics of its own."""
        network, data = load_stage(self.recipe.model, self.folder / arm), build_data(self.recipe.data)
        stages = find_stages(network, next(iter(data.val))[0][:2], "val loader, batch 0")
        assert full(stages) == BLOCKS
        means = {}
        for share, keeps in SUBNETS.items():
            found = []
            for keep in keeps:
                with shortened(stages, keep):
                    recalibrate(network, data.train, 2000)
                    found.append(evaluate(network, data.val)["accuracy"])
            means[f"subnets {share}"] = sum(found) / len(found)
        return means | {"subnets": sum(means.values()) / len(means)}

    def sparse(self, start: str, teacher: str | None) -> Row:
        """From a dense network to a sparse one, and to INT8 by calibration alone."""
        train = self.recipe.training[1].model_dump()
        for arm in {start, teacher} - {None}:
            self.dense(str(arm))
        if teacher:
            train["distill"] = {"teacher": "dense"}
        row = self.stage("sparse", TrainConfig.model_validate(train), self.folder / start,
                         teacher and self.folder / teacher)
        recipe = self.recipe
        int8 = calibration_stage(recipe.model, recipe.data, CalibrateConfig(), self.folder / "sparse",
                                 self.folder / "calibrate", recipe.seed)
        return {**row, "sparse": row["accuracy"], "accuracy": int8["accuracy"]}

    def rows(self, done: set[tuple[str, str]]) -> Iterator[Row]:
        """All arms that are not done; the digits are nearly solved, so ablations are for their hard variant."""
        for arm in (arm for arm in ARMS if self.case != "digits" or arm not in ABLATIONS):
            if (self.case, arm) not in done:
                yield {"case": self.case, "arm": arm, **self.dense(arm), **self.subnets(arm)}
        for name, (start, teacher) in SPARSE.items():
            arm = f"sparse INT8: {name}"
            if (self.case, arm) not in done:
                yield {"case": self.case, "arm": arm, **self.sparse(start, teacher)}


def rows(seed: int, done: set[tuple[str, str]]) -> Iterator[Row]:
    """Measure what is missing of one seed.

    Args:
        seed: of the weights, the order of the samples and their augmentation.
        done: the cases and arms that are there already.
    """
    torch.set_num_threads(1)
    for case in CASES:
        with tempfile.TemporaryDirectory() as folder:
            yield from Case(case, seed, Path(folder)).rows(done)


__all__ = ["rows"]
