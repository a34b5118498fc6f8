"""Factories of networks that come quantized, as a recipe names them.

pytorch-quantization is discontinued and its package is an empty placeholder. `TensorQuantizer`, `QuantConv2d` and
`QuantLinear` stand in for its classes: attributes, buffers, defaults, base classes and arithmetic as in its public
source (NVIDIA/TensorRT, tools/pytorch-quantization).
"""

from __future__ import annotations

import copy
import logging
import warnings

import torch
from torch import nn
from torch.nn.modules.conv import _ConvNd

from twofour.training.data import digits
from twofour.training.models import tiny_resnet

SETTINGS = {"widths": [16, 32], "blocks": 1}


class TensorQuantizer(nn.Module):
    def __init__(self, num_bits=8, axis=None, unsigned=False, narrow_range=False, amax=None):
        super().__init__()
        self._num_bits, self._axis, self._unsigned, self._narrow_range = num_bits, axis, unsigned, narrow_range
        self._fake_quant, self._scale_amax, self._learn_amax, self._scale = True, None, False, 1.0
        self._disabled, self._if_quant, self._if_clip, self._if_calib = False, True, False, False
        self._calibrator = None
        if amax is not None:
            self.register_buffer("_amax", torch.as_tensor(amax))

    @property
    def amax(self):
        return self._amax if hasattr(self, "_amax") else None

    def forward(self, inputs):
        if self._disabled or not self._if_quant:
            return inputs
        if self._unsigned and inputs.min() < 0:
            raise TypeError("Negative values encountered in unsigned quantization.")
        top = 2.0 ** (self._num_bits - 1 + int(self._unsigned)) - 1
        low = 0 if self._unsigned else -top if self._narrow_range else -top - 1
        scale = top / self._amax
        return torch.clamp((inputs * scale).round(), low, top) / scale


class _Pair:
    def quantizers(self, weight, axis):
        others = [index for index in range(weight.ndim) if index != axis]
        self._input_quantizer = TensorQuantizer()
        self._weight_quantizer = TensorQuantizer(axis=(axis,), amax=weight.detach().abs().amax(others, keepdim=True))


class QuantConv2d(_ConvNd, _Pair):
    def __init__(self, conv):
        super().__init__(conv.in_channels, conv.out_channels, conv.kernel_size, conv.stride, conv.padding,
                         conv.dilation, False, (0, 0), conv.groups, conv.bias is not None, "zeros")
        self.load_state_dict(conv.state_dict())
        self.quantizers(self.weight, 0)

    def forward(self, x):
        weight = self._weight_quantizer(self.weight)
        return nn.functional.conv2d(self._input_quantizer(x), weight, self.bias, self.stride, self.padding,
                                    self.dilation, self.groups)


class QuantLinear(nn.Linear, _Pair):
    def __init__(self, linear):
        super().__init__(linear.in_features, linear.out_features)
        self.load_state_dict(linear.state_dict())
        self.quantizers(self.weight, 0)

    def forward(self, x):
        return nn.functional.linear(self._input_quantizer(x), self._weight_quantizer(self.weight), self.bias)


def pictures():
    return next(iter(digits(batch=256, size=8).calibration))[0]


def _network():
    state = torch.random.get_rng_state()
    torch.manual_seed(0)
    network = tiny_resnet(**SETTINGS).eval()
    torch.random.set_rng_state(state)
    return network


def modelopt(**attributes):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import modelopt.torch.quantization as mtq

    logging.getLogger("modelopt").setLevel(logging.ERROR)
    network = mtq.quantize(_network(), copy.deepcopy(mtq.INT8_DEFAULT_CFG), lambda net: net(pictures()))
    for name, value in attributes.items():
        setattr(network.stem.input_quantizer if hasattr(network, "stem") else network, name, value)
    return network


def pytorch_quantization():
    network = _network()
    for name, module in list(network.named_modules()):
        if type(module) in (nn.Conv2d, nn.Linear):
            kind = QuantConv2d if isinstance(module, nn.Conv2d) else QuantLinear
            network.set_submodule(name, kind(module))
    seen = {}
    hooks = [module.register_forward_pre_hook(lambda layer, args: seen.__setitem__(layer, args[0].abs().max()))
             for module in network.modules() if isinstance(module, _Pair)]
    for module in network.modules():
        if isinstance(module, _Pair):
            module._input_quantizer._disabled = True
    with torch.no_grad():
        network(pictures())
    for hook in hooks:
        hook.remove()
    for layer, amax in seen.items():
        layer._input_quantizer.register_buffer("_amax", amax)
        layer._input_quantizer._disabled = False
    return network
