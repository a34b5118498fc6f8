from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from twofour.export.config import ExportConfig


def test_dynamo_with_an_old_opset_is_refused_when_the_recipe_is_read() -> None:
    with pytest.raises(ValidationError, match="dynamo exporter writes opset 18 or newer, not 17; set opset to 18"):
        ExportConfig.model_validate({"exporter": "dynamo", "opset": 17})
    assert ExportConfig(exporter="dynamo", opset=18).opset == 18
    assert ExportConfig(exporter="torchscript", opset=13).opset == 13


@pytest.mark.parametrize("value", [True, "20", 20.0])
@pytest.mark.parametrize("key", ["opset", "reference_samples", "eval_samples", "layer_samples"])
def test_a_count_is_a_whole_number_and_no_switch(key: str, value: Any) -> None:
    with pytest.raises(ValidationError, match="valid integer"):
        ExportConfig.model_validate({key: value})


@pytest.mark.parametrize("value", [["height"], [], ["batch", "batch"], ["batch", "depth"]])
def test_the_batch_is_always_dynamic(value: Any) -> None:
    with pytest.raises(ValidationError, match=r"the batch is always dynamic|Input should be 'batch'"):
        ExportConfig.model_validate({"dynamic": value})
    assert ExportConfig.model_validate({"dynamic": ["width", "batch"]}).dynamic == ["width", "batch"]
