"""What a masked step and a quantized step of training cost, each beside its peer in the same run.

- `plain`: a step of the loop without masks; `asp`: with fixed 2:4 masks; `sr_ste`; `gradual`, with whole masks;
  `average`: `asp` with a moving average of the weights.
- `modelopt`: a step of the same loop on a network that ModelOpt's own `mtq.quantize` made (INT8_DEFAULT_CFG, range by
  its max calibration); `weights-and-inputs` and `tensorrt`: our insertion with these placements.

Arms alternate in short rounds. What counts is the processor time of one thread, which other processes on the machine
disturb less than the clock on the wall; that is recorded too. Ratios are judged round by round.

    python benchmarks/overhead.py [--rounds 40] [--steps 3]
"""

from __future__ import annotations

import argparse
import copy
import io
import tempfile
import time
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import modelopt.torch.quantization as mtq
import numpy as np
import torch
from torch import nn

from twofour.calibrate.calibrate import calibrate
from twofour.calibrate.config import CalibrateConfig
from twofour.common.errors import UserError
from twofour.common.files import write_json
from twofour.common.machine import describe
from twofour.engines.statistics import ratio
from twofour.training.config import OptimizerConfig, TrainConfig
from twofour.training.data import digits
from twofour.training.loop import Phase, Plan, _Loop
from twofour.training.models import tiny_resnet, tiny_vit
from twofour.training.objective import Supervised
from twofour.training.pruning.choose import choose, make_masker
from twofour.training.pruning.masker import Fixed
from twofour.training.quantize import place

ROOT = Path(__file__).parent.parent
SIZE, BATCH = 16, 32
NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "tiny_resnet": tiny_resnet,
    "tiny_vit": lambda: tiny_vit(size=SIZE),
    "tiny_vit, dim 256": lambda: tiny_vit(size=SIZE, dim=256),
}
Arms = dict[str, Callable[[], bool]]


def looped(network: nn.Module, data: Any, **held: Any) -> _Loop:
    phase = Phase(1, OptimizerConfig(lr=1e-4))
    plan = Plan("overhead", [phase], 0, "key", Supervised(), **held)
    loop = _Loop(network.train(), data, plan, Path(tempfile.gettempdir()))
    plan.objective.start(1)
    return loop


def stepper(loop: _Loop, inputs: torch.Tensor, targets: torch.Tensor) -> Callable[[], bool]:
    loop.plan.masker.step(7, 10)  # gradual pruning ends at 0.7 of the steps

    whole = copy.deepcopy(loop.model.state_dict())

    def step() -> bool:
        loop.plan.masker.step(9, 10)
        try:
            loop._step(inputs, targets, 1, 0)
        except UserError:  # NaN, seen on a busy machine in quantized networks, ModelOpt's own too
            loop.model.load_state_dict(whole)
            loop._begin(loop.plan.phases[0])
            return False
        if loop.average:
            loop.average.update(1000)
        return True

    return step


def masked(network: nn.Module, data: Any, inputs: torch.Tensor, targets: torch.Tensor) -> Arms:
    arms = {"plain": looped(copy.deepcopy(network), data, masker=Fixed())}
    for name, method, average in (("asp", "asp", None), ("sr_ste", "sr_ste", None), ("gradual", "gradual", None),
                                  ("average", "asp", 0.999)):
        mine, train = copy.deepcopy(network), TrainConfig(stage="sparse", method=method, epochs=1)
        rule, _ = choose(mine, train, data.calibration)
        arms[name] = looped(mine, data, masker=make_masker(train, rule, rule.masks(mine)), average=average)
    return {name: stepper(loop, inputs, targets) for name, loop in arms.items()}


def quantized(network: nn.Module, data: Any, inputs: torch.Tensor, targets: torch.Tensor) -> Arms:
    def look(model: nn.Module) -> None:
        for samples, _ in data.calibration:
            model(samples)

    with redirect_stdout(io.StringIO()):
        made = {"modelopt": mtq.quantize(copy.deepcopy(network).eval(), mtq.INT8_DEFAULT_CFG, look)}
    for policy in ("weights-and-inputs", "tensorrt"):
        made[policy] = copy.deepcopy(network).eval()
        place(made[policy], policy, inputs[:2])
        calibrate(made[policy], data.calibration, CalibrateConfig(method="max"))
    return {name: stepper(looped(model, data), inputs, targets) for name, model in made.items()}


def measure(arms: Arms, rounds: int, steps: int) -> dict[str, dict[str, list[np.ndarray]]]:
    """Milliseconds of processor and of wall, one array a round; the order turns round, the first step isn't counted."""
    times: dict[str, dict[str, list[np.ndarray]]] = {name: {"processor": [], "wall": []} for name in arms}
    failed = dict.fromkeys(arms, 0)
    for index in range(rounds):
        for name in list(arms)[:: -1 if index % 2 else 1]:
            arms[name]()
            taken = []
            for _ in range(steps):
                start = time.process_time(), time.perf_counter()
                fine = arms[name]()
                taken.append((time.process_time() - start[0], time.perf_counter() - start[1]))
                failed[name] += not fine
            for column, clock in enumerate(("processor", "wall")):
                times[name][clock].append(1e3 * np.array([entry[column] for entry in taken]))
    print("steps that ended in NaN:", failed)
    return times


def judged(times: dict[str, dict[str, list[np.ndarray]]], baseline: str) -> dict[str, Any]:
    """Medians, quartiles, and the cost of each arm over the baseline with its 95 % interval."""
    found: dict[str, Any] = {}
    for name, clocks in times.items():
        all_of = np.concatenate(clocks["processor"])
        low, middle, high = (float(value) for value in np.percentile(all_of, (25, 50, 75)))
        wall = float(np.median(np.concatenate(clocks["wall"])))
        found[name] = {"ms": middle, "quartiles": [low, high], "wall_ms": wall, "steps": len(all_of)}
        if name != baseline:
            beside = ratio(name, baseline, BATCH, clocks["processor"], times[baseline]["processor"])
            found[name] |= {"cost": 1 / beside.speedup, "cost_low": 1 / beside.high, "cost_high": 1 / beside.low,
                            "verdict": beside.verdict}
    return found


def show(title: str, found: dict[str, Any]) -> None:
    print(f"\n{title}")
    for name, row in found.items():
        low, high = row["quartiles"]
        told = "{cost:.3f} ({cost_low:.3f} to {cost_high:.3f}), {verdict}".format(**row) if "cost" in row else ""
        print(f"  {name:<20} {row['ms']:8.2f} ms ({low:.2f} to {high:.2f})  {told}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--steps", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    data = digits(batch=BATCH, size=SIZE)
    inputs, targets = next(iter(data.train))
    results: dict[str, Any] = {}
    for name, build in NETWORKS.items():
        torch.manual_seed(0)
        network = build()
        parts = {"masked": (masked, "plain"), "quantized": (quantized, "modelopt")}
        results[name] = {}
        for part, (make, baseline) in parts.items():
            times = measure(make(network, data, inputs, targets), options.rounds, options.steps)
            results[name][part] = judged(times, baseline)
            show(f"{name}, {part}: a step of {BATCH} samples, against {baseline}", results[name][part])
    told = {"batch": BATCH, "size": SIZE, "threads": 1, "rounds": options.rounds, "steps": options.steps}
    write_json(ROOT / "benchmarks" / "results" / "overhead.json",
               {"machine": describe(), "settings": told, "networks": results})


if __name__ == "__main__":
    main()
