import pytest
from pydantic import ValidationError

from twofour.training.config import TrainConfig


@pytest.mark.parametrize("value", [True, "20", 20.0])
def test_a_count_is_a_whole_number_and_no_switch(value):
    with pytest.raises(ValidationError, match="valid integer"):
        TrainConfig.model_validate({"stage": "dense", "epochs": value})
    assert TrainConfig(stage="dense", epochs=20).epochs == 20
