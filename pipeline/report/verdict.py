"""The answers at the top of the report: a figure, a word, and the sentence that keeps both honest."""

from __future__ import annotations

from ...common.metric import DISTANCE, PICTURES, loss_of
from ...engines.records import Gate, ValidationRecord
from ..teaching import ACCURACY_ONLY
from .card import Card, Tone
from .chain import measured_only
from .collect import Engine, Run
from .layers import LayerView, share
from .speed import speed_cards
from .words import DASH, change, count, decibels, metric_name, metric_value, percent, plain, size, times

_QUESTIONS: dict[str, str] = {"accuracy": "Is the accuracy kept?", **dict.fromkeys(PICTURES, "Is the picture kept?")}


def gates(engine: Engine) -> list[Gate]:
    """All gates that were judged on this engine."""
    found = (engine.validation, engine.profile)
    return [gate for record in found if record is not None for gate in record.gates]


def headline(run: Run) -> tuple[Tone, str]:
    """The one sentence that sums the run up."""
    current = [engine for engine in run.engines if not engine.stale]
    judged = [gate for engine in current for gate in gates(engine)]
    missed = [gate.name for gate in judged if not gate.met]
    if not run.engines and measured_only(run.recipe):
        return "none", ACCURACY_ONLY
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
        *speed_cards(engine),
        _size(engine),
        _sparsity(engine, layers),
    ]


def _accuracy(record: ValidationRecord | None) -> Card:
    question = _QUESTIONS.get(record.metric if record else "accuracy", "Are the predictions kept?")
    if record is None:
        return Card(question, DASH, "not measured", "none", ("This engine has not been validated.",))
    metric, samples = record.metric, count(record.samples, "sample")
    grain = "" if metric in PICTURES else f"; one sample is {100 / record.samples:.2f} points"
    grain = " to real pictures; less is better" if metric == DISTANCE else grain
    sampled, shown = f"{metric_name(metric)} on {samples}{grain}", metric_value(metric, record.value)
    whole = record.pytorch_value if record.foreign and record.dense_value is None else record.dense_value
    if whole is None:
        return Card(question, shown, "no dense model", "none", (sampled, "none to compare with"))
    drop, beside = loss_of(metric, whole, record.value), record.reference if record.foreign else "the dense model"
    against = f"{change(metric, whole, record.value)} against {beside}: {metric_value(metric, whole)}"
    limit = record.options.max_drop
    if limit is None:
        return Card(question, shown, "no gate", "none", (against, sampled))
    word, tone = _met(drop <= limit + 1e-9, "kept", "lost")
    allowed: dict[str, str] = {"ssim": f"a loss of {plain(limit)}", DISTANCE: f"a rise of {plain(100 * limit)} %"}
    against += f"; {allowed.get(metric, f'a loss of {100 * limit:g}')} is allowed"
    return Card(question, shown, word, tone, (against, sampled))


def _met(met: bool, yes: str, no: str) -> tuple[str, Tone]:
    return (yes, "good") if met else (no, "bad")


def _agreement(record: ValidationRecord | None) -> Card:
    question = f"Same answers as {record.reference if record else 'the reference'}?"
    if record is None:
        return Card(question, DASH, "not measured", "none", ("This engine has not been validated.",))
    found, floor, least = record.agreement, record.noise_floor, record.options.min_agreement
    what = "same class" if found.ssim is None else f"SSIM, PSNR {decibels(found.psnr_db)},"
    shown, floors = (percent(one.score) if one.ssim is None else metric_value("ssim", one.ssim)
                     for one in (found, floor))
    lines = (
        f"{what} on {count(found.samples, 'sample')}, signal to noise {decibels(found.snr_db)}",
        f"under noise of 1e-5 {record.reference} against itself: {floors}, {decibels(floor.snr_db)}"
        + (" (the noise vanished in rounding: no floor)" if floor.snr_db is None else ""),
    )
    if least is None:
        return Card(question, shown, "no gate", "none", lines)
    word, tone = _met(found.score >= least, "agrees", "differs")
    return Card(question, shown, word, tone, lines)


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
