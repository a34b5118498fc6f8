import pytest
import torch

from twofour.training.config import DataConfig, ModelConfig, TrainConfig
from twofour.training.gan.adversary import Adversary
from twofour.training.gan_data import digits_from_noise, edges_to_digits
from twofour.training.gan_models import tiny_discriminator, tiny_generator, tiny_translator
from twofour.training.stage import StageRequest

NETS = "twofour.training.gan_models:"
MODELS = {
    "edges": ModelConfig(factory=NETS + "tiny_translator", args={"width": 16}),
    "noise": ModelConfig(factory=NETS + "tiny_generator", args={"width": 16, "size": 8, "noise": 16}),
}
DATA = {
    "edges": DataConfig(factory="twofour.training.gan_data:edges_to_digits", args={"batch": 300, "size": 8}),
    "noise": DataConfig(
        factory="twofour.training.gan_data:digits_from_noise", args={"batch": 300, "size": 8, "noise": 16}
    ),
}


def gan_of(case, **changes):
    args = {"size": 8, "width": 8, "conditional": case == "edges"}
    return {"discriminator": {"factory": NETS + "tiny_discriminator", "args": args}, "lr": 1e-3,
            "reconstruction": 10.0 if case == "edges" else 0.0, **changes}


@pytest.fixture
def networks():
    """Generator, discriminator, inputs and real pictures of a case; all of them small."""

    def made(case, seed=0):
        torch.manual_seed(seed)
        if case == "edges":
            generator, data = tiny_translator(width=16), edges_to_digits(batch=32, size=8)
        else:
            generator, data = tiny_generator(16, 8, width=16), digits_from_noise(batch=32, size=8, noise=16)
        return generator, tiny_discriminator(1, 8, 8, case == "edges"), *next(iter(data.train))

    return made


@pytest.fixture
def adversary(networks):
    from twofour.training.config import GanConfig

    def made(case, **said):
        generator, discriminator, inputs, targets = networks(case)
        return generator, Adversary(discriminator, GanConfig(**said)), inputs, targets

    return made


@pytest.fixture
def ask():
    """Builds a StageRequest of a generator whose epochs take well under a second."""

    def build(stage, epochs, student=None, teacher=None, case="edges", **said):
        gan = gan_of(case, **said.pop("gan", {}))
        method = said.pop("method", "gan" if stage == "dense" else "gan_compression")
        optimizer = {"name": "adamw", "lr": 1e-3, "betas": [0.5, 0.999], "weight_decay": 0}
        train = TrainConfig.model_validate(
            {"stage": stage, "epochs": epochs, "method": method, "optimizer": optimizer, "gan": gan, **said}
        )
        return StageRequest(MODELS[case], DATA[case], train, 0, "key", student, teacher)

    build.models, build.data, build.gan = MODELS, DATA, gan_of
    return build
