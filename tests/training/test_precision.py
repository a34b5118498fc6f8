from types import SimpleNamespace

import pytest
import torch

from twofour.common.errors import UserError
from twofour.training.precision import check_precision, device, load_scaler_state, make_accelerator, scaler_state


def test_a_process_can_change_its_precision():
    matrix = torch.ones(4, 4, device=device())
    for precision, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16), ("fp32", torch.float32)):
        with make_accelerator(precision).autocast():
            assert (matrix @ matrix).dtype == dtype
    assert (matrix @ matrix).dtype == torch.float32


@pytest.mark.skipif(torch.cuda.is_available(), reason="FP16 is possible here")
def test_fp16_without_a_gpu_is_refused():
    with pytest.raises(UserError, match="FP16 needs a GPU"):
        check_precision("fp16")


def test_how_the_loss_is_scaled_comes_back():
    def scaled(factor):
        return SimpleNamespace(scaler=torch.amp.GradScaler("cpu", init_scale=factor, growth_interval=7))

    fresh = scaled(2.0)
    load_scaler_state(fresh, scaler_state(scaled(64.0)))
    assert fresh.scaler.state_dict() == scaled(64.0).scaler.state_dict()
    assert type(fresh.scaler.state_dict()["growth_interval"]) is int
    assert scaler_state(make_accelerator("bf16")) == {}
