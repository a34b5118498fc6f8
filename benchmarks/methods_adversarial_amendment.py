"""AdvAmd-style (reconstructed) training beside plain, adversarial and AdvProp training; a part of training_methods.py.

All arms of a case have one network, data, optimizer and number of epochs, but for "plain for as long", which has the
compute of the dearest arm. Every arm's network is attacked in the end by one and the same FGSM and PGD, of the eps that
the arms trained with. That eps was chosen once among 2, 4 and 8 of 255, for benign accuracy on the hard digits, with a
seed that is not measured here (`python benchmarks/methods_adversarial_amendment.py` prints that sweep). Learning rate
and epochs were set with "plain" alone; nothing else was tuned.

Each row has the benign `accuracy`, `attacked` (under FGSM) and `attacked_pgd`, `cost` (arithmetic over that of "plain",
counted) and `seconds`. Between the arms: AdvProp adds the auxiliary batch norm to "one-BN adversarial"; mediate samples
and then weights lead to "full"; what lacks one of the three is called so ("AdvProp + mediate" lacks the weights).
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twofour.pipeline.recipe import Recipe, validated
from twofour.training.amendment.attack import Attack
from twofour.training.amendment.bounds import declared
from twofour.training.amendment.measure import Attacked
from twofour.training.config import AdversarialAmendmentConfig
from twofour.training.evaluate import evaluate
from twofour.training.factory import build_data
from twofour.training.restore import load_stage
from twofour.training.stage import StageRequest, train_stage

METHOD = "adversarial_amendment"
EPS, STEPS = 8 / 255, 5  # steps of PGD; FGSM has one
_FORWARD, _BOTH, _STEP = 1, 3, 2  # cost of a forward pass; with gradients of the weights; with those of the inputs only
_SWEEP_SEED = 100
RESNET = {"factory": "twofour.training.models:tiny_resnet", "args": {"widths": [16, 32, 64], "blocks": 1}}
UNET = {"factory": "twofour.training.unet:tiny_unet", "args": {"widths": [16, 32]}}
ADVPROP = {"mediate_rule": "none", "gamma": 0.0}
PLAIN, LONG = "plain", "plain for as long"


@dataclass(frozen=True)
class Case:
    """A network and its data.

    Attributes:
        model: as a recipe has it.
        data: as a recipe has it.
        epochs: of every arm; a multiple of 3, so that "plain for as long" is exactly that.
        lr: of SGD.
        arms: names in `ARMS`; empty: all.
    """

    model: dict[str, Any]
    data: dict[str, Any]
    epochs: int
    lr: float
    arms: tuple[str, ...] = ()


def _data(name: str, size: int) -> dict[str, Any]:
    return {"factory": f"twofour.training.data:{name}", "args": {"batch": 64, "size": size}}


ARMS: dict[str, dict[str, Any] | None] = {
    PLAIN: None,
    LONG: None,
    "one-BN adversarial": {**ADVPROP, "auxiliary": False},
    "AdvProp": ADVPROP,
    "AdvProp + mediate (gamma 0)": {"gamma": 0.0},
    "full (gamma 1)": {},
    "full, gamma -1": {"gamma": -1.0},
    "full without mediate": {"mediate_rule": "none"},
    "full without auxiliary": {"auxiliary": False},
}
FEW = (PLAIN, LONG, "one-BN adversarial", "AdvProp", "full (gamma 1)")
CASES = {
    "digits": Case(RESNET, _data("digits", 8), 9, 0.1),
    "hard": Case(RESNET, _data("hard_digits", 16), 12, 0.1),
    "masks": Case(UNET, _data("digit_masks", 16), 6, 0.1, FEW),
}


def recipe_of(case: Case, arm: str, seed: int, eps: float = EPS) -> Recipe:
    """A recipe of one dense stage."""
    dense: dict[str, Any] = {"stage": "dense", "epochs": case.epochs, "optimizer": {"name": "sgd", "lr": case.lr}}
    changed = ARMS[arm]
    if changed is not None:
        dense |= {"method": METHOD, METHOD: {"attack_eps": eps, "attack_step_size": eps, **changed}}
    if arm == LONG:
        dense["epochs"] = round(case.epochs * cost("full (gamma 1)"))
    content = {"name": "amendment", "seed": seed, "model": case.model, "data": case.data, "training": [dense]}
    return validated(content, Path(__file__)).resolved()


def cost(arm: str) -> float:
    """Arithmetic of an epoch over that of a plain one: forward passes and gradients, each counted alike."""
    changed = ARMS[arm]
    if changed is None:
        return 1.0 if arm == PLAIN else cost("full (gamma 1)")
    config = AdversarialAmendmentConfig(**changed)
    looks = 2 * _FORWARD if config.gamma else 0
    return (2 * _BOTH + config.attack_steps * _STEP + looks) / _BOTH


def measured(case: Case, arm: str, seed: int, eps: float = EPS) -> dict[str, Any]:
    """Train one arm; its accuracies, cost and seconds."""
    recipe = recipe_of(case, arm, seed, eps)
    with tempfile.TemporaryDirectory() as spare:
        folder, start = Path(spare), time.perf_counter()
        found = train_stage(StageRequest(recipe.model, recipe.data, recipe.training[0], seed, arm), folder)
        seconds = time.perf_counter() - start
        network, data = load_stage(recipe.model, folder), build_data(recipe.data)
    bounds, harmed = declared(data), {}
    for name, steps in (("attacked", 1), ("attacked_pgd", STEPS)):
        attack = Attack(EPS, steps, EPS / (1 if steps == 1 else 2), random_start=False)
        harmed[name] = evaluate(network, data.val, judge=Attacked(attack, bounds))["accuracy"]
    return {"accuracy": found["accuracy"], **harmed, "cost": cost(arm), "seconds": seconds}


def rows(seed: int, done: set[tuple[str, str]]) -> Iterator[dict[str, Any]]:
    """What is not done, of all cases and arms."""
    for name, case in CASES.items():
        for arm in case.arms or ARMS:
            if (name, arm) not in done:
                yield {"case": name, "arm": arm, **measured(case, arm, seed)}


def sweep() -> None:
    """Print what each eps gives with a seed of its own."""
    for name, case in CASES.items():
        print({"case": name, "arm": PLAIN, **measured(case, PLAIN, _SWEEP_SEED)}, flush=True)
        for number in (2, 4, 8):
            for arm in ("AdvProp", "full (gamma 1)"):
                found = measured(case, arm, _SWEEP_SEED, number / 255)
                print({"case": name, "eps": f"{number}/255", "arm": arm, **found}, flush=True)


if __name__ == "__main__":
    sweep()
