import pytest
import torch
from PIL import Image

from twofour.common.errors import UserError
from twofour.training.augment import jitter
from twofour.training.clutter import Clutter
from twofour.training.data import digits, hard_digits, image_folder


def test_digits_are_split_whole_and_in_proportion():
    data = digits(batch=64, size=12)
    assert [len(part.inputs) for part in (data.train, data.val, data.calibration)] == [1197, 360, 240]
    assert data.train.inputs.shape[1:] == (1, 12, 12)
    assert all(30 <= int((data.val.targets == label).sum()) <= 42 for label in range(10))
    pictures = torch.cat([part.inputs for part in (data.train, data.val, data.calibration)])
    assert len(torch.unique(pictures.flatten(1), dim=0)) > 1790


def test_digits_are_the_same_each_time_and_another_seed_splits_otherwise():
    assert torch.equal(digits().val.inputs, digits().val.inputs)
    assert not torch.equal(digits().val.targets, digits(seed=1).val.targets)


def test_training_batches_follow_the_random_state():
    data = digits(batch=500, size=8)
    passes = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        passes.append(next(iter(data.train))[0])
    assert torch.equal(passes[0], passes[1])
    assert not torch.equal(passes[0], passes[2])
    assert [len(targets) for _, targets in data.train] == [500, 500, 197]


@pytest.mark.parametrize("args", [{"size": 64}, {"size": 4}, {"batch": 0}])
def test_impossible_digits_are_refused(args):
    with pytest.raises(UserError):
        digits(**args)


def test_jitter_moves_each_picture_a_little_and_its_own_way():
    torch.manual_seed(0)
    picture = digits(size=16).val.inputs[:1].expand(8, -1, -1, -1)
    moved = jitter(picture)
    assert moved.shape == picture.shape
    assert not torch.equal(moved[0], moved[1])
    assert torch.allclose(jitter(picture, 0.0, 0.0, 0.0), picture, atol=1e-5)


@pytest.fixture
def pictures(tmp_path):
    """Real digits as files, a folder per class."""
    data = digits(size=8)
    for part, loader in (("train", data.train), ("val", data.val)):
        for label in range(3):
            (tmp_path / part / str(label)).mkdir(parents=True)
            for index, picture in enumerate(loader.inputs[loader.targets == label][:6]):
                array = ((picture[0] + 1) * 80).clamp(0, 255).to(torch.uint8).numpy()
                Image.fromarray(array).resize((20 + index, 24)).save(tmp_path / part / str(label) / f"{index}.png")
    return tmp_path


def test_a_folder_of_pictures_is_read(pictures):
    data = image_folder(str(pictures), size=16, batch=5, calibration=4)
    inputs, targets = next(iter(data.val))
    assert (inputs.shape, inputs.dtype, targets.dtype) == ((5, 3, 16, 16), torch.float32, torch.int64)
    assert sorted(torch.cat([targets for _, targets in data.train]).tolist()) == [0] * 6 + [1] * 6 + [2] * 6
    assert sum(len(targets) for _, targets in data.calibration) == 4
    first, second = (torch.cat([inputs for inputs, _ in data.calibration]) for _ in range(2))
    assert torch.equal(first, second)


def test_the_first_pictures_that_calibrate_are_of_every_class(pictures):
    data = image_folder(str(pictures), size=8, batch=9, calibration=18)
    assert set(next(iter(data.calibration))[1].tolist()) == {0, 1, 2}


def test_grey_pictures_have_one_channel(pictures):
    data = image_folder(str(pictures), size=8, channels=1, mean=[0.5], std=[0.5])
    assert next(iter(data.train))[0].shape[1] == 1


def test_no_folder_and_no_classes_and_other_classes_are_told(pictures, tmp_path):
    with pytest.raises(UserError, match="no such folder"):
        image_folder(str(tmp_path / "nowhere"))
    (pictures / "val" / "9").mkdir()
    with pytest.raises(UserError, match="only in one of them: 9"):
        image_folder(str(pictures))
    (pictures / "train" / "9").mkdir()
    with pytest.raises(UserError, match="no pictures"):
        image_folder(str(pictures))
    (tmp_path / "bare/train").mkdir(parents=True)
    with pytest.raises(UserError, match="no classes"):
        image_folder(str(tmp_path / "bare"))


def test_an_unreadable_picture_is_named(pictures):
    (pictures / "val" / "1" / "3.png").write_bytes(b"not a picture")
    with pytest.raises(UserError, match=r"1/3\.png"):
        list(image_folder(str(pictures), size=8).val)


def test_hard_digits_are_the_same_samples_each_time_and_new_ones_in_every_epoch():
    data, again = hard_digits(batch=200, copies=2), hard_digits(batch=200, copies=2)
    assert torch.equal(data.val.inputs, again.val.inputs)
    assert torch.equal(data.calibration.inputs, again.calibration.inputs)
    assert not torch.equal(data.val.inputs, hard_digits(seed=1, copies=2).val.inputs)
    assert not torch.equal(data.val.inputs[:360], data.val.inputs[360:])
    assert [tuple(part.shape) for part in (data.val.inputs, data.calibration.inputs)] == [
        (720, 1, 24, 24), (240, 1, 24, 24)]
    assert torch.equal(data.val.targets, digits().val.targets.repeat(2))
    torch.manual_seed(0)
    first, second = next(iter(data.train)), next(iter(data.train))
    torch.manual_seed(0)
    assert torch.equal(next(iter(again.train))[0], first[0])
    assert not torch.equal(first[0], second[0])
    assert abs(float(first[0].mean())) < 0.1
    assert 0.9 < float(first[0].std()) < 1.1
    assert first[0].shape == (200, 1, 24, 24)


def test_making_hard_digits_leaves_the_random_state_alone():
    torch.manual_seed(5)
    hard_digits(copies=1)
    number = torch.rand(1)
    torch.manual_seed(5)
    assert torch.equal(torch.rand(1), number)


@pytest.mark.parametrize("args", [{"size": 8}, {"size": 65}, {"batch": 0}, {"copies": 0}])
def test_impossible_hard_digits_are_refused(args):
    with pytest.raises(UserError):
        hard_digits(**args)


def test_a_digit_is_among_fragments_and_noise_and_nothing_else():
    torch.manual_seed(0)
    clean = torch.ones(4, 1, 8, 8)
    plain = Clutter(clean, 24, fragments=0, noise=0.0, warp=0.0)(clean)
    assert float(plain.min()) == 0.0
    assert 0.25 < float((plain > 0.3).float().mean()) < 0.75  # about 0.7 * 0.7 of the canvas
    strewn = Clutter(clean, 24, fragments=6, noise=0.0)(torch.zeros_like(clean))
    assert 0.02 < float((strewn > 0).float().mean()) < 0.35
    noise = Clutter(clean, 24, fragments=0, noise=0.5)(torch.zeros_like(clean))
    assert float(noise.std()) == pytest.approx(0.5, abs=0.05)
