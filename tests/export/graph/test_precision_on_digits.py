"""The whole way on a trained network: measured, typed, and compared with the master on real inputs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from twofour.common import bundle as bundles
from twofour.common.agreement import agreement
from twofour.engines.ranges import largest_magnitudes
from twofour.export.graph.load import load
from twofour.export.graph.passes import count
from twofour.export.graph.precision import type_rest
from twofour.export.graph.two_four import check


@pytest.mark.slow
@pytest.mark.parametrize(("rest", "least"), [("fp16", 30), ("bf16", 40)])
def test_a_trained_network_answers_as_before(finished: Path, graphs: Any, rest: Any, least: float) -> None:
    bundle = bundles.read(finished / "bundle")
    inputs = bundle.arrays(bundles.REFERENCE, "inputs")
    largest = largest_magnitudes(bundle.model, inputs)
    master, model = load(bundle.model), load(bundle.model)
    typing = type_rest(model, rest, largest)
    assert typing.islands == []
    assert (check(model), count(model)) == (check(master), count(master))
    assert sum(row.two_four for row in check(model)) > 0
    name = str(master.graph.outputs[0].name)
    expected, answer = graphs.answer(master, **inputs), graphs.typed_answer(model, **inputs)
    found = agreement({name: expected}, {name: answer})
    assert np.isfinite(largest[name])
    assert found.predictions > 0.99
    assert found.snr_db is None or found.snr_db > least
