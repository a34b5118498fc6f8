"""What twofour takes from ModelOpt, NVIDIA's successor of pytorch-quantization: quantizers and calibrators.

The one place that imports it, late, as it takes seconds, and without the warnings it prints at import.
"""

from __future__ import annotations

import warnings

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from modelopt.torch.quantization.calib import HistogramCalibrator, MaxCalibrator
    from modelopt.torch.quantization.calib.mse import MseCalibrator
    from modelopt.torch.quantization.config import QuantizerAttributeConfig
    from modelopt.torch.quantization.nn import QuantModuleRegistry, TensorQuantizer
    from modelopt.torch.quantization.tensor_quant import fake_tensor_quant

__all__ = [
    "HistogramCalibrator", "MaxCalibrator", "MseCalibrator", "QuantModuleRegistry", "QuantizerAttributeConfig",
    "TensorQuantizer", "fake_tensor_quant",
]
