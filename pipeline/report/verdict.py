"""The answers at the top of the report: a figure, a word, and the sentence that keeps both honest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ...engines.records import Gate, Latency, ProfileRecord, Ratio, ValidationRecord
from .collect import Engine, Run
from .layers import LayerView, share
from .words import DASH, count, decibels, milliseconds, percent, points, size, times

Tone = Literal["good", "bad", "neutral", "none"]


@dataclass(frozen=True)
class Card:
    """One answer.

    Attributes:
        question: what was asked.
        figure: the number that answers it.
        word: the verdict.
        tone: how the verdict is coloured; the word says the same.
        lines: what the figure is made of.
    """

    question: str
    figure: str
    word: str
    tone: Tone
    lines: tuple[str, ...]


def gates(engine: Engine) -> list[Gate]:
    """All gates that were judged on this engine."""
    found = (engine.validation, engine.profile)
    return [gate for record in found if record is not None for gate in record.gates]


def headline(run: Run) -> tuple[Tone, str]:
    """The one sentence that sums the run up."""
    current = [engine for engine in run.engines if not engine.stale]
    judged = [gate for engine in current for gate in gates(engine)]
    missed = [gate.name for gate in judged if not gate.met]
    if not run.engines:
        return "none", "This run has no engine yet; what it has so far is below."
    if not current:
        return "none", "The engine here is not of the stages shown here: run the recipe again to build it anew."
    if missed:
        return "bad", f"{len(missed)} of {count(len(judged), 'gate')} missed: {', '.join(missed)}."
    if not judged:
        return "none", "No gate of the recipe has been judged yet."
    met = {1: "The one gate is met.", 2: "Both gates are met."}
    return "good", met.get(len(judged), f"All {len(judged)} gates are met.")


def cards(engine: Engine, layers: list[LayerView]) -> list[Card]:
    """The answers for one engine."""
    return [
        _accuracy(engine.validation),
        _agreement(engine.validation),
        _speed(engine),
        _size(engine),
        _sparsity(engine, layers),
    ]


def _accuracy(record: ValidationRecord | None) -> Card:
    question = "Is the accuracy kept?"
    if record is None:
        return Card(question, DASH, "not measured", "none", ("This engine has not been validated.",))
    sampled = f"{record.metric} on {count(record.samples, 'sample')}; one sample is {100 / record.samples:.2f} points"
    if record.dense_value is None:
        return Card(question, percent(record.value), "no dense model", "none", (sampled, "none to compare with"))
    drop = record.dense_value - record.value
    against = f"{points(-drop)} against the dense model's {percent(record.dense_value)}"
    limit = record.options.max_drop
    if limit is None:
        return Card(question, percent(record.value), "no gate", "none", (against, sampled))
    word, tone = _met(drop <= limit + 1e-9, "kept", "lost")
    against += f"; a loss of {100 * limit:g} is allowed"
    return Card(question, percent(record.value), word, tone, (against, sampled))


def _met(met: bool, yes: str, no: str) -> tuple[str, Tone]:
    return (yes, "good") if met else (no, "bad")


def _agreement(record: ValidationRecord | None) -> Card:
    question = "Same answers as PyTorch?"
    if record is None:
        return Card(question, DASH, "not measured", "none", ("This engine has not been validated.",))
    found, floor, least = record.agreement, record.noise_floor, record.options.min_agreement
    lines = (
        f"same class on {count(found.samples, 'sample')}, signal to noise {decibels(found.snr_db)}",
        f"PyTorch against itself under noise of 1e-5: {percent(floor.predictions)}, {decibels(floor.snr_db)}"
        + (" (the noise vanished in rounding: no floor)" if floor.snr_db is None else ""),
    )
    if least is None:
        return Card(question, percent(found.predictions), "no gate", "none", lines)
    word, tone = _met(found.predictions >= least, "agrees", "differs")
    return Card(question, percent(found.predictions), word, tone, lines)


def _speed(engine: Engine) -> Card:
    question = "Is it faster than FP32?"
    profile = engine.profile
    if profile is None or not profile.ratios:
        return Card(question, DASH, "not measured", "none", ("This engine has not been profiled.",))
    first = profile.ratios[0]
    tones: dict[str, Tone] = {"faster": "good", "slower": "bad", "no difference": "neutral"}
    figure = f"{DASH}" if first.verdict == "no difference" else times(first.speedup)
    lines = tuple(_ratio(ratio, profile) for ratio in profile.ratios)
    return Card(question, figure, first.verdict, tones[first.verdict], lines)


def _ratio(ratio: Ratio, profile: ProfileRecord) -> str:
    medians = " / ".join(
        milliseconds(item.p50) for arm in (ratio.arm, ratio.baseline) for item in _timed(profile, arm, ratio.batch)
    )
    what = "no difference" if ratio.verdict == "no difference" else f"{times(ratio.speedup)} ({ratio.verdict})"
    return f"batch {ratio.batch}: {what}, 95 % interval {times(ratio.low)} to {times(ratio.high)}; {medians}"


def _timed(profile: ProfileRecord, arm: str, batch: int) -> list[Latency]:
    return [item for item in profile.latencies if item.arm == arm and item.batch == batch]


def _size(engine: Engine) -> Card:
    question = "How small is it?"
    record = engine.record
    own, other = record.sizes.get(record.engine), record.sizes.get(record.baseline or "")
    if own is None:
        return Card(question, DASH, "not recorded", "none", ())
    if not other:
        return Card(question, size(own), "no baseline", "none", (f"the file {record.engine}",))
    line = f"{size(own)} against {size(other)} of the same network in FP32"
    if own >= other:
        return Card(question, size(own), "not smaller", "neutral", (line,))
    return Card(question, times(other / own), "smaller", "good", (line,))


def _sparsity(engine: Engine, layers: list[LayerView]) -> Card:
    question = "Is it 2:4 sparse?"
    part, weighted = share(layers), engine.record.layers
    if not part:
        return Card(question, "0" if part == 0 else DASH, "dense weights", "none", ("No layer has 2:4 weights.",))
    ran = sum(item.ran_sparse == "yes" for item in weighted)
    two_four = sum(item.two_four for item in weighted)
    share_of = f"share of the weights in 2:4 layers ({two_four} of {len(weighted)}), read from the integers"
    word = f"{ran} of {two_four} ran sparse" if ran else "weights only"
    return Card(question, percent(part, 1), word, "good" if ran else "neutral", (share_of, sparse_sentence(engine)))


def sparse_sentence(engine: Engine) -> str:
    """Whether the engine used the zeros, said no stronger than the evidence."""
    states = [item.ran_sparse for item in engine.record.layers]
    if "yes" in states:
        return f"A sparse kernel ran in {states.count('yes')} of {count(len(states), 'layer')}."
    if engine.record.device.startswith("cpu"):
        return "CPU kernels are dense: they multiply by the zeros too, so the zeros save no time here."
    if "unknown" in states:
        return "There is no evidence that a sparse kernel ran."
    return "No layer ran with a sparse kernel."


__all__ = ["Card", "Tone", "cards", "gates", "headline", "sparse_sentence"]
