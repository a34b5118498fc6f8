import time

import numpy as np

from twofour.common.measure import measured


def test_each_block_has_its_own_peak():
    with measured() as large:
        block = np.ones(40_000_000)
        del block
    with measured() as small:
        time.sleep(0.01)
    assert large.peak_memory_bytes > small.peak_memory_bytes + 200e6
    assert small.seconds >= 0.01
