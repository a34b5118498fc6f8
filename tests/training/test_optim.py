import pytest
from torch import nn

from twofour.training.config import OptimizerConfig
from twofour.training.optim import learning_rate, make_optimizer


@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_biases_and_normalisation_do_not_decay(name):
    model = nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(4))
    groups = make_optimizer(model, OptimizerConfig(name=name, weight_decay=0.3)).param_groups
    decays = {id(p): group["weight_decay"] for group in groups for p in group["params"]}
    assert decays == {id(p): 0.3 if p.ndim > 1 else 0.0 for p in model.parameters()}


def test_adamw_takes_its_betas():
    assert make_optimizer(nn.Linear(2, 2), OptimizerConfig(name="adamw")).defaults["betas"] == (0.9, 0.999)
    config = OptimizerConfig.model_validate({"name": "adamw", "betas": [0.5, 0.99]})
    assert make_optimizer(nn.Linear(2, 2), config).defaults["betas"] == (0.5, 0.99)


def test_the_rate_warms_up_to_its_peak_and_falls_to_almost_nothing():
    config = OptimizerConfig(lr=1.0, warmup=0.1)
    rates = [learning_rate(config, step, 100) for step in range(100)]
    assert rates[:10] == sorted(rates[:10])
    assert max(rates) == pytest.approx(1.0)
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[-1] < 0.001


@pytest.mark.parametrize("warmup", [0.0, 1.0])
def test_the_ends_of_the_warm_up(warmup):
    assert all(0 < learning_rate(OptimizerConfig(lr=1.0, warmup=warmup), step, 10) <= 1 for step in range(10))
