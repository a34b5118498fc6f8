import torch
from torch import nn

from twofour.training.config import LayersConfig
from twofour.training.eligibility import list_layers
from twofour.training.models import tiny_vit

X = torch.randn(4, 16, 6, 6, generator=torch.Generator().manual_seed(0))


def sparse(model):
    return [layer.name for layer in list_layers(model, LayersConfig()) if layer.sparse]


def test_a_layer_that_feeds_floats_gets_a_quantizer_at_the_end_of_what_is_fused_with_it(placed):
    model = nn.Sequential(nn.Conv2d(16, 16, 1), nn.BatchNorm2d(16), nn.ReLU(), nn.LayerNorm(6))
    assert placed(model, "tensorrt-sparse", X, sparse(model)) == [["0.input_quantizer"], ["2.output_quantizer"]]
    assert float(model[2].output_quantizer.amax) > 0
    steps = model[:3](X) / model[2].output_quantizer.amax * 127
    assert torch.allclose(steps, steps.round(), atol=1e-3)


def test_where_a_quantizer_follows_or_the_answer_is_returned_nothing_is_added(placed):
    def model():
        return nn.Sequential(nn.Conv2d(16, 16, 1), nn.ReLU(), nn.Conv2d(16, 16, 1), nn.Flatten())

    first, second = model(), model()
    assert placed(first, "tensorrt-sparse", X, sparse(first)) == placed(second, "tensorrt", X)


def test_a_layer_that_can_t_be_sparse_keeps_its_float_output(placed):
    model = nn.Sequential(nn.Conv2d(16, 6, 1), nn.LayerNorm(6))
    assert placed(model, "tensorrt-sparse", X, sparse(model)) == [["0.input_quantizer"]]


def test_in_a_transformer_it_is_what_comes_before_the_float_sums(placed):
    x = torch.randn(2, 1, 8, 8)
    arguments = {"size": 8, "dim": 16, "depth": 1, "heads": 2}
    plain, model = tiny_vit(**arguments), tiny_vit(**arguments)
    fewer, more = placed(plain, "tensorrt", x), placed(model, "tensorrt-sparse", x, sparse(model))
    added = [names for names in more if names not in fewer]
    expected = ["embed.output_quantizer", "blocks.0.attention.out.output_quantizer", "blocks.0.fc2.output_quantizer"]
    assert added == [[name] for name in expected]
