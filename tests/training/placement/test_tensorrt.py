import pytest
import torch
import torch.nn.functional as F
from torch import nn

X = torch.randn(4, 8, 6, 6, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(("style", "skip"), [("plain", "b"), ("in place", "b"), ("function", "b"), ("turned", "a")])
def test_the_skip_branch_is_quantized_and_not_what_the_convolution_adds(block, placed, style, skip):
    groups = placed(nn.Sequential(block(style=style), nn.Conv2d(8, 8, 1)), "tensorrt", X)
    assert groups == [
        ["0.conv1.input_quantizer", f"0.add_0.input_quantizer_{skip}"], ["0.conv2.input_quantizer"],
        ["1.input_quantizer"],
    ]


def test_of_two_convolutions_that_are_added_the_shorter_branch_is_the_skip(block, placed):
    groups = placed(nn.Sequential(block(project=True), nn.Conv2d(8, 8, 1)), "tensorrt", X)
    assert ["0.conv1.input_quantizer", "0.shortcut.input_quantizer"] in [sorted(names) for names in groups]
    assert ["0.add_0.input_quantizer_b"] in groups
    assert not any("input_quantizer_a" in name for names in groups for name in names)


def test_a_sum_that_nothing_quantized_follows_stays_float(block, placed):
    groups = placed(nn.Sequential(block(), nn.LayerNorm(6)), "tensorrt", X)
    assert groups == [["0.conv1.input_quantizer"], ["0.conv2.input_quantizer"]]


def test_summands_behind_an_activation_are_both_quantized(placed):
    class Late(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.out = nn.Conv2d(8, 8, 1), nn.Conv2d(8, 8, 1)

        def forward(self, x):
            return self.out(x + F.silu(self.conv(x)))

    names = [name for names in placed(Late(), "tensorrt", X) for name in names]
    assert {"add_0.input_quantizer_a", "add_0.input_quantizer_b"} <= set(names)


def test_a_concatenation_and_its_reader_share_one_quantizer(joined, placed):
    model = joined()
    groups = placed(model, "tensorrt", X)
    assert ["out.input_quantizer", "cat_0.input_quantizer"] in groups
    assert ["a.input_quantizer", "b.input_quantizer"] in groups
    assert model.out.input_quantizer is model.cat_0.input_quantizer
    with torch.no_grad():
        a, b = torch.relu(model.a(X)), torch.relu(model.b(X))
    assert float(model.out.input_quantizer.amax) == pytest.approx(float(torch.cat([a, b], 1).max()), rel=0.02)


@pytest.mark.parametrize("pool", [
    nn.AdaptiveAvgPool2d(1), nn.AvgPool2d(6), lambda x: F.adaptive_avg_pool2d(x, 1), lambda x: x.mean((2, 3))
])
def test_pooling_is_quantized_before_and_by_its_reader_after(placed, pool):
    class Pooled(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.head, self.pool = nn.Conv2d(8, 8, 1), nn.Linear(8, 3), pool

        def forward(self, x):
            return self.head(self.pool(F.relu(self.conv(x))).flatten(1))

    groups = placed(Pooled(), "tensorrt", X)
    name = "pool.input_quantizer" if isinstance(pool, nn.Module) else "pool_0.input_quantizer"
    assert groups == [["conv.input_quantizer"], ["head.input_quantizer"], [name]]


class Encoder(nn.Module):
    def __init__(self, fused):
        super().__init__()
        self.norm, self.fused = nn.LayerNorm(8), fused
        self.q, self.k, self.v, self.out = (nn.Linear(8, 8) for _ in range(4))
        self.mlp = nn.Sequential(nn.LayerNorm(8), nn.Linear(8, 16), nn.GELU(), nn.Linear(16, 8))

    def forward(self, x):
        y = self.norm(x)
        q, k, v = (layer(y).unflatten(2, (2, 4)).transpose(1, 2) for layer in (self.q, self.k, self.v))
        if self.fused:
            mixed = F.scaled_dot_product_attention(q, k, v)
        else:
            mixed = torch.softmax(q @ k.transpose(-2, -1) * 0.5, -1) @ v
        x = x + self.out(mixed.transpose(1, 2).flatten(2))
        return x + self.mlp(x)


TOKENS = torch.randn(4, 5, 8, generator=torch.Generator().manual_seed(1))


def test_both_ways_of_attention_are_quantized_alike(placed):
    torch.manual_seed(0)
    written, fused = Encoder(False), Encoder(True)
    fused.load_state_dict(written.state_dict())
    groups, others = placed(written, "tensorrt", TOKENS), placed(fused, "tensorrt", TOKENS)
    assert groups[0] == others[0] == ["q.input_quantizer", "k.input_quantizer", "v.input_quantizer"]
    assert len(groups) == len(others) == 8
    assert ["matmul_1.input_quantizer_a"] in groups
    assert ["attention_0.softmax_quantizer"] in others
    assert not any("norm" in name or "add" in name for names in groups for name in names)
    assert torch.allclose(written(TOKENS), fused(TOKENS), atol=1e-6)


def test_a_product_with_a_parameter_is_no_product_of_activations(placed):
    class Mixed(nn.Module):
        def __init__(self):
            super().__init__()
            self.table, self.head = nn.Parameter(torch.randn(8, 8)), nn.Linear(8, 2)

        def forward(self, x):
            return self.head(x @ self.table)

    assert placed(Mixed(), "tensorrt", TOKENS) == [["head.input_quantizer"]]
