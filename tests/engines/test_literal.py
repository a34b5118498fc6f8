from __future__ import annotations

import numpy as np
import onnx
import pytest

from twofour.common.errors import UserError
from twofour.engines.literal import LiteralRunner


@pytest.fixture
def path(tmp_path, network):
    onnx.save(network.onnx(dtype=np.int8), str(tmp_path / "model.onnx"))
    return tmp_path / "model.onnx"


def test_every_quantizer_rounds_where_it_stands(path, network):
    x = np.random.default_rng(0).uniform(0, 1, (8, 64)).astype(np.float32)
    runner = LiteralRunner(path)
    np.testing.assert_allclose(runner.infer({"x": x})["logits"], network.pytorch(x)[1], atol=1e-4)
    runner.close()


def test_what_it_cannot_run_is_the_users_error_with_the_file(path):
    with pytest.raises(UserError, match=r"nowhere\.onnx: ONNX Runtime can't run it on a CPU"):
        LiteralRunner(path.with_name("nowhere.onnx"))
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(UserError, match=r"model\.onnx: ONNX Runtime can't run it on a CPU"):
        LiteralRunner(path)


def test_inputs_that_do_not_fit(path):
    with pytest.raises(UserError, match="can't run it on a CPU"):
        LiteralRunner(path).infer({"x": np.zeros((2, 3), np.float32)})
