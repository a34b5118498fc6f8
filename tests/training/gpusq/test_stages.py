import json

import pytest
import torch

from twofour.calibrate.config import CalibrateConfig
from twofour.common.errors import UserError
from twofour.training import loop, plan
from twofour.training.calibration import calibration_stage
from twofour.training.config import DataConfig, GpusqConfig, ModelConfig, OptimizerConfig, TrainConfig
from twofour.training.factory import build_data
from twofour.training.gpusq.factors import factors
from twofour.training.masks import is_two_four
from twofour.training.restore import load_stage, read_masks, read_ranges
from twofour.training.stage import StageRequest, train_stage
from twofour.training.weights import read_tensors

TINY = ModelConfig(factory="twofour.training.models:tiny_vit", args={"dim": 32, "depth": 2, "heads": 2})
VIT = {"image_size": 16, "patch_size": 8, "num_channels": 1, "hidden_size": 32, "num_attention_heads": 2,
       "intermediate_size": 32, "num_labels": 10, "num_hidden_layers": 3}
SWIN = {"image_size": 32, "patch_size": 4, "num_channels": 1, "embed_dim": 16, "depths": [1, 2, 2],
        "num_heads": [1, 1, 1], "window_size": 2, "mlp_ratio": 1, "num_labels": 10}
SECOND = ("2.blocks.0", "2.blocks.1")
DATA = DataConfig(factory="twofour_tests.training.gpusq.few_digits:few", args={"size": 16})


@pytest.fixture(scope="module", autouse=True)
def few_digits(load):
    return load("training/gpusq/few_digits.py")


def ask(name, epochs, model=TINY, student=None, teacher=None, data=DATA, said=None, **config):
    method = "supervised" if name == "dense" else "gpusq"
    train = TrainConfig(stage=name, method=method, epochs=epochs, gpusq=GpusqConfig(**config),
                        optimizer=OptimizerConfig(name="adamw", lr=0.002), **(said or {}))
    return StageRequest(model=model, data=data, train=train, seed=0, key="key", student=student, teacher=teacher)


def calibrated(model, data, source, folder, bits):
    config = CalibrateConfig(method="max", batches=1, bits=bits, placement="weights-and-inputs")
    calibration_stage(model, data, config, source, folder, 0)
    return folder


def features(folder):
    return json.loads((folder / "features.json").read_text())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "args", "size", "bits", "critical"),
    [("ViT", VIT, 16, 8, ["model.vit.layers.2"]), ("DeiT", VIT, 16, 4, ["model.deit.layers.2"]),
     ("Swin", SWIN, 32, 8, [f"model.swin.encoder.layers.{path}" for path in ("1.blocks.1", *SECOND)]),
    ],
)
def test_both_stages_with_networks_of_transformers(tmp_path, name, args, size, bits, critical):
    pytest.importorskip("transformers")
    dense, sparse, qat = (tmp_path / part for part in ("dense", "sparse", "qat"))
    model = ModelConfig(factory=f"transformers:{name}ForImageClassification", args=args)
    data = DataConfig(factory=DATA.factory, args={"size": size})
    train_stage(ask("dense", 1, model, data=data), dense)
    train_stage(ask("sparse", 1, model, dense, dense, data), sparse)
    losses = features(sparse)["losses"]
    assert list(losses) == critical
    assert min(losses.values()) > 0
    start = calibrated(model, data, sparse, tmp_path / "calibrate", bits)
    train_stage(ask("qat", 1, model, start, sparse, data), qat)
    assert features(qat)["factors"] == pytest.approx(factors(losses, "inverse"))
    assert {entry.bits for entry in read_ranges(qat)} == {bits}
    weights, masks = read_tensors(qat / "weights.safetensors"), read_masks(qat)
    assert any("patch_embeddings" in parameter for parameter in masks)
    assert all(is_two_four(weights[parameter], 1) for parameter in masks)
    assert not any(weights[parameter][~mask].any() for parameter, mask in masks.items())


@pytest.fixture(scope="module")
def dense(tmp_path_factory, few_digits):
    folder = tmp_path_factory.mktemp("gpusq") / "dense"
    train_stage(ask("dense", 2), folder)
    return folder


@pytest.fixture(scope="module")
def sparse(dense):
    folder = dense.parent / "sparse"
    train_stage(ask("sparse", 2, student=dense, teacher=dense), folder)
    return folder


class Killed(BaseException):
    pass


@pytest.mark.parametrize("name", ["sparse", "qat"])
def test_a_killed_stage_ends_like_one_that_was_not(tmp_path, dense, sparse, name, monkeypatch):
    student = calibrated(TINY, DATA, sparse, tmp_path / "calibrate", 8) if name == "qat" else dense
    request = ask(name, 2, student=student, teacher=sparse if name == "qat" else dense)
    whole, killed, save = tmp_path / "whole", tmp_path / "killed", loop.checkpoint.save
    metrics = train_stage(request, whole)
    for epoch in (1, 2):
        with monkeypatch.context() as patch:
            def save_and_die(folder, key, state, last=epoch):
                save(folder, key, state)
                if state.epoch == last:
                    raise Killed

            patch.setattr(loop.checkpoint, "save", save_and_die)
            with pytest.raises(Killed):
                train_stage(request, killed)
    assert train_stage(request, killed) == metrics
    for file in ("weights.safetensors", "metrics.json", "features.json"):
        assert (whole / file).read_bytes() == (killed / file).read_bytes(), file


HIDDEN = DataConfig(factory=DATA.factory, args={"size": 16, "hidden": True})


def test_without_supervision_no_label_is_touched_in_training(tmp_path, dense):
    unsupervised = {"data": HIDDEN, "labels": False}
    train_stage(ask("sparse", 1, student=dense, teacher=dense, **unsupervised), tmp_path / "sparse")
    start = calibrated(TINY, DATA, tmp_path / "sparse", tmp_path / "calibrate", 8)
    train_stage(ask("qat", 1, student=start, teacher=tmp_path / "sparse", **unsupervised), tmp_path / "qat")
    before, after = (read_tensors(folder / "weights.safetensors") for folder in (start, tmp_path / "qat"))
    assert not torch.equal(before["head.weight"], after["head.weight"])


def test_with_supervision_labels_must_be_there(tmp_path, dense):
    with pytest.raises(AssertionError, match="a label was touched"):
        train_stage(ask("sparse", 1, student=dense, teacher=dense, data=HIDDEN), tmp_path)


def test_no_teacher_no_losses_and_no_match_are_told_before_any_training(tmp_path, dense, sparse, monkeypatch):
    monkeypatch.setattr(loop, "learning_rate", None)  # no step can be taken
    with pytest.raises(UserError, match="learns from a teacher, and there is none"):
        train_stage(ask("sparse", 1, student=dense), tmp_path)
    with pytest.raises(UserError, match=r"'blocks.7' matches no layer"):
        train_stage(ask("sparse", 1, student=dense, teacher=dense, critical=["blocks.7"]), tmp_path)
    start = calibrated(TINY, DATA, sparse, tmp_path / "calibrate", 8)
    with pytest.raises(UserError, match="left no feature losses"):
        train_stage(ask("qat", 1, student=start, teacher=dense), tmp_path)
    with pytest.raises(UserError, match=r"no feature loss of blocks\.0"):
        train_stage(ask("qat", 1, student=start, teacher=sparse, critical=["blocks.0"]), tmp_path)


def test_pairs_are_pruned_and_held(tmp_path, dense):
    train_stage(ask("sparse", 1, student=dense, teacher=dense, said={"pairs": True}), tmp_path)
    weights, masks = read_tensors(tmp_path / "weights.safetensors"), read_masks(tmp_path)
    assert masks
    for name, mask in masks.items():
        pairs = mask.reshape(-1, 4, 2)
        assert torch.equal(pairs[..., 0], pairs[..., 1])
        assert (pairs[..., 0].sum(1) == 2).all()
        assert not weights[name][~mask].any()


def test_where_channels_are_permuted_the_teacher_has_the_students_order(tmp_path, dense, monkeypatch):
    class Seen(BaseException):
        pass

    def see(_train, teacher, *_):
        raise Seen(teacher)

    monkeypatch.setattr(plan, "make_objective", see)
    with pytest.raises(Seen) as seen:
        train_stage(ask("sparse", 1, student=dense, teacher=dense, said={"permute": True}), tmp_path)
    taught, before = seen.value.args[0].state_dict(), read_tensors(dense / "weights.safetensors")
    moved = read_tensors(tmp_path / "permuted.safetensors")
    assert all(torch.equal(taught[name], moved[name]) for name in moved)
    assert any(not torch.equal(taught[name], before[name]) for name in before)


def test_four_bits_come_back_from_the_stages_folder(tmp_path, dense):
    start = calibrated(TINY, DATA, dense, tmp_path / "calibrate", 4)
    network, inputs = load_stage(TINY, start), build_data(DATA).val.inputs[:8]
    layer = network.blocks[1].fc1
    assert (layer.weight / layer.weight_quantizer.amax * 7).round().unique().numel() <= 15
    assert len((layer.input_quantizer(torch.randn(999)) / layer.input_quantizer.amax * 7).round().unique()) <= 15
    assert torch.isfinite(network(inputs)).all()
