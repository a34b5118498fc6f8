import pytest
import torch
from torch import nn

from twofour.calibrate.calibrate import calibrate
from twofour.calibrate.config import CalibrateConfig
from twofour.common.errors import UserError
from twofour.training.data import digits
from twofour.training.layers import Add
from twofour.training.quantize import enabled, insert

METHODS = ("max", "percentile", "entropy", "mse")


def network():
    torch.manual_seed(0)
    return insert(nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 10)))


def loader(*inputs):
    return [(batch, torch.zeros(len(batch)).long()) for batch in inputs]


@pytest.mark.parametrize("method", METHODS)
def test_every_method_gives_every_quantizer_a_range_within_what_it_saw(method):
    data, model = digits(size=8), network()
    ranges = calibrate(model, data.calibration, CalibrateConfig(method=method))
    peak = float(torch.cat([inputs for inputs, _ in data.calibration]).abs().max())
    found = {entry.tensor: entry for entry in ranges}
    assert found.keys() == enabled(model).keys()
    assert 0.2 * peak < found["1.input_quantizer"].amax <= peak * 1.0001
    assert found["1.input_quantizer"].method == method
    assert found["1.input_quantizer"].amax == float(model[1].input_quantizer.amax)
    assert found["3.weight_quantizer"].amax == model[3].weight.detach().abs().amax(1).tolist()
    assert all(quantizer._if_quant and not quantizer._if_calib for quantizer in enabled(model).values())


def test_max_is_the_largest_magnitude_and_entropy_and_percentile_cut_an_outlier():
    torch.manual_seed(0)
    inputs = torch.randn(64, 64)
    inputs[0, 0] = -50.0
    amax = {}
    for method in METHODS:
        config = CalibrateConfig(method=method, percentile=99.9)
        amax[method] = calibrate(network(), loader(inputs), config)[0].amax
    assert amax["max"] == 50.0
    assert amax["percentile"] < 6
    assert amax["entropy"] < 25


def test_mse_finds_the_least_squared_error():
    torch.manual_seed(0)
    inputs = torch.randn(200, 64)
    inputs[0, :4] = 12.0
    model = network()
    quantizer = model[1].input_quantizer
    best = calibrate(model, loader(inputs), CalibrateConfig(method="mse"))[0].amax

    def error(amax):
        quantizer.amax = torch.tensor(amax)
        return float((quantizer(inputs) - inputs).square().sum())

    assert error(best) <= 1.05 * min(error(12.0 * share / 50) for share in range(5, 51))


@pytest.mark.parametrize("method", METHODS)
def test_tiny_odd_and_constant_data_work(method):
    config = CalibrateConfig(method=method)
    for inputs in (torch.ones(1, 64), torch.eye(64)[:1] * 1e-5, torch.full((2, 64), -3.0)):
        ranges = calibrate(network(), loader(inputs), config)
        assert 0 < ranges[0].amax <= float(inputs.abs().max()) * 1.0001


@pytest.mark.parametrize("method", METHODS)
def test_the_order_of_batches_and_a_first_batch_of_zeros_make_no_difference(method):
    torch.manual_seed(1)
    small, large = torch.randn(8, 64) * 1e-4, torch.randn(8, 64)
    found = [
        calibrate(network(), loader(*batches), CalibrateConfig(method=method))
        for batches in ((torch.zeros(2, 64), small, large), (large, small, torch.zeros(2, 64)))
    ]
    assert found[0] == found[1]


class Dead(nn.Module):
    def __init__(self):
        super().__init__()
        self.used, self.unused, self.add = nn.Linear(4, 4), nn.Linear(4, 4), Add()

    def forward(self, x):
        return self.add(self.used(x), torch.zeros_like(x))


@pytest.mark.parametrize("method", METHODS)
def test_dead_quantizers_get_a_safe_range_and_a_warning(method, capsys):
    model = insert(Dead())
    with torch.no_grad():
        model.used.weight[1] = 0
    ranges = calibrate(model, loader(torch.ones(2, 4)), CalibrateConfig(method=method))
    found = {entry.tensor: entry for entry in ranges}
    assert found["add.input_quantizer_b"].amax == 1.0
    assert found["unused.input_quantizer"].amax == 1.0
    assert found["used.weight_quantizer"].amax[1] == max(found["used.weight_quantizer"].amax)
    said = capsys.readouterr().err
    assert "add.input_quantizer_b" in said
    assert "unused.input_quantizer" in said


def test_only_the_asked_number_of_batches_is_looked_at():
    ranges = calibrate(network(), loader(torch.ones(1, 64), torch.full((1, 64), 9.0)), CalibrateConfig(batches=1))
    assert ranges[0].amax <= 1.0


def test_quantizers_never_share_a_calibrator():
    model = network()
    calibrate(model, loader(torch.ones(1, 64)), CalibrateConfig())
    calibrators = [id(quantizer._calibrator) for quantizer in enabled(model).values()]
    assert len(set(calibrators)) == len(calibrators)


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (torch.full((2, 64), float("nan")), "NaN or infinity"),
        (torch.full((2, 64), float("inf")), "NaN or infinity"),
        (torch.zeros(2, 65), r"shape \(2, 65\)"),
    ],
)
def test_a_bad_batch_is_refused_and_named(bad, said):
    with pytest.raises(UserError, match=rf"calibration loader, batch 1: .*{said}") as raised:
        calibrate(network(), loader(torch.zeros(2, 64), bad), CalibrateConfig())
    assert raised.value.exit_code == 2


def test_an_empty_loader_is_refused():
    with pytest.raises(UserError, match="calibration loader: The loader is empty"):
        calibrate(network(), [], CalibrateConfig())


def test_weights_and_activations_that_are_not_finite_are_named():
    model = network()
    with torch.no_grad():
        model[1].weight[0, 0] = float("nan")
    with pytest.raises(UserError, match=r"3\.input_quantizer"):
        calibrate(model, loader(torch.ones(1, 64)), CalibrateConfig())


class Several(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Linear(64, 10)

    def forward(self, x):
        return {"logits": self.body(x), "boxes": None}


def test_a_network_of_several_outputs_is_calibrated():
    ranges = calibrate(insert(Several()), loader(torch.ones(2, 64)), CalibrateConfig(method="max"))
    assert {entry.tensor for entry in ranges} == {"body.input_quantizer", "body.weight_quantizer"}
