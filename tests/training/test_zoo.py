from importlib import import_module

import pytest
import torch

from twofour.common.errors import MissingError, UserError
from twofour.training.config import ModelConfig
from twofour.training.factory import build_model

CASES = [
    ("timm", "timm:resnet10t", {"num_classes": 5, "in_chans": 1}, (2, 1, 32, 32)),
    ("torchvision", "torchvision:mobilenet_v3_small", {"num_classes": 5}, (2, 3, 32, 32)),
    (
        "transformers",
        "transformers:ViTForImageClassification",
        {"image_size": 16, "patch_size": 4, "num_channels": 1, "hidden_size": 32, "num_hidden_layers": 1,
         "num_attention_heads": 2, "intermediate_size": 32, "num_labels": 5},
        (2, 1, 16, 16),
    ),
]


def importable(package):
    try:
        import_module(package)
    except ImportError:
        return False
    return True


@pytest.mark.parametrize(("package", "factory", "args", "shape"), CASES)
def test_an_architecture_is_built_or_its_package_named(package, factory, args, shape):
    config = ModelConfig(factory=factory, args=args)
    if importable(package):
        assert build_model(config).eval()(torch.zeros(shape)).shape == (2, 5)
    else:
        with pytest.raises(MissingError, match=r"pip install 'twofour\[(vision|hf)\]'"):
            build_model(config)


def test_an_unknown_name_suggests_near_ones():
    with pytest.raises(UserError, match="no architecture"):
        build_model(ModelConfig(factory="transformers:ViTForImageClassificationz"))
