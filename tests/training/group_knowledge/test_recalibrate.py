import pytest
import torch
from torch import nn

from twofour.training.group_knowledge.recalibrate import recalibrate
from twofour.training.loaders import TensorLoader


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 4), nn.BatchNorm1d(4), nn.Dropout(0.5), nn.Linear(4, 4), nn.BatchNorm1d(4))


def batches(shuffle=False):
    torch.manual_seed(1)
    return TensorLoader(torch.randn(40, 5) * 3 + 1, torch.zeros(40).long(), 8, shuffle=shuffle)


def test_the_statistics_are_plain_means_over_as_many_batches_as_are_asked_for():
    model, loader = network(), batches()
    recalibrate(model, loader, samples=20)
    seen = [model[0](inputs) for inputs, _ in loader][:3]
    assert torch.allclose(model[1].running_mean, torch.stack([part.mean(0) for part in seen]).mean(0), atol=1e-5)
    assert torch.allclose(model[1].running_var, torch.stack([part.var(0) for part in seen]).mean(0), rtol=1e-4)
    assert int(model[1].num_batches_tracked) == 3
    assert model[1].momentum == 0.1


def test_it_is_the_same_each_time_and_leaves_random_states_and_modes_alone():
    model, loader = network().train(), batches(shuffle=True)
    model[4].eval()
    torch.manual_seed(3)
    before = torch.get_rng_state()
    recalibrate(model, loader, samples=20)
    assert torch.equal(torch.get_rng_state(), before)
    assert [module.training for module in model] == [True, True, True, True, False]
    first = {name: value.clone() for name, value in model.state_dict().items()}
    torch.manual_seed(4)
    recalibrate(model, loader, samples=20)
    assert all(torch.equal(value, first[name]) for name, value in model.state_dict().items())


def test_a_loader_with_its_own_generator_gives_the_same_batches_too():
    data = torch.utils.data.TensorDataset(torch.randn(40, 5), torch.zeros(40).long())
    loader = torch.utils.data.DataLoader(data, 8, shuffle=True, generator=torch.Generator())
    means = []
    for _ in range(2):
        model = network()
        recalibrate(model, loader, samples=20)
        means.append(model[1].running_mean)
    assert torch.equal(*means)


@pytest.mark.parametrize("samples", [0, 20])
def test_no_batch_norm_or_no_samples_reads_no_batch(samples):
    class Untouchable:
        def __iter__(self):
            raise AssertionError("read")

    recalibrate(network() if not samples else nn.Sequential(nn.Linear(2, 2)), Untouchable(), samples)
