from pathlib import Path

import pytest
from pydantic import ValidationError

from twofour.engines.triton.config import PackageConfig

DOCS = Path(__file__).parents[3] / "docs" / "triton.md"


def test_every_option_is_documented():
    text = DOCS.read_text()
    for name in PackageConfig.model_fields:
        assert f"`{name}`" in text
        option = name.replace("_", "-")
        assert f"`--{option}`" in text or f"`--no-{option}`" in text


@pytest.mark.parametrize("wrong", [
    {"max_batch": 0}, {"instances": 0}, {"queue_delay_us": -1}, {"backend": "pytorch"}, {"unknown": 1},
    {"max_batch": 1.5},
])
def test_impossible_options_are_refused(wrong):
    with pytest.raises(ValidationError):
        PackageConfig(**wrong)
