"""Figures as people read them: three significant digits, a unit, and no false precision."""

from __future__ import annotations

import math

from ...common.bundle import Agreement

SPACE, MINUS, TIMES, DASH = "\u00a0", "\u2212", "\u00d7", "\u2013"


def number(value: float, digits: int = 3) -> str:
    """`value` with `digits` significant digits and no exponent between 1e-4 and 1e6."""
    if not math.isfinite(value):
        return "not finite"
    if value == 0:
        return "0"
    exponent = math.floor(math.log10(abs(value)))
    if not -5 < exponent < 6:
        return f"{value:.{digits - 1}e}".replace("-", MINUS)
    return f"{value:,.{max(0, digits - 1 - exponent)}f}".replace("-", MINUS)


def plain(value: float, digits: int = 4) -> str:
    """At most `digits` significant digits and no trailing zeros, as on an axis or for a limit."""
    if value and not 1e-4 <= abs(value) < 1e6:
        return number(value, 2)
    return number(value, digits).rstrip("0").rstrip(".") if "." in number(value, digits) else number(value, digits)


def percent(share: float, decimals: int = 2) -> str:
    """A share of 0 to 1 in percent; 1 and 0 are written without decimals."""
    return f"{100 * share:.0f}{SPACE}%" if share in (0, 1) else f"{100 * share:.{decimals}f}{SPACE}%"


def points(change: float) -> str:
    """A signed change of a share (0.01 is one point)."""
    sign = "+" if change > 0 else MINUS if change < 0 else "\u00b1"
    return f"{sign}{abs(100 * change):.2f}{SPACE}points"


def milliseconds(value: float) -> str:
    """A time given in milliseconds; below a tenth of one it is written in microseconds."""
    return f"{number(1000 * value)}{SPACE}\u00b5s" if value < 0.1 else f"{number(value)}{SPACE}ms"


def duration(seconds: float) -> str:
    """A time given in seconds, as seconds or as minutes and seconds."""
    if seconds < 100:
        return f"{seconds:.1f}{SPACE}s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}{SPACE}h {minutes:02d}{SPACE}min" if hours else f"{minutes}{SPACE}min {rest:02d}{SPACE}s"


def size(count: float) -> str:
    """A number of bytes, in decimal units."""
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= scale:
            return f"{number(count / scale)}{SPACE}{unit}"
    return f"{count:.0f}{SPACE}bytes"


def times(ratio: float) -> str:
    """A ratio, such as a speed-up: two decimals below ten."""
    return f"{ratio:.2f}{TIMES}" if 0.1 <= ratio < 10 else f"{number(ratio)}{TIMES}"


def decibels(snr: float | None) -> str:
    """A signal-to-noise ratio; None is an answer that is equal bit for bit."""
    return "exact" if snr is None else f"{snr:.1f}{SPACE}dB".replace("-", MINUS)


def moment(time: str) -> str:
    """A time in ISO 8601, with a space instead of the T, and UTC by name."""
    return time.replace("T", " ").replace("+00:00", " UTC")


_ARMS = {
    "dense-fp16": "dense FP16",
    "dense-int8": "dense INT8",
    "sparse-int8": "sparse INT8",
    "sparse-int8-flag-off": "sparse INT8 without sparse kernels",
}


def arm_name(arm: str) -> str:
    """An arm as people write it: `int8` is INT8, `fp32` is FP32, TensorRT's by their meaning, others as they are."""
    return _ARMS.get(arm) or (arm.upper() if arm.lower() in ("int8", "fp32", "fp16", "bf16") else arm)


def metric_name(metric: str) -> str:
    """A metric as people write it: `agreement_with_source` is agreement with the file."""
    known = {"agreement_with_source": "agreement with the file", "ssim": "SSIM"}
    return known.get(metric) or metric.replace("_", " ")


def metric_value(metric: str, value: float) -> str:
    """A value of a metric: a share in per cent, `0.987` of SSIM, `3.21` of a distance."""
    if metric == "feature_distance":
        return number(value)
    return f"{value:.3f}".replace("-", MINUS) if metric == "ssim" else percent(value)


def change(metric: str, whole: float, value: float) -> str:
    """What became of `whole`: signed points, signed SSIM, or of a distance the signed share that it rose by."""
    apart = value - whole
    sign = "+" if apart > 0 else MINUS if apart < 0 else "\u00b1"
    if metric == "feature_distance":
        return f"{sign}{abs(100 * apart) / max(whole, 1e-12):.1f}{SPACE}%"
    return f"{sign}{abs(apart):.3f}" if metric == "ssim" else points(apart)


def likeness(found: Agreement) -> str:
    """The share of equal predictions, or `0.983, 31.2 dB` (SSIM and PSNR) of pictures."""
    if found.ssim is None:
        return percent(found.score)
    return f"{metric_value('ssim', found.ssim)}, {decibels(found.psnr_db)}"


def sentence(text: str) -> str:
    """With a capital at the beginning, and the rest as it is."""
    return text[:1].upper() + text[1:]


def count(value: int, noun: str) -> str:
    """A number of things: `1 layer`, `1,204 layers`."""
    return f"{value:,}{SPACE}{noun}" + ("" if value == 1 else "s")


__all__ = [
    "DASH",
    "MINUS",
    "SPACE",
    "TIMES",
    "arm_name",
    "change",
    "count",
    "decibels",
    "duration",
    "likeness",
    "metric_name",
    "metric_value",
    "milliseconds",
    "moment",
    "number",
    "percent",
    "plain",
    "points",
    "sentence",
    "size",
    "times",
]
