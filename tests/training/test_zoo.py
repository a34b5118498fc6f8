import pytest
import torch

from twofour.common.errors import UserError
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
]  # fmt: skip


@pytest.mark.parametrize(("package", "factory", "args", "shape"), CASES)
def test_an_architecture_is_built_and_answers_logits(package, factory, args, shape):
    pytest.importorskip(package, exc_type=ImportError)
    model = build_model(ModelConfig(factory=factory, args=args)).eval()
    assert model(torch.zeros(shape)).shape == (2, 5)


@pytest.mark.parametrize(("package", "factory", "args", "shape"), CASES)
def test_an_unknown_name_suggests_near_ones(package, factory, args, shape):
    pytest.importorskip(package, exc_type=ImportError)
    with pytest.raises(UserError, match="no architecture"):
        build_model(ModelConfig(factory=factory + "z"))
