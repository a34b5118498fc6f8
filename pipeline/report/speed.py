"""Is it faster, and than what? The answers about speed, no stronger than the arms that were measured."""

from __future__ import annotations

from collections.abc import Sequence

from ...engines.records import Latency, LayerEvidence, Mode, ProfileRecord, Ratio
from .card import Card, Tone
from .collect import Engine
from .words import DASH, arm_name, milliseconds, times

_TONES: dict[str, Tone] = {"faster": "good", "slower": "bad", "no difference": "neutral", "unknown": "none"}
_SPARSE, _WITHOUT = "sparse-int8", "sparse-int8-flag-off"


def speed_cards(engine: Engine) -> list[Card]:
    """One answer for what the engine replaces; on a GPU one more for what its zeros are worth.

    Only the same network without sparse kernels tells that: against another network, or one of another precision, a
    gain may come from anything.
    """
    profile = engine.profile
    if profile is None or not profile.ratios:
        question = "Is it faster than FP32?" if engine.record.backend != "tensorrt" else "Is it faster?"
        word = "The engine was timed alone." if profile is not None else "This engine has not been profiled."
        return [Card(question, DASH, "not measured", "none", (word,))]
    first = profile.ratios[0]
    found = [_card(f"Is it faster than {arm_name(first.baseline)}?", _against(profile, first.baseline), profile)]
    if profile.backend == "tensorrt" and first.baseline != _WITHOUT:
        found.append(_zeros(profile))
    return found


def _against(profile: ProfileRecord, baseline: str) -> list[Ratio]:
    return [ratio for ratio in profile.ratios if ratio.baseline == baseline]


def _zeros(profile: ProfileRecord) -> Card:
    question = "Do the zeros make it faster?"
    ratios = [ratio for ratio in _against(profile, _WITHOUT) if ratio.arm == _SPARSE]
    if ratios:
        return _card(question, ratios, profile)
    told = "Only the same network built without the flag for sparse weights tells, and it was not measured."
    return Card(question, DASH, "not measured", "none", (told,))


def _card(question: str, ratios: Sequence[Ratio], profile: ProfileRecord) -> Card:
    first = ratios[0]
    known = first.verdict in ("faster", "slower")
    lines = tuple(_line(ratio, profile) for ratio in ratios)
    if first.verdict == "unknown":
        lines += ("each arm was built once, and builds differ: no verdict",)
    return Card(question, times(first.speedup) if known else DASH, first.verdict, _TONES[first.verdict], lines)


def _line(ratio: Ratio, profile: ProfileRecord) -> str:
    medians = " / ".join(
        milliseconds(item.p50) for arm in (ratio.arm, ratio.baseline) for item in _timed(profile, arm, ratio.batch)
    )
    known = ratio.verdict in ("faster", "slower")
    what = f"{times(ratio.speedup)} ({ratio.verdict})" if known else ratio.verdict
    return f"batch {ratio.batch}: {what}, 95 % interval {times(ratio.low)} to {times(ratio.high)}; {medians}"


def _timed(profile: ProfileRecord, arm: str, batch: int) -> list[Latency]:
    return [item for item in profile.latencies if item.arm == arm and item.batch == batch]


def how_timed(profile: ProfileRecord) -> str:
    """What was timed beside what, in one paragraph."""
    if profile.backend != "tensorrt":
        return ("Engine and FP32 graph are the same network, timed in turns on the same machine so that drift of the "
                "machine hits both.")
    graph = "launched as CUDA graphs" if all(item.gpu and item.gpu.cuda_graph for item in profile.latencies) else (
        "launched without CUDA graphs")
    if not profile.ratios:
        return f"Timed alone by CUDA events, with the data on the GPU, {graph}."
    return (
        "All arms have the same layers and shapes; the dense ones have their zeros filled with values, so only their "
        f"speed means something. Every build of every arm was timed in turns by CUDA events, with the data on the GPU, "
        f"{graph}. Builds of one network differ, so an interval holds the noise of building as well as of running; "
        "a gain inside of it is no difference."
    )


def mode_name(mode: Mode) -> str:
    """A way of timing as people say it."""
    graph = "CUDA graphs" if mode.cuda_graph else "plain launches"
    return f"{graph}, data copied in and out" if mode.transfers else f"{graph}, data on the GPU"


def slowest_layers(engine: Engine, most: int = 12) -> list[tuple[LayerEvidence, float]]:
    """The weighted layers that took most of the engine's time, and their shares."""
    shares = engine.profile.node_shares if engine.profile else {}
    known = [(layer, shares[layer.name]) for layer in engine.record.layers if layer.name in shares]
    return sorted(known, key=lambda pair: -pair[1])[:most]


__all__ = ["how_timed", "mode_name", "slowest_layers", "speed_cards"]
