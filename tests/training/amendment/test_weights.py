import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from twofour.training.amendment.weights import sample_losses, vulnerability, weights

KINDS = ("probability", "loss", "flipped")


@settings(deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=20), st.floats(-5, 5))
def test_weights_have_mean_one_and_follow_the_sign_of_gamma(values, gamma):
    vulnerable = torch.tensor(values, requires_grad=True)
    found = weights(vulnerable, gamma)
    assert not found.requires_grad
    assert float(found.mean()) == pytest.approx(1, abs=1e-4)
    most, least = found[vulnerable.argmax()], found[vulnerable.argmin()]
    assert (most >= least) if gamma >= 0 else (most <= least)


def test_without_gamma_all_count_alike():
    assert torch.equal(weights(torch.rand(9), 0.0), torch.ones(9))


def test_vulnerability_is_what_the_label_lost():
    clean = torch.tensor([[9.0, 0, 0], [0, 2, 0], [0, 0, 1]])
    attacked = torch.tensor([[0.0, 9, 0], [0, 2, 0], [0, 0, 9]])
    targets = torch.tensor([0, 1, 2])
    found = vulnerability(clean, attacked, targets, "probability")
    assert found[0] == pytest.approx(0.9996, abs=1e-3)
    assert found[1:].tolist() == [0, 0]  # one is as it was, one is better off
    assert vulnerability(clean, attacked, targets, "flipped").tolist() == [1, 0, 0]
    assert vulnerability(clean, attacked, targets, "loss").tolist() == pytest.approx([3, 0, 0])
    assert vulnerability(clean, clean, targets, "loss").tolist() == [0, 0, 0]


@pytest.mark.parametrize("kind", KINDS)
def test_of_a_mask_it_is_the_mean_over_its_pixels(kind):
    torch.manual_seed(0)
    clean, attacked = torch.randn(2, 4, 3, 5, 5).unbind()
    targets = torch.randint(0, 3, (4, 5, 5))
    found = vulnerability(clean, attacked, targets, kind)
    assert found.shape == (4,)
    if kind != "loss":
        flat = [tensor.movedim(1, -1).reshape(-1, 3) for tensor in (clean, attacked)]
        assert torch.allclose(found, vulnerability(*flat, targets.flatten(), kind).view(4, -1).mean(1))
    assert torch.allclose(sample_losses(clean, targets).mean(), F.cross_entropy(clean, targets))


def test_label_smoothing_is_that_of_cross_entropy():
    logits, targets = torch.randn(6, 3), torch.randint(0, 3, (6,))
    assert torch.allclose(sample_losses(logits, targets, 0.2).mean(),
                          F.cross_entropy(logits, targets, label_smoothing=0.2))
