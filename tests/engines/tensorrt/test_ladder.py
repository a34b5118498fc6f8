from __future__ import annotations

import pytest

from twofour.engines.records import LayerEvidence, Ratio, SparsityLine
from twofour.engines.tensorrt.ladder import pairs, rung

UNKNOWN = SparsityLine(text="(Sparsity) 7 of 9 layers")


def evidence(two_four=True, ran="unknown"):
    return LayerEvidence(name="conv", op="Conv", shape=[8, 8, 1, 1], two_four=two_four, zeros=0.5, precision="int8",
                         kernel=None, ran_sparse=ran, reason="")


def gain(verdict="faster"):
    return Ratio(arm="sparse-int8", baseline="sparse-int8-flag-off", batch=8, speedup=1.1, low=1.05, high=1.15,
                 verdict=verdict)


@pytest.mark.parametrize(("layers", "log", "ratio", "height", "missing"), [
    ([], [], None, 0, "no weight is 2:4"),
    ([evidence(False)], [], None, 0, "no weight is 2:4"),
    ([evidence()], [], None, 1, "says nothing of sparsity in words that are known"),
    ([evidence()], [UNKNOWN], None, 1, "says nothing of sparsity in words that are known"),
    ([evidence()], [SparsityLine(eligible=0, chosen=0)], None, 1, "found none eligible"),
    ([evidence()], [SparsityLine(eligible=4, chosen=0)], None, 2, "dense tactics throughout"),
    ([evidence()], [SparsityLine(eligible=4), UNKNOWN], None, 2, "does not say what was chosen"),
    ([evidence()], [SparsityLine(eligible=4, chosen=3)], None, 3, "no kernel's name"),
    ([evidence()], [SparsityLine(eligible=4, chosen=3), SparsityLine(eligible=2, chosen=0)], None, 3, "no kernel's"),
    ([evidence(ran="yes")], [], None, 4, "not measured"),
    ([evidence(ran="yes")], [], gain("no difference"), 4, "not faster beyond doubt"),
    ([evidence(ran="yes")], [], gain("slower"), 4, "not faster beyond doubt"),
    ([evidence(ran="yes")], [], gain(), 5, None),
    ([evidence()], [SparsityLine(eligible=4, chosen=3)], gain(), 5, None),
    ([evidence()], [SparsityLine(eligible=4, chosen=0)], gain(), 2, "dense tactics throughout"),
    ([evidence()], [], gain(), 1, "says nothing"),
])
def test_each_rung_needs_its_evidence(layers, log, ratio, height, missing):
    found = rung(layers, log, ratio)
    assert found.rung == height
    assert found.missing is None if missing is None else missing in found.missing


def test_what_may_be_said():
    log = [SparsityLine(eligible=12, chosen=5), SparsityLine(eligible=3, chosen=0)]
    assert rung([evidence(ran="yes"), evidence(False)], log, gain()).says == [
        "the weights of 1 of 2 layers are 2:4",
        "the builder found 12, then 3 layers eligible",
        "the builder chose sparse tactics for 5, then 0 layers",
        "a sparse kernel computes 1 of 2 layers, by its name",
        "the engine is 1.10 times as fast as without sparse weights (95 % interval 1.05 to 1.15: faster)",
    ]


def test_no_sentence_says_faster_below_the_top():
    assert not any("fast" in said for said in rung([evidence(ran="yes")], []).says)


def test_the_logs_pairs_in_words():
    log = [SparsityLine(eligible=12, chosen=5), SparsityLine(eligible=3), UNKNOWN]
    assert pairs(log) == ["12 eligible, 5 chosen", "3 eligible, ? chosen", "unknown wording: (Sparsity) 7 of 9 layers"]
