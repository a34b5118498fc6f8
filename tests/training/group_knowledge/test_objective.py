import pytest
import torch
import torch.nn.functional as F
from torch import nn

from twofour.common.errors import UserError
from twofour.training.config import GroupKnowledgeConfig
from twofour.training.distill import divergence
from twofour.training.group_knowledge import objective
from twofour.training.group_knowledge.base import check_elastic
from twofour.training.group_knowledge.elastic import full, shortened
from twofour.training.group_knowledge.objective import GroupKnowledge
from twofour.training.group_knowledge.sampler import sample
from twofour.training.group_knowledge.stochastic_depth import StochasticDepth, survivals


@pytest.fixture(scope="module")
def networks(load):
    return load("training/group_knowledge/networks.py")


@pytest.fixture
def batch(networks):
    network, inputs = networks.built("tiny_resnet")
    return network, inputs, torch.tensor([3, 1, 4, 1])


def made(batch, kind=GroupKnowledge, **config):
    network, inputs, targets = batch
    found = kind(GroupKnowledgeConfig(**config))
    found.check(network, [(inputs, targets)])
    return found


def answers(stages, batch, keeps):
    network, inputs, _ = batch
    found = []
    for keep in keeps:
        with shortened(stages, keep):
            found.append(network(inputs).detach())
    return found


@pytest.fixture
def drawn(monkeypatch):
    """The subnets, in the order in which they are drawn, and what each was drawn from."""
    keeps, parents = [], []

    def draw(keep, *rest):
        parents.append(keep)
        keeps.append(sample(keep, *rest))
        return keeps[-1]

    monkeypatch.setattr(objective, "sample", draw)
    return keeps, parents


def terms(found, batch):
    return [float(term.detach()) for term in found.terms(*batch, "here")]


def test_the_labels_are_for_the_network_alone(batch):
    network, inputs, targets = batch
    found = made(batch)
    torch.manual_seed(0)
    one = terms(found, batch)
    torch.manual_seed(0)
    other = terms(found, (network, inputs, (targets + 1) % 10))
    assert one[0] == pytest.approx(float(F.cross_entropy(network(inputs), targets).detach()))
    assert one[0] != other[0]
    assert one[1:] == other[1:]


def test_with_one_loop_a_subnets_teacher_is_its_parent(batch, drawn):
    found = made(batch, groups=3, loops=1, strict=True)
    losses = terms(found, batch)
    keeps, parents = drawn
    assert parents == [full(found.stages), *keeps[:-1]]
    told = answers(found.stages, batch, [full(found.stages), *keeps])
    assert losses[1:] == pytest.approx([float(divergence(*pair, 1.0)) for pair in zip(told[1:], told, strict=False)])


@pytest.mark.parametrize(("aggregate", "weights"), [("ema", (0.3, 0.7)), ("last", (0.0, 1.0)), ("none", (1.0, 0.0))])
def test_with_two_loops_the_second_group_learns_what_both_of_the_first_know(batch, drawn, aggregate, weights):
    decay = {"decay": 0.3} if aggregate == "ema" else {}
    found = made(batch, groups=2, loops=2, strict=True, aggregate=aggregate, weight=2, temperature=3, **decay)
    losses = terms(found, batch)
    keeps, parents = drawn
    assert parents == [full(found.stages), keeps[0], full(found.stages), keeps[2]]
    whole, first, _, second, last = answers(found.stages, batch, [full(found.stages), *keeps])
    knowledge = weights[0] * first + weights[1] * second
    assert losses[3] == pytest.approx(2 * float(divergence(second, whole, 3)))
    assert losses[4] == pytest.approx(2 * float(divergence(last, knowledge, 3)), rel=1e-4)


def test_a_step_of_stimulative_training(batch):
    """Uniform, from the whole network and taught by it: the predecessor's own rule, written out."""
    network, inputs, targets = batch
    found = made(batch, groups=1, loops=1, rho=1, nested=False, teacher="main")
    torch.manual_seed(5)
    losses = [(term.backward(), float(term.detach()))[1] for term in found.terms(*batch, "here")]
    gradients = [parameter.grad for parameter in network.parameters()]
    network.zero_grad()
    torch.manual_seed(5)
    keep = [len(stage) - int(torch.multinomial(torch.ones(len(stage)).double(), 1)) for stage in found.stages]
    logits = network(inputs)
    with shortened(found.stages, keep):
        student = network(inputs)
    told = F.kl_div(F.log_softmax(student, 1), F.softmax(logits.detach(), 1), reduction="batchmean")
    (F.cross_entropy(logits, targets) + told).backward()
    assert losses[1] == pytest.approx(float(told), abs=1e-6)
    for parameter, gradient in zip(network.parameters(), gradients, strict=True):
        assert torch.allclose(parameter.grad, gradient, atol=1e-6)


def test_without_nesting_every_subnet_is_drawn_from_the_network(batch, drawn):
    found = made(batch, groups=3, loops=2, nested=False)
    terms(found, batch)
    assert set(drawn[1]) == {full(found.stages)}


def test_gradients_taken_part_by_part_are_those_of_the_sum(batch):
    network = batch[0]
    found = made(batch, groups=2, loops=2, rho=0.9)
    torch.manual_seed(2)
    for term in found.terms(*batch, "here"):
        term.backward()
    parts = [parameter.grad.clone() for parameter in network.parameters()]
    network.zero_grad()
    torch.manual_seed(2)
    found(*batch, "here").backward()
    for parameter, gradient in zip(network.parameters(), parts, strict=True):
        assert torch.allclose(parameter.grad, gradient, atol=1e-6)


def test_the_record_counts_blocks_and_distances(batch, drawn, tmp_path):
    from twofour.common.files import read_json

    found = made(batch, groups=2, loops=2, strict=True)
    losses = terms(found, batch)
    found.finish(tmp_path)
    record = read_json(tmp_path / "group_knowledge.json")
    shares = [sum(keep) / sum(full(found.stages)) for keep in drawn[0]]
    assert record["cost"] == pytest.approx(1 + sum(shares))
    assert record["groups"][1]["kept"] == pytest.approx((shares[1] + shares[3]) / 2)
    assert record["groups"][1]["gap"] == pytest.approx((losses[2] + losses[4]) / 2)
    again = GroupKnowledge(found.config)
    again.load_state(found.state())
    assert again.state().keys() == found.state().keys()


def test_stochastic_depth_survives_by_its_number_and_is_the_plain_network_when_all_do(batch):
    network, inputs, targets = batch
    found = made(batch, StochasticDepth, survival=0.4)
    chances = survivals(found.stages, 0.4)
    assert [block.path for block, _ in chances] == ["body.1", "body.2", "body.4", "body.5"]
    assert [chance for _, chance in chances] == pytest.approx([0.8, 0.7, 0.5, 0.4])
    plain = float(F.cross_entropy(network(inputs), targets).detach())
    assert terms(made(batch, StochasticDepth, survival=1.0), batch) == [pytest.approx(plain, rel=1e-5)]


def test_stochastic_depth_divides_what_survives_so_that_its_mean_is_the_network(networks):
    """Linear blocks: the mean over draws of the training network is the network that is tested."""
    torch.manual_seed(0)
    network = nn.Sequential(*(networks.Block(branch=nn.Linear(8, 8, bias=False)) for _ in range(3)))
    inputs = torch.randn(1, 8)
    found = StochasticDepth(GroupKnowledgeConfig(survival=0.5))
    found.check(network, [(inputs, torch.tensor([0]))])
    seen, wanted = [], network(inputs).detach()
    network.register_forward_hook(lambda _module, _args, output: seen.append(output.detach()))
    for _ in range(3000):
        next(found.terms(network, inputs, torch.tensor([0]), "here"))
    assert torch.cat(seen).mean(0) == pytest.approx(wanted[0], abs=0.06)


def test_a_branch_that_no_module_returns_is_named(networks):
    network = nn.Sequential(networks.Bare(), networks.Bare())
    found = StochasticDepth(GroupKnowledgeConfig(survival=0.5))
    with pytest.raises(UserError, match="branch of the block '1' can't be scaled"):
        found.check(network, [(torch.randn(2, 8), torch.tensor([0, 1]))])


def test_answers_that_are_no_classes_are_refused(networks):
    blocks = [networks.Block(), networks.Block()]
    one, pixels = (nn.Linear(8, 1), torch.zeros(2).long()), (nn.Unflatten(1, (2, 4)), torch.zeros(2, 4).long())
    for last, targets in (one, pixels):
        network = nn.Sequential(*blocks, last)
        with pytest.raises(UserError, match="compares answers over classes"):
            check_elastic(network, torch.randn(2, 8), targets)
    with pytest.raises(UserError, match="A label is out of range"):
        check_elastic(nn.Sequential(*blocks), torch.randn(2, 8), torch.tensor([0, 8]))
