from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

from twofour.common.errors import UserError
from twofour.engines.finite import refuse_nan


@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.float64, ml_dtypes.bfloat16])
def test_the_first_sample_that_holds_nan_is_named(dtype):
    x = np.zeros((4, 2, 2), dtype)
    refuse_nan({"x": x, "ids": np.zeros(4, np.int64), "mask": np.zeros(4, bool)})
    x[0] = np.inf
    refuse_nan({"x": x})
    x[2, 1, 0] = x[3, 0, 0] = np.nan
    with pytest.raises(UserError, match=r"reference\.npz: The input 'x' holds NaN in sample 2"):
        refuse_nan({"ids": np.zeros(4, np.int64), "x": x}, "reference.npz")
