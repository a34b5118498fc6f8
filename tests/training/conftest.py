import pytest

from twofour.training.config import DataConfig, DistillConfig, ModelConfig, OptimizerConfig, TrainConfig
from twofour.training.stage import StageRequest

MODEL = ModelConfig(factory="twofour.training.models:tiny_resnet", args={"widths": [16, 32], "blocks": 1})
DATA = DataConfig(factory="twofour.training.data:digits", args={"batch": 300, "size": 8})


@pytest.fixture
def model():
    return MODEL


@pytest.fixture
def data():
    return DATA


@pytest.fixture
def ask():
    """Builds a StageRequest on real digits that takes well under a second per epoch."""

    def build(stage, epochs, student=None, teacher=None, key="key", **changes):
        distill = DistillConfig(teacher="dense") if teacher else None
        optimizer = OptimizerConfig(lr=0.05, **changes.pop("optimizer", {}))
        said = {"stage": stage, "epochs": epochs, "optimizer": optimizer, "distill": distill, **changes.pop("said", {})}
        train = TrainConfig(**said)
        asked = {"model": MODEL, "data": DATA, "train": train, "seed": 0, "key": key, **changes}
        return StageRequest(student=student, teacher=teacher, **asked)

    return build
