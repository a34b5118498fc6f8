from __future__ import annotations

import pytest
from pydantic import ValidationError

from twofour.engines.config import OnnxRuntimeConfig, ProfileConfig


@pytest.mark.parametrize("value", [True, "2", 2.0, 0])
@pytest.mark.parametrize(
    ("config", "key"), [(OnnxRuntimeConfig, "threads"), (ProfileConfig, "batch"), (ProfileConfig, "runs")]
)
def test_a_number_of_things_is_a_whole_number_and_no_switch(config, key, value):
    assert config(**{key: [20] if key == "batch" else 20})
    with pytest.raises(ValidationError):
        config(**{key: [value] if key == "batch" else value})
