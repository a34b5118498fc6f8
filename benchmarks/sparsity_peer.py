"""NVIDIA ModelOpt's own flow from a dense network: sparsify by magnitude, train, quantize to INT8, train."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import modelopt.torch.quantization as mtq
import modelopt.torch.sparsity as mts

from twofour.pipeline.recipe import Recipe
from twofour.training.evaluate import evaluate
from twofour.training.factory import build_data
from twofour.training.loop import Phase, Plan, fit
from twofour.training.objective import Supervised
from twofour.training.pruning.masker import Fixed
from twofour.training.restore import load_stage


def modelopt_flow(recipe: Recipe, dense: Path, qat_epochs: int) -> dict[str, Any]:
    """Its accuracy before retraining, after it, and as INT8; the same epochs and hyper-parameters as the other arms.

    Args:
        recipe: its dense stage says how long and how is trained.
        dense: folder of the dense stage.
        qat_epochs: of quantization-aware training, with a tenth of the learning rate.
    """
    data, train = build_data(recipe.data), recipe.training[0]
    network = load_stage(recipe.model, dense)
    start = time.perf_counter()
    config = {"data_loader": data.calibration, "collect_func": _inputs}
    network = mts.sparsify(network, "sparse_magnitude", config=config)
    one_shot = evaluate(network, data.val, stage="peer")["accuracy"]
    folder = dense.parent / "peer"
    assert train.epochs is not None
    assert train.optimizer is not None
    sparse, _ = fit(network, data, _plan(recipe, "sparse", train.epochs, train.optimizer), folder / "sparse")
    network = mtq.quantize(network, mtq.INT8_DEFAULT_CFG, lambda model: [model(batch[0]) for batch in data.calibration])
    calibrated = evaluate(network, data.val, stage="peer")["accuracy"]
    slow = train.optimizer.model_copy(update={"lr": train.optimizer.lr / 10})
    qat, _ = fit(network, data, _plan(recipe, "qat", qat_epochs, slow), folder / "qat")
    return {"accuracy": qat["accuracy"], "sparse": sparse["accuracy"], "calibrated": calibrated, "one_shot": one_shot,
            "bits": 8, "seconds": time.perf_counter() - start}


def _inputs(batch: Any) -> Any:
    return batch[0]


def _plan(recipe: Recipe, stage: str, epochs: int, optimizer: Any) -> Plan:
    return Plan(stage, [Phase(epochs, optimizer, None)], recipe.seed, "peer", Supervised([0.0] * epochs, None), Fixed(),
                "fp32", None)
