"""Ranges of the activations, from passes over the calibration data with nothing quantized."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from typing import Any

import torch
from torch import nn

from ..common import console
from ..common.bundle import Range
from ..common.errors import UserError
from .batches import ask, checked
from .calibrators import Histogram, Peak
from .config import CalibrateConfig
from .quantizers import activations, enabled
from .safe import FLOOR, safe_range


def calibrate_activations(model: nn.Module, loader: Iterable[Any], config: CalibrateConfig) -> dict[str, Range]:
    """Give every activation quantizer of `model` its range, one number per tensor.

    Args:
        model: with quantizers inserted.
        loader: yields (inputs, targets); gone through once for `max`, twice for the others.
        config: the method, and how many batches are looked at.

    Returns:
        The ranges by the quantizers' names.

    Raises:
        UserError: the loader is empty or a batch can't be used; loader and batch are named.
    """
    quantizers = activations(model)
    peaks = {name: Peak(name) for name in quantizers}
    _collect(model, loader, config, quantizers, peaks, "calibrate peaks")
    chosen = {name: peak.peak for name, peak in peaks.items()}
    if config.method != "max":
        histograms = {name: Histogram(peak, quantizers[name].num_bits) for name, peak in chosen.items() if peak > FLOOR}
        _collect(model, loader, config, quantizers, histograms, "calibrate histograms")
        chosen |= _choose(histograms, config)
    return {name: _install(name, quantizers[name], chosen[name], peaks[name].peak, config) for name in quantizers}


def _choose(histograms: dict[str, Histogram], config: CalibrateConfig) -> dict[str, float]:
    chosen = {}
    with console.progress(f"calibrate {config.method}", len(histograms)) as advance:
        for name, histogram in histograms.items():
            chosen[name] = histogram.amax(config)
            advance(1)
    return chosen


def _install(name: str, quantizer: Any, amax: float, peak: float, config: CalibrateConfig) -> Range:
    quantizer.amax = torch.tensor(safe_range(name, amax, peak))
    return Range(tensor=name, method=config.method, amax=float(quantizer.amax), axis=None, bits=quantizer.num_bits)


def _collect(
    model: nn.Module, loader: Iterable[Any], config: CalibrateConfig, quantizers: Mapping[str, Any],
    calibrators: Mapping[str, Any], label: str,
) -> None:
    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    watching, bar = _watching(model, quantizers, calibrators), console.progress(label, _count(loader, config))
    with watching, torch.no_grad(), bar as advance:
        for index, inputs, _ in checked(islice(iter(_iterable(loader)), config.batches), "calibration"):
            ask(model, inputs.to(device), f"calibration loader, batch {index}")
            advance(1)


def _iterable(loader: Any) -> Iterable[Any]:
    try:
        iter(loader)
    except TypeError as error:
        raise UserError("The loader can't be gone through.", where="calibration loader") from error
    return loader  # type: ignore[no-any-return]


def _count(loader: Any, config: CalibrateConfig) -> int:
    try:
        size = len(loader)
    except TypeError:
        return config.batches or 1
    return min(size, config.batches or size)


@contextmanager
def _watching(model: nn.Module, quantizers: Mapping[str, Any], calibrators: Mapping[str, Any]) -> Iterator[None]:
    training, every = model.training, list(enabled(model).values())
    model.eval()
    for quantizer in every:
        quantizer.disable_quant()
    for name, calibrator in calibrators.items():
        quantizers[name]._calibrator = calibrator
        quantizers[name].enable_calib()
    try:
        yield
    finally:
        for quantizer in every:
            quantizer.disable_calib()
            quantizer.enable_quant()
        model.train(training)


__all__ = ["calibrate_activations"]
