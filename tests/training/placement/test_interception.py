import copy
import threading

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from twofour.training.placement import interception
from twofour.training.quantize import enabled, place

X = torch.randn(4, 8, 6, 6, generator=torch.Generator().manual_seed(0))


def network(block, style="plain"):
    torch.manual_seed(0)
    return nn.Sequential(block(style=style), block(style=style), nn.Conv2d(8, 8, 1))


def off(model):
    for quantizer in enabled(model).values():
        quantizer.disable()
    return model


@pytest.mark.parametrize("style", ["plain", "in place", "turned"])
@pytest.mark.parametrize("policy", ["tensorrt", ["tensorrt", "*.add_*"]])
def test_quantizers_that_are_off_change_nothing(block, style, policy):
    plain = network(block, style).eval()
    model = copy.deepcopy(plain)
    place(model, policy, X)
    assert torch.equal(off(model)(X), plain(X))


def test_a_sum_is_of_what_its_quantizers_give(block, placed):
    model = network(block)
    placed(model, "tensorrt", X)
    seen = []
    model[0].add_0.input_quantizer_b.register_forward_hook(lambda *_: seen.append(1))
    model[0](X)  # a part of the network called by itself is heard too
    assert len(seen) == 2  # the first convolution and the sum


def test_names_in_the_state_dict_stay(block):
    model = network(block)
    before = set(model.state_dict())
    place(model, "tensorrt", X)
    assert before <= set(model.state_dict())


def test_copies_are_independent(block, placed):
    model = network(block)
    placed(model, "tensorrt", X)
    other = copy.deepcopy(model)
    other[0].add_0.input_quantizer_b.amax = torch.tensor(1e-3)
    assert other[0].add_0.input_quantizer_b is other[0].conv1.input_quantizer
    assert not torch.equal(model(X), other(X))


def test_after_an_error_the_next_call_starts_afresh(block, placed):
    model = network(block)
    placed(model, "tensorrt", X)
    expected = model(X)
    with pytest.raises(RuntimeError):
        model(X[:, :3])
    assert not interception._thread.frames
    assert not interception._thread.modes
    assert torch.equal(model(X), expected)


def test_threads_don_t_disturb_each_other(block):
    model = network(block).eval()
    place(model, "tensorrt", X)
    off(model)  # ModelOpt's quantizers are not made for threads
    for part in (model[0], model[1]):
        part.add_0.input_quantizer_b = nn.Hardtanh(-0.5, 0.5)
    expected, found = model(X), []
    threads = [threading.Thread(target=lambda: found.append(model(X))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert all(torch.equal(answer, expected) for answer in found)


@pytest.mark.parametrize("reentrant", [True, False])
def test_activation_checkpointing_gives_the_same_gradients(block, placed, reentrant):
    model = network(block)
    placed(model, "tensorrt", X)
    gradients = []
    for use in (False, True):
        model.zero_grad()
        answer = X.clone().requires_grad_()
        for layer in model:
            answer = checkpoint(layer, answer, use_reentrant=reentrant) if use else layer(answer)
        answer.square().sum().backward()
        gradients.append([parameter.grad.clone() for parameter in model.parameters() if parameter.requires_grad])
    assert len(gradients[0]) > 8
    assert all(torch.allclose(a, b) for a, b in zip(*gradients, strict=True))


def test_accelerate_and_data_parallel_hear_the_same(block, placed):
    from accelerate import Accelerator

    model = network(block)
    placed(model, "tensorrt", X)
    expected = model(X)
    assert torch.equal(nn.DataParallel(model)(X), expected)
    assert torch.equal(Accelerator().prepare(model)(X), expected)


def test_a_module_that_is_called_twice_counts_from_the_start(placed):
    class Twice(nn.Module):
        def __init__(self, inner):
            super().__init__()
            self.inner, self.out = inner, nn.Conv2d(8, 8, 1)

        def forward(self, x):
            return self.out(self.inner(self.inner(x)))

    class Double(nn.Module):
        def forward(self, x):
            return x + x.flip(2)

    model = Twice(Double())
    groups = placed(model, "tensorrt", X)
    assert sum("add_0" in name for names in groups for name in names) == 2
    expected = float((X + X.flip(2)).abs().max())
    assert float(model.inner.add_0.input_quantizer_b.amax) == pytest.approx(expected, rel=0.02)


def test_a_container_s_own_computation_is_missed_and_said(capsys):
    class Dense(nn.Sequential):
        def forward(self, x):
            return self[1](x + torch.relu(self[0](x)))

    model = Dense(nn.Conv2d(8, 8, 1), nn.Conv2d(8, 8, 1)).eval()
    placement = place(model, "tensorrt", X)
    assert placement.sites == []
    assert "container" in placement.missed[0]
    assert "add_0" in capsys.readouterr().err
    assert len(model) == 2


def test_a_name_that_is_taken_gets_a_mark(placed):
    class Taken(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.add_0 = nn.Conv2d(8, 8, 1), "mine"

        def forward(self, x):
            return self.conv(x + x.flip(2))

    model = Taken()
    names = [name for names in placed(model, "tensorrt", X) for name in names]
    assert "add_0_.input_quantizer_a" in names
    assert model.add_0 == "mine"


def test_a_network_that_differs_from_run_to_run_gets_the_layers_alone(capsys):
    class Moody(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.calls = nn.Conv2d(8, 8, 1), 0

        def forward(self, x):
            self.calls += 1
            return self.conv(x + x.flip(2)) if self.calls == 1 else self.conv(x)

    model = Moody().eval()
    placement = place(model, "tensorrt", X)
    assert placement.policy == "weights-and-inputs"
    assert set(enabled(model)) == {"conv.input_quantizer", "conv.weight_quantizer"}
    assert "can't be traced" in capsys.readouterr().err


def test_an_in_place_sum_whose_name_is_dropped_is_noticed(capsys):
    class Dropped(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(8, 8, 1)

        def forward(self, x):
            y = torch.relu(x)
            y.add_(torch.sigmoid(x))
            return self.conv(y)

    model = Dropped().eval()
    expected = model(X)
    assert place(model, "tensorrt", X).policy == "weights-and-inputs"
    assert torch.equal(off(model)(X), expected)
    assert "change what it computes" in capsys.readouterr().err
