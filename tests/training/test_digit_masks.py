import pytest
import torch

from twofour.common.errors import UserError
from twofour.training.clutter import Clutter
from twofour.training.data import digit_masks, digits, hard_digits, image_folder


def test_canvases_are_those_of_the_clutter_and_the_mask_is_the_whole_digit():
    images = digits(size=8).val.inputs[:6] * 0 + torch.rand(6, 1, 8, 8)
    clutter = Clutter(images, 16, fragments=0, noise=0.0)
    torch.manual_seed(3)
    alone = clutter(images)
    torch.manual_seed(3)
    canvas, ink = clutter.with_ink(images)
    assert torch.equal(alone, canvas)
    assert ((canvas <= ink) & (canvas >= 0.7 * ink)).all()


@pytest.mark.parametrize("by_digit", [False, True])
def test_pixels_have_classes(by_digit):
    data, clean = digit_masks(batch=100, by_digit=by_digit), digits()
    torch.manual_seed(0)
    batches = list(data.train)
    assert sum(len(targets) for _, targets in batches) == len(clean.train.inputs)
    assert len(batches) == len(data.train) == 12
    inputs, targets = data.val.inputs, data.val.targets
    assert (inputs.shape, targets.shape, targets.dtype) == ((360, 1, 16, 16), (360, 16, 16), torch.int64)
    assert targets.flatten(1).amax(1).tolist() == (clean.val.targets + 1 if by_digit else torch.ones(360)).tolist()
    assert 0.1 < float((targets > 0).float().mean()) < 0.4
    assert inputs[:, 0][targets > 0].mean() > inputs[:, 0][targets == 0].mean() + 1


def test_training_masks_are_made_anew_by_the_random_state_and_others_once():
    data, passes = digit_masks(batch=600), []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        passes.append(next(iter(data.train)))
    assert all(torch.equal(*pair) for pair in zip(passes[0], passes[1], strict=True))
    assert not torch.equal(passes[0][1], passes[2][1])
    assert torch.equal(digit_masks().val.targets, digit_masks().val.targets)
    assert len(digit_masks(copies=2).val.inputs) == 720


@pytest.mark.parametrize("args", [{"size": 8}, {"batch": 0}, {"copies": 0}])
def test_impossible_masks_are_refused(args):
    with pytest.raises(UserError, match="digit_masks"):
        digit_masks(**args)


def test_all_pictures_declare_their_range(tmp_path):
    for data in (digits(), hard_digits(), digit_masks()):
        low, high = data.bounds
        inside = ((data.val.inputs >= low - 1e-5) & (data.val.inputs <= high + 1e-5)).float().mean()
        assert inside > (0.999 if data.val.inputs.min() >= low - 1e-5 else 0.5)
    clean = digits(augment=False)
    assert (clean.train.inputs.min(), clean.train.inputs.max()) == pytest.approx(tuple(map(float, clean.bounds)))


def test_a_folders_range_is_that_of_black_and_white_in_each_channel(tmp_path):
    from PIL import Image

    for part in ("train", "val"):
        (tmp_path / part / "a").mkdir(parents=True)
        for name, value in (("black", 0), ("white", 255)):
            Image.new("RGB", (8, 8), (value,) * 3).save(tmp_path / part / "a" / f"{name}.png")
    data = image_folder(str(tmp_path), size=8, augment=False, batch=2)
    pictures, _ = next(iter(data.val))
    for bound, picture in zip(data.bounds, pictures, strict=True):
        assert bound.shape == (3, 1, 1)
        assert torch.allclose(picture, bound.expand(3, 8, 8))
