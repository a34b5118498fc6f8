"""ModelOpt's calibrators, made safe for data of any size: one per quantizer, never shared.

The histograms of ModelOpt take their bin width from the first batch, which fails on a first batch of zeros and grows
without bound on a small one. Here a first pass finds each tensor's peak and the histograms then cover zero to peak.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from ..common.errors import UserError
from .config import CalibrateConfig
from .modelopt import HistogramCalibrator, MaxCalibrator, MseCalibrator, fake_tensor_quant

BINS, _STRIDE, _MSE_START, _MSE_STEP = 2048, 48, 0.1, 0.005  # the stride divides the bins above ModelOpt's first 128
_LARGEST_COUNT = 2**30


class Peak(MaxCalibrator):  # type: ignore[misc]
    """The largest magnitude seen; refuses NaN and infinity.

    Args:
        name: the quantizer's name, for errors.
    """

    def __init__(self, name: str) -> None:
        super().__init__(num_bits=8, axis=None, unsigned=False)
        self._name = name

    def collect(self, x: torch.Tensor) -> None:
        """Look at one tensor.

        Raises:
            UserError: it holds NaN or infinity although the inputs of the network did not.
        """
        if not bool(torch.isfinite(x).all()):
            raise UserError(
                "The network computes NaN or infinity at this point, from finite inputs.",
                where=self._name,
                fix="Train again with a lower learning rate, or check the weights.",
            )
        super().collect(x)

    @property
    def peak(self) -> float:
        """Largest magnitude so far, 0 where nothing was seen."""
        amax = self.compute_amax()
        return 0.0 if amax is None else float(amax)


class Histogram(HistogramCalibrator):  # type: ignore[misc]
    """Counts of the magnitudes between zero and a known peak, in double precision.

    Args:
        peak: largest magnitude of the tensor over all batches, above zero.
        bits: of the codes. Defaults to 8.
    """

    def __init__(self, peak: float, bits: int = 8) -> None:
        super().__init__(num_bits=bits, axis=None, unsigned=False, num_bins=BINS)
        self._peak = peak
        self._calib_bin_edges = torch.linspace(0, peak, BINS + 1)
        self._calib_hist = torch.zeros(BINS, dtype=torch.float64)

    @torch.no_grad()
    def collect(self, x: torch.Tensor) -> None:
        """Count one tensor's magnitudes."""
        self._calib_hist += torch.histc(x.abs().float(), BINS, 0, self._peak).cpu()

    def amax(self, config: CalibrateConfig) -> float:
        """The range that the method chooses, never above the peak.

        Args:
            config: its method is `percentile`, `entropy` or `mse`.
        """
        top = float(self._calib_hist.max())
        if top > _LARGEST_COUNT:  # ModelOpt counts in 32 bits
            self._calib_hist *= _LARGEST_COUNT / top
        if config.method == "mse":
            return self._least_squares()
        if config.method == "entropy":
            return self._least_divergence()
        return float(self.compute_amax("percentile", percentile=config.percentile))

    def _least_divergence(self) -> float:
        counts = np.delete(self._calib_hist.int().numpy(), 0)
        if not counts.any():  # all but nothing sits in the first bin, which the method ignores
            return self._peak
        return float(self.compute_amax("entropy", stride=_STRIDE))

    def _least_squares(self) -> float:
        edges, counts = self._calib_bin_edges, self._calib_hist
        search = MseCalibrator(
            torch.tensor(self._peak), start_multiplier=_MSE_START, stop_multiplier=1.0, step_size=_MSE_STEP,
            quant_func=self._fake_quant, error_func=lambda x, xq: (x - xq) ** 2 * counts,
        )
        search.collect((edges[1:] + edges[:-1]) / 2)
        return float(search.compute_amax())

    def _fake_quant(self, x: torch.Tensor, amax: torch.Tensor) -> Any:
        return fake_tensor_quant(x, amax, None, self._num_bits, False, False)  # magnitudes alone: no lowest code


__all__ = ["BINS", "Histogram", "Peak"]
