import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from twofour.training.amendment.mediate import mediate, shares
from twofour.training.config import AdversarialAmendmentConfig


def config(rule, **changed):
    return AdversarialAmendmentConfig(mediate_rule=rule, attack_steps=3, **changed)


@settings(deadline=None)
@given(rule=st.sampled_from(["uniform", "grid", "beta"]), points=st.integers(1, 6), alpha=st.floats(0.2, 5),
       seed=st.integers(0, 99))
def test_mediate_samples_lie_on_the_line_each_at_its_own_share(rule, points, alpha, seed):
    torch.manual_seed(seed)
    inputs = torch.randn(6, 1, 3, 3)
    other = inputs + (torch.rand_like(inputs) - 0.5) * 0.2
    said = config(rule, **{"grid": {"mediate_points": points}, "beta": {"mediate_alpha": alpha}}.get(rule, {}))
    state = torch.get_rng_state()
    drawn = shares(6, said).view(-1, 1, 1, 1)
    torch.set_rng_state(state)
    found = mediate(inputs, [inputs, other], said)
    assert ((drawn >= 0) & (drawn <= 1)).all()
    assert torch.allclose(found, (1 - drawn) * inputs + drawn * other, atol=1e-6)
    assert ((found - inputs).abs() <= drawn * (other - inputs).abs() + 1e-6).all()
    assert (found >= torch.minimum(inputs, other) - 1e-6).all()
    assert (found <= torch.maximum(inputs, other) + 1e-6).all()


def test_the_rules_draw_what_they_say():
    torch.manual_seed(0)
    assert set(shares(200, config("grid", mediate_points=3)).tolist()) == {0.25, 0.5, 0.75}
    even, extreme = shares(4000, config("uniform")), shares(4000, config("beta", mediate_alpha=0.2))
    assert even.std() == pytest.approx(12**-0.5, abs=0.01)
    assert extreme.mean() == pytest.approx(0.5, abs=0.03)
    assert extreme.std() > 0.38


def test_none_is_the_adversarial_sample_and_iterates_one_of_those_before_it():
    torch.manual_seed(0)
    made = [torch.full((64, 2), float(step)) for step in (1, 2, 3)]
    assert mediate(made[0], made, config("none")) is made[2]
    found = mediate(torch.zeros(64, 2), made, config("iterates"))
    assert torch.equal(found[:, 0], found[:, 1])
    assert set(found.unique().tolist()) == {1.0, 2.0}
