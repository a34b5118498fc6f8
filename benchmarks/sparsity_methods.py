"""Methods of making a network sparse and INT8, side by side on real digits at equal training cost, over several seeds.

    python benchmarks/sparsity_methods.py [--seeds 3] [--only vit,hard] [--runs FOLDER]

For each network, data set and seed a dense network is trained once; every arm starts from it and trains for as many
epochs as it did, with the same hyper-parameters and a fresh optimizer; INT8 and INT4 arms add the same few epochs of
quantization-aware training. Rows are written as they are measured, to `results/sparsity_methods.json`; rows that are
there already are not measured again. ModelOpt's own flow is the peer.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from twofour.calibrate.config import CalibrateConfig
from twofour.common.files import read_json, write_json
from twofour.common.machine import describe
from twofour.pipeline.recipe import Recipe, validated
from twofour.training.calibration import calibration_stage
from twofour.training.config import TrainConfig
from twofour.training.stage import StageRequest, forget, train_stage

RESULTS = Path(__file__).parent / "results" / "sparsity_methods.json"
_ADAM = {"name": "adamw", "lr": 0.002, "weight_decay": 0.05, "warmup": 0.1}
_SGD = {"name": "sgd", "lr": 0.05}
NETWORKS: dict[str, dict[str, Any]] = {
    "resnet": {"factory": "twofour.training.models:tiny_resnet", "args": {"widths": [16, 32, 64], "blocks": 2}},
    "vit": {"factory": "twofour.training.models:tiny_vit", "args": {"dim": 64, "depth": 4, "patch": 4}},
}
SIZES = {"digits": {"resnet": 12, "vit": 16}, "hard": {"resnet": 24, "vit": 24}}
DATA = {"digits": "twofour.training.data:digits", "hard": "twofour.training.data:hard_digits"}
EPOCHS = {"resnet": 8, "vit": 30}
QAT_EPOCHS = {"resnet": 2, "vit": 4}


@dataclass(frozen=True)
class Arm:
    """One way from the dense network.

    Attributes:
        sparse: keys of the sparse stage; None: none, the dense stage is trained again instead.
        bits: of the quantized networks that follow, each with keys of its qat stage.
        only: the network it is for; both where it is empty.
    """

    sparse: dict[str, Any] | None
    quantized: dict[str, tuple[int, dict[str, Any]]] = field(default_factory=dict)
    only: str = ""


def _gpusq(**changed: Any) -> dict[str, Any]:
    return {"method": "gpusq", "gpusq": changed}


INT8 = {"int8": (8, {"method": "qat"})}
BOTH = {"int8": (8, _gpusq()), "int8, no factors": (8, _gpusq(factors="none")),
        "int8, linear factors": (8, _gpusq(factors="linear"))}
INT4 = {"int4": (4, _gpusq()), "int4, no factors": (4, _gpusq(factors="none"))}
ARMS = {
    "dense for as long": Arm(None),
    "one-shot": Arm({"epochs": 0}),
    "one-shot, permuted": Arm({"epochs": 0, "permute": True}),
    "one-shot, activations": Arm({"epochs": 0, "scores": "activations"}),
    "retrained": Arm({}, INT8),
    "retrained, permuted": Arm({"permute": True}, INT8),
    "retrained, distilled": Arm({"distill": {"teacher": "dense"}}, {"int8": (8, {"distill": {"teacher": "sparse"}})}),
    "SR-STE": Arm({"method": "sr_ste"}),
    "gradual": Arm({"method": "gradual"}),
    "unstructured 50 %": Arm({"pattern": "unstructured"}),
    "1:4": Arm({"pattern": "1:4"}),
    "GPUSQ": Arm(_gpusq(), BOTH, "vit"),
    "GPUSQ, permuted": Arm(_gpusq() | {"permute": True}, {}, "vit"),
    "GPUSQ without soft": Arm(_gpusq(soft=0), {"int8": (8, _gpusq(soft=0))}, "vit"),
    "GPUSQ without feature": Arm(_gpusq(feature=0), {"int8": (8, _gpusq(feature=0))}, "vit"),
    "GPUSQ without hard": Arm(_gpusq(hard=0), {"int8": (8, _gpusq(hard=0))}, "vit"),
    "GPUSQ without gate": Arm(_gpusq(gate=False), {"int8": (8, _gpusq(gate=False))}, "vit"),
    "GPUSQ without labels": Arm(_gpusq(labels=False), {"int8": (8, _gpusq(labels=False))}, "vit"),
    "GPUSQ, pairs": Arm(_gpusq() | {"pairs": True}, INT4, "vit"),
}
PEER = "ModelOpt, sparse then QAT"


def recipe_of(network: str, data: str, seed: int) -> Recipe:
    """A recipe without engines, from which the stages take their settings."""
    size = SIZES[data][network]
    model = NETWORKS[network] | {"args": NETWORKS[network]["args"] | ({"size": size} if network == "vit" else {})}
    optimizer = _SGD if network == "resnet" else _ADAM
    content = {
        "name": f"{network}-{data}", "seed": seed, "model": model,
        "data": {"factory": DATA[data], "args": {"batch": 32, "size": size}},
        "training": [{"stage": "dense", "epochs": EPOCHS[network], "optimizer": optimizer}, {"stage": "sparse"}],
    }
    return validated(content, Path("benchmarks/sparsity_methods.py")).resolved()


class Case:
    """One network, data set and seed, in a folder of its own."""

    def __init__(self, network: str, data: str, seed: int, folder: Path) -> None:
        self.recipe, self.network, self.folder = recipe_of(network, data, seed), network, folder
        self.about = {"network": network, "data": data, "seed": seed}

    def stage(self, name: str, train: TrainConfig, student: str | None, teacher: str | None = None) -> dict[str, Any]:
        """Train one stage; its metrics, seconds and, of a sparse stage, the accuracy before retraining."""
        recipe, place = self.recipe, self.folder / name
        start = time.perf_counter()
        request = StageRequest(
            recipe.model, recipe.data, train, recipe.seed, name, student and self.folder / student,
            teacher and self.folder / teacher,
        )
        train_stage(request, place)
        seconds = time.perf_counter() - start
        forget(place)
        found = read_json(place / "metrics.json")
        return {"accuracy": found["accuracy"], "one_shot": found.get("one_shot_accuracy"), "seconds": seconds}

    def rows(self, done: set[str]) -> Iterator[dict[str, Any]]:
        """All arms that are not done."""
        dense, sparse = self.recipe.training
        arms = {name: arm for name, arm in ARMS.items() if arm.only in ("", self.network)}
        wanted = {name for name, arm in arms.items() if {name, *(f"{name}, {tail}" for tail in arm.quantized)} - done}
        if not wanted and PEER in done and "dense" in done:
            return
        yield self._row("dense", self.stage("dense", dense, None))
        for name in (name for name in arms if name in wanted):
            if arms[name].sparse is None:
                yield self._row(name, self.stage("again", dense, "dense"))
            else:
                yield from self._arm(name, arms[name], sparse)
        from sparsity_peer import modelopt_flow  # ModelOpt takes seconds to import

        yield self._row(PEER, modelopt_flow(self.recipe, self.folder / "dense", QAT_EPOCHS[self.network]))

    def _row(self, arm: str, found: dict[str, Any]) -> dict[str, Any]:
        return {**self.about, "arm": arm, **found}

    def _arm(self, name: str, arm: Arm, base: TrainConfig) -> Iterator[dict[str, Any]]:
        train = self._merged(base, arm.sparse or {})
        yield self._row(name, self.stage("sparse", train, "dense", "dense" if train.teacher else None))
        for tail, (bits, keys) in arm.quantized.items():
            yield self._row(f"{name}, {tail}", self._quantized(bits, keys, base))

    def _quantized(self, bits: int, keys: dict[str, Any], base: TrainConfig) -> dict[str, Any]:
        recipe = self.recipe
        calibrated = calibration_stage(
            recipe.model, recipe.data, CalibrateConfig(bits=bits), self.folder / "sparse", self.folder / "calibrate",
            recipe.seed,
        )
        assert base.optimizer is not None
        optimizer = base.optimizer.model_copy(update={"lr": base.optimizer.lr / 10})
        start = {"stage": "qat", "method": "qat", "epochs": QAT_EPOCHS[self.network]}
        train = TrainConfig.model_validate(start | {"optimizer": optimizer.model_dump()} | keys)
        found = self.stage("qat", train, "calibrate", "sparse" if train.teacher else None)
        return {**found, "calibrated": calibrated["accuracy"], "bits": bits}

    @staticmethod
    def _merged(base: TrainConfig, keys: dict[str, Any]) -> TrainConfig:
        return TrainConfig.model_validate(base.model_dump() | keys)


def main() -> None:
    """Measure what is missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", default="", help="networks and data sets, with commas")
    parser.add_argument("--runs", type=Path, help="keep the folders here")
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    only = set(options.only.split(",")) - {""}
    rows = read_json(options.out)["rows"] if options.out.is_file() else []
    for seed in range(options.seeds):
        for network in sorted(only & set(NETWORKS)) or NETWORKS:
            for data in sorted(only & set(DATA)) or DATA:
                about = {"network": network, "data": data, "seed": seed}
                done = {row["arm"] for row in rows if about.items() <= row.items()}
                with tempfile.TemporaryDirectory() as spare:
                    folder = (options.runs or Path(spare)) / f"{network}-{data}-{seed}"
                    for row in Case(network, data, seed, folder).rows(done):
                        rows = [one for one in rows if not ({**about, "arm": row["arm"]}.items() <= one.items())]
                        rows.append(row)
                        print(row, flush=True)
                        write_json(options.out, {"machine": describe(), "rows": rows})


if __name__ == "__main__":
    main()
