import pytest
from pydantic import ValidationError

from twofour.calibrate.config import CalibrateConfig


@pytest.mark.parametrize("value", [True, "20", 20.0])
def test_a_count_is_a_whole_number_and_no_switch(value):
    with pytest.raises(ValidationError, match="valid integer"):
        CalibrateConfig.model_validate({"batches": value})
    assert CalibrateConfig(batches=20).batches == 20
