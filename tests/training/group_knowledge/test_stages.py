import pytest
import torch
from torch import nn

from twofour.common.errors import UserError
from twofour.training.group_knowledge.elastic import full, scaled, shortened
from twofour.training.group_knowledge.stages import find_stages, usable_stages
from twofour.training.models import tiny_vit


@pytest.fixture(scope="module")
def networks(load):
    return load("training/group_knowledge/networks.py")


def stages_of(network, inputs):
    return find_stages(network, inputs, "here")


def paths(stages):
    return [[block.path for block in stage] for stage in stages]


@pytest.mark.parametrize(
    ("name", "where", "counts"),
    [
        ("tiny_resnet", "body.", [3, 3]),
        ("resnet", "model.resnet.encoder.stages.", [2, 3]),
        ("bottleneck", "model.resnet.encoder.stages.", [2, 3]),
        ("convnext", "model.convnext.encoder.stages.", [1, 2, 3]),
    ],
)
def test_the_stages_of_known_networks(networks, name, where, counts):
    network, inputs = networks.built(name)
    stages = stages_of(network, inputs[:2])
    if name == "tiny_resnet":
        assert paths(stages) == [[f"{where}{index}" for index in part] for part in ((0, 1, 2), (3, 4, 5))]
    else:
        assert paths(stages) == [[f"{where}{stage}.layers.{index}" for index in range(count)]
                                 for stage, count in enumerate(counts)]
    assert all(block.branch is not None for stage in stages for block in stage[1:])


@pytest.mark.parametrize("name", ["tiny_resnet", "resnet", "bottleneck", "convnext"])
def test_a_subnet_is_the_network_without_those_blocks_and_the_network_stays(networks, name):
    network, inputs = networks.built(name)
    stages = stages_of(network, inputs[:2])
    state = {key: value.clone() for key, value in network.state_dict().items()}
    with torch.no_grad():
        whole = network(inputs)
        with shortened(stages, full(stages)):
            assert torch.equal(network(inputs), whole)
        with shortened(stages, [1] * len(stages)):
            least = network(inputs)
        assert not torch.allclose(least, whole, atol=1e-4)
        for block in (block for stage in stages for block in stage[1:]):
            block.module.forward = lambda value: value
        assert torch.equal(network(inputs), least)
        for block in (block for stage in stages for block in stage[1:]):
            del block.module.forward
        assert torch.equal(network(inputs), whole)
    assert not any("forward" in vars(module) for module in network.modules())
    assert all(torch.equal(value, state[key]) for key, value in network.state_dict().items())


@pytest.mark.parametrize("name", ["tiny_resnet", "resnet", "bottleneck", "convnext"])
def test_a_branch_times_zero_is_a_block_left_out(networks, name):
    network, inputs = networks.built(name)
    stages = stages_of(network, inputs[:2])
    with torch.no_grad():
        with shortened(stages, [1] * len(stages)):
            least = network(inputs)
        with scaled((block.branch, 0.0) for stage in stages for block in stage[1:]):
            assert torch.allclose(network(inputs), least, atol=1e-6)


def test_what_was_there_is_put_back_also_after_an_error(networks):
    network, inputs = networks.built("tiny_resnet")
    stages, block = stages_of(network, inputs[:2]), network.body[2]
    block.forward = own = block.forward
    with pytest.raises(RuntimeError), shortened(stages, [1, 1]):
        network(torch.zeros(1, 7, 3, 3))
    assert block.forward is own


def test_looking_leaves_mode_hooks_and_random_states_alone(networks):
    network, inputs = networks.built("tiny_resnet")
    before = torch.get_rng_state()
    stages_of(network.train(), inputs[:2])
    assert network.training
    assert torch.equal(torch.get_rng_state(), before)
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in network.modules())


def test_what_is_a_block(networks):
    block, linear = networks.Block, nn.Linear(8, 8)
    deep = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 8))
    shared = block()
    cases = {
        "preserves": (nn.Sequential(block(), block(), block()), [3]),
        "projects": (nn.Sequential(block(), block(linear, deep), block()), [1, 2]),
        "activation between": (nn.Sequential(block(), nn.ReLU(), block()), [1, 1]),
        "nothing but weights on both sides": (nn.Sequential(block(deep, deep)), []),
        "no branch": (nn.Sequential(block(branch=nn.ReLU())), []),
        "a product": (nn.Sequential(block(combine=torch.mul)), []),
        "two sums": (nn.Sequential(networks.Norms(), networks.Norms()), []),
        "within another": (nn.Sequential(block(branch=nn.Sequential(block(), block()))), [2]),
        "used twice": (nn.Sequential(block(), shared, shared), [1]),
        "wrapped": (nn.Sequential(nn.Sequential(block()), nn.Sequential(block(), nn.Identity())), [2]),
    }
    for name, (network, counts) in cases.items():
        assert [len(stage) for stage in stages_of(network, torch.randn(2, 8))] == counts, name


def test_networks_of_no_use_are_refused_with_their_stages(networks):
    with pytest.raises(UserError, match="no residual stage"):
        usable_stages(tiny_vit(dim=16, depth=2, heads=1), torch.zeros(2, 1, 16, 16), "here")
    single = nn.Sequential(networks.Block(), nn.ReLU(), networks.Block())
    with pytest.raises(UserError, match=r"could be left out.*0 \(1 block\), 2 \(1 block\)"):
        usable_stages(single, torch.randn(2, 8), "here")
    with pytest.raises(UserError, match="can't take this batch"):
        usable_stages(single, torch.randn(2, 7), "here")


def test_a_block_that_is_called_by_keyword_can_be_left_out_too():
    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.Linear(6, 6)

        def forward(self, x):
            return x + torch.tanh(self.inner(x))

    class Keyed(nn.Module):
        def __init__(self):
            super().__init__()
            self.blocks, self.head = nn.ModuleList(Block() for _ in range(3)), nn.Linear(6, 2)

        def forward(self, x):
            for block in self.blocks:
                x = block(x=x)
            return self.head(x)

    network, inputs = Keyed().eval(), torch.randn(2, 6)
    stages = find_stages(network, inputs, "here")
    assert [len(stage) for stage in stages] == [3]
    with shortened(stages, (1,)):
        assert torch.equal(network(inputs), network.head(network.blocks[0](inputs)))
