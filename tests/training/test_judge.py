from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from twofour.common.errors import UserError
from twofour.common.images import Features, frechet_distance, ssim
from twofour.training.evaluate import evaluate
from twofour.training.judge import Classes, judge_of, metric_of
from twofour.training.loaders import Loaders, TensorLoader
from twofour.training.span import span_of

DRAW = torch.Generator().manual_seed(0)
INPUTS, PICTURES = torch.rand(9, 1, 12, 12, generator=DRAW), torch.rand(9, 1, 12, 12, generator=DRAW) * 3 - 1
FEATURES = Features(np.random.default_rng(0).normal(size=(144, 4)).astype(np.float32), np.zeros(4, np.float32))


def loaders(targets=PICTURES, **said):
    return Loaders(*[TensorLoader(INPUTS, targets, 4)] * 3, **said)


def measured(data):
    return evaluate(nn.Identity(), data.val, judge=judge_of(data))


def test_pictures_are_measured_by_what_the_data_says():
    made, real, (low, high) = INPUTS.numpy(), PICTURES.numpy(), (float(PICTURES.min()), float(PICTURES.max()))
    distance = frechet_distance(FEATURES(made), FEATURES(real))
    both = measured(loaders(metric="ssim", features=FEATURES))
    assert list(both) == ["ssim", "loss", "feature_distance"]
    assert both["ssim"] == pytest.approx(ssim(made, real, high - low).mean())
    assert both["loss"] == pytest.approx(float((INPUTS - PICTURES).abs().mean()))
    assert measured(loaders(metric="feature_distance", features=FEATURES)) == pytest.approx(
        {"feature_distance": distance})
    assert measured(loaders(metric="ssim", span=(-1.0, 9.0)))["ssim"] == pytest.approx(ssim(made, real, 10.0).mean())
    assert isinstance(judge_of(loaders(torch.zeros(9).long())), Classes)


def test_the_values_of_the_targets_are_read_once():
    class Counted(TensorLoader):
        passes = 0

        def __iter__(self):
            Counted.passes += 1
            return super().__iter__()

    data = Loaders([], Counted(INPUTS, PICTURES, 4), [], metric="ssim")
    assert span_of(data) == span_of(data) == (float(PICTURES.min()), float(PICTURES.max()))
    assert Counted.passes == 1


@pytest.mark.parametrize(("data", "said"), [
    (loaders(metric="psnr"), "no metric called 'psnr'"),
    (loaders(metric="feature_distance"), "names no features"),
    (loaders(torch.zeros(9).long(), metric="ssim"), "no pictures"),
    (loaders(torch.ones(9, 1, 12, 12), metric="ssim"), "from 1 to 1"),
    (loaders(metric="ssim", span=(1.0, float("nan"))), "from 1 to nan"),
])
def test_data_that_cannot_be_measured_is_refused(data, said):
    with pytest.raises(UserError, match=said):
        judge_of(data)


def test_a_network_that_makes_no_pictures_is_named_with_the_batch():
    data = loaders(metric="ssim")
    with pytest.raises(UserError, match="answers with the shape") as caught:
        evaluate(nn.Flatten(), data.val, judge=judge_of(data))
    assert caught.value.where == "val loader, batch 0"


def test_data_of_another_make_is_measured_by_accuracy():
    assert metric_of(object()) == "accuracy"
