import pytest
import torch
from torch import nn

from twofour.common.errors import UserError
from twofour.common.images import Features
from twofour.training.config import LayersConfig, TrainConfig
from twofour.training.judge import judge_of
from twofour.training.loaders import Loaders, TensorLoader
from twofour.training.pruning.choose import choose, described, eligible_layers, make_masker
from twofour.training.pruning.gradual import Gradual
from twofour.training.pruning.masker import Fixed
from twofour.training.pruning.sr_ste import SrSte


def stage(**said):
    return TrainConfig(stage="sparse", epochs=said.pop("epochs", 1), **said)


def test_no_layer_says_the_rule_that_each_one_met():
    network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Conv2d(32, 32, 3, groups=2), nn.Linear(32, 10), nn.Linear(20, 8))
    with pytest.raises(UserError) as raised:
        eligible_layers(network, stage())
    said = str(raised.value)
    for part in ("0: its reduction axis of 3", "1: a grouped", "2: its 10 outputs", "3: its reduction axis of 20"):
        assert part in said
    with pytest.raises(UserError, match="It has no Linear"):
        eligible_layers(nn.ReLU(), stage())


def test_the_axis_must_hold_whole_groups_of_the_pattern():
    network = nn.Sequential(nn.Linear(48, 8), nn.Linear(64, 8))
    assert [layer.sparse for layer in eligible_layers(network, stage(pattern="8:32"))] == [False, True]
    assert all(layer.sparse for layer in eligible_layers(network, stage(pattern="unstructured")))
    with pytest.raises(UserError, match="groups of 32"):
        eligible_layers(network, stage(pattern="8:32", layers=LayersConfig(include=["0"])))


def test_activations_outweigh_magnitude():
    network = nn.Sequential(nn.Linear(16, 8))
    with torch.no_grad():
        network[0].weight.copy_(torch.tensor([4.0, 3, 2, 1] * 4).repeat(8, 1))
    loud = torch.tensor([[1.0, 1, 1, 9] * 4])
    calibration = [(loud, torch.zeros(1, dtype=torch.long))]
    masks = [choose(network, stage(scores=scores), calibration)[0].masks(network)["0.weight"]
             for scores in ("magnitude", "activations")]
    assert masks[0][0, :4].tolist() == [True, True, False, False]
    assert masks[1][0, :4].tolist() == [True, False, False, True]


@pytest.fixture
def fragile():
    """Predicts the class of the first feature that is 1; the layer called 2 can't lose any weight, 0 can."""
    network = nn.Sequential(nn.Linear(16, 16, bias=False), nn.ReLU(), nn.Linear(16, 16, bias=False))
    with torch.no_grad():
        network[0].weight.copy_(torch.eye(16))
        network[2].weight.copy_(torch.eye(16) - 0.9)
    return network, [(torch.eye(16), torch.arange(16))]


def test_a_layer_that_cannot_bear_it_stays_dense_with_the_figure(fragile):
    network, calibration = fragile
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    with torch.no_grad():
        network[2].weight.fill_(-5).fill_diagonal_(1)  # its largest magnitudes are not those that decide
        before["2.weight"].copy_(network[2].weight)
    rule, layers = choose(network, stage(layers=LayersConfig(max_drop=0.2)), calibration)
    assert [layer.sparse for layer in layers] == [True, False]
    assert "costs 0.0000" in layers[0].reason
    drop = float(layers[1].reason.split("costs ")[1].split()[0])
    assert drop > 0.2
    assert "more than max_drop 0.2" in layers[1].reason
    assert rule.axes.keys() == {"0.weight"}
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    with pytest.raises(UserError, match="more than max_drop 0"):
        choose(nn.Sequential(network[2]), stage(layers=LayersConfig(max_drop=0.0)), calibration)


def test_the_method_chooses_the_masker_and_nothing_to_train_needs_fixed_masks(network, rule):
    masks = rule.masks(network)
    kinds = {"asp": Fixed, "sr_ste": SrSte, "gradual": Gradual}
    for method, kind in kinds.items():
        assert type(make_masker(stage(method=method), rule, masks)) is kind
        assert type(make_masker(stage(method=method, epochs=0), rule, masks)) is Fixed


@pytest.mark.parametrize(("pattern", "sparse"), [("2:4", True), ("1:4", True), ("4:8", False), ("unstructured", False)])
def test_only_what_is_two_four_is_called_so(network, pattern, sparse):
    train = stage(pattern=pattern)
    rule, layers = choose(network, train, [])
    (first, second) = described(network, layers, rule.masks(network), rule.pattern.text)
    assert first.sparse is sparse
    assert not second.sparse
    assert ("is not 2:4" in first.reason) is not sparse


def test_layers_that_bear_it_are_found_by_the_metric_of_the_data_in_its_own_direction():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(16, 16, 1, bias=False), nn.Conv2d(16, 16, 1, bias=False))
    pictures = torch.rand(8, 16, 12, 12)
    with torch.no_grad():
        network[0].weight.copy_(torch.eye(16)[..., None, None])  # 2:4 as it is
    features = Features(torch.rand(16 * 144, 4).numpy(), torch.zeros(4).numpy())
    for metric in ("ssim", "feature_distance"):
        targets = network(pictures).detach()
        targets = targets + (0.01 * torch.rand(targets.shape) if metric == "feature_distance" else 0)
        data = Loaders(*[TensorLoader(pictures, targets, 4)] * 3, metric=metric, features=features)
        config = stage(layers=LayersConfig(max_drop=0.01))
        _, layers = choose(network, config, data.calibration, lambda data=data: judge_of(data))
        assert [layer.sparse for layer in layers] == [True, False]
        assert f"of {metric.replace('_', ' ')} on the calibration loader, more than max_drop" in layers[1].reason
