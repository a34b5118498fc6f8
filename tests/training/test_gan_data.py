import numpy as np
import pytest
import torch

from twofour.common.errors import UserError
from twofour.training.gan_data import digits_from_noise, edges, edges_to_digits


@pytest.mark.parametrize("made", [digits_from_noise, edges_to_digits])
def test_what_measures_is_the_same_each_time_and_training_follows_the_random_state(made):
    data, again = made(batch=500, size=8), made(batch=500, size=8)
    for part in ("val", "calibration"):
        first, second = getattr(data, part), getattr(again, part)
        assert torch.equal(first.inputs, second.inputs)
        assert torch.equal(first.targets, second.targets)
    assert np.array_equal(data.features.weight, again.features.weight)
    passes = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        passes.append(next(iter(data.train)))
    assert all(torch.equal(a, b) for a, b in zip(passes[0], passes[1], strict=True))
    assert all(not torch.equal(a, b) for a, b in zip(passes[0], passes[2], strict=True))


def test_noise_is_drawn_anew_in_each_pass_and_the_pictures_are_the_digits():
    data = digits_from_noise(batch=1200, size=8, noise=5)
    torch.manual_seed(0)
    (first, pictures), (second, _) = next(iter(data.train)), next(iter(data.train))
    assert first.shape == second.shape == (1197, 5)
    assert not torch.equal(first, second)
    assert (float(pictures.min()), float(pictures.max())) == (-1.0, 1.0)
    assert torch.equal(pictures.flatten(1).sort(0).values, data.train.inputs.flatten(1).sort(0).values)
    assert data.metric == "feature_distance"


def test_edges_are_where_the_picture_is_steep_and_belong_to_their_digit():
    square = torch.full((1, 1, 12, 12), -1.0)
    square[..., 4:, :] = 1
    found = edges(square)
    assert found.unique().tolist() == [-1.0, 1.0]
    assert (found[0, 0, :, 0] == 1).nonzero().flatten().tolist() == [3, 4]
    data = edges_to_digits(batch=64, size=16)
    inputs, targets = next(iter(data.train))
    assert inputs.shape == targets.shape == (64, 1, 16, 16)
    assert torch.equal(inputs, edges(targets))
    assert 0.1 < float((data.val.inputs == 1).float().mean()) < 0.5
    assert data.metric == "ssim"


def test_the_features_tell_digits_from_what_are_none():
    from twofour.common.images import frechet_distance

    data = digits_from_noise(size=8)
    real, others = (data.features(part.targets.numpy()) for part in (data.val, data.calibration))
    upside_down = data.features(data.val.targets.flip(2).numpy())
    assert frechet_distance(real, others) < frechet_distance(real, upside_down) / 3


@pytest.mark.parametrize("args", [{"size": 10}, {"size": 64}, {"batch": 0}])
@pytest.mark.parametrize("made", [digits_from_noise, edges_to_digits])
def test_impossible_sizes_are_refused(made, args):
    with pytest.raises(UserError, match="size from 8"):
        made(**args)


def test_no_noise_is_refused():
    with pytest.raises(UserError, match="1 value of noise"):
        digits_from_noise(noise=0)
