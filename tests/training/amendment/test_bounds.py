import pytest
import torch

from twofour.common.errors import UserError
from twofour.training.amendment.bounds import check_inputs, declared


@pytest.fixture(scope="module", autouse=True)
def nets(load):
    return load("training/amendment/nets.py")


def test_declared_bounds_become_tensors(nets):
    low, high = declared(nets.samples(bounds=(-1, torch.tensor(2.0, dtype=torch.float64))))
    assert (low.item(), high.item(), low.dtype, high.dtype) == (-1, 2, torch.float32, torch.float32)


@pytest.mark.parametrize("bounds", [None, (1.0, 1.0), (0.0, float("inf")), (0.0,), ("a", "b"), 3.0,
                                    (torch.zeros(2), torch.tensor([1.0, -1.0])), (torch.zeros(2), torch.ones(3))])
def test_what_is_no_range_is_refused(nets, bounds):
    with pytest.raises(UserError, match="bounds"):
        declared(nets.samples(bounds=bounds))


def test_data_that_declares_none_are_told_how_to(nets):
    with pytest.raises(UserError, match=r"doesn't declare the range.*\(0 - mean\) / std"):
        declared(nets.samples(declare=False))


@pytest.mark.parametrize("shape", [(), (3, 1, 1), (3, 4, 4), (4, 4)])
def test_bounds_that_broadcast_to_a_sample_fit(shape):
    check_inputs(torch.zeros(2, 3, 4, 4), (torch.zeros(shape), torch.ones(shape)), "here")


@pytest.mark.parametrize("shape", [(3,), (2, 3, 4, 4), (2, 1, 1)])
def test_others_do_not(shape):
    with pytest.raises(UserError, match="broadcast"):
        check_inputs(torch.zeros(2, 3, 4, 4), (torch.zeros(shape), torch.ones(shape)), "here")
