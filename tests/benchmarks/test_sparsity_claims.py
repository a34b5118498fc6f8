"""What is said of the sparsity methods follows from the figures, seed by seed."""

import pytest
import sparsity_claims as claims
import tables

NETWORK = {"network": "vit", "data": "digits"}


def rows(**arms):
    """Rows of arms whose names have _ for a blank, each with its accuracy on the seeds 0, 1, ..."""
    return [{**NETWORK, "seed": seed, "arm": arm.replace("_", " "), "accuracy": accuracy, "one_shot": None,
             "seconds": 2.0}
            for arm, accuracies in arms.items() for seed, accuracy in enumerate(accuracies) if accuracy is not None]


@pytest.mark.parametrize(("found", "said", "on_every_seed"), [
    ([0.1, 0.02], "holds", "holds"), ([0.1, 0.0], "no difference", "doesn't hold"),
    ([0.1, -0.1], "no difference", "doesn't hold"), ([0.0, 0.0], "no difference", "doesn't hold"),
    ([-0.1, -0.02], "doesn't hold", "doesn't hold"), ([0.5], "too few seeds", "too few seeds"),
])
def test_the_spread_of_the_differences_decides(found, said, on_every_seed):
    assert claims.verdict(found) == said
    assert claims.verdict(found, every=True) == on_every_seed


def test_differences_are_those_of_the_same_seed():
    measured = rows(dense=[0.5, 0.9, 0.7], retrained=[0.51, None, 0.72])
    assert claims.differences(measured, "retrained", "dense") == pytest.approx([0.01, 0.02])
    assert claims.against(measured, "retrained", "dense") == "+1.50 (+1.00 to +2.00)"
    assert claims.against(measured, "dense", "dense") == ""
    assert claims.against(measured, "retrained", "GPUSQ") == ""


def test_no_difference_is_said_and_no_zero_is_negative():
    measured = rows(dense=[0.5, 0.6], retrained=[0.49, 0.61], GPUSQ=[0.5, 0.6 - 1e-9])
    assert claims.against(measured, "retrained", "dense") == "0.00 (-1.00 to +1.00), no difference"
    assert claims.points([0.0, -1e-9]) == "0.00 (0.00 to 0.00)"


def test_the_peer_is_compared_before_its_quantization_too():
    claim = next(claim for claim in claims.CLAIMS if claim.than_key == "sparse")
    peer = [{**row, "sparse": row["accuracy"] - 0.1} for row in rows(peer=[0.8, 0.8])]
    measured = [*rows(retrained=[0.75, 0.72]), *({**row, "arm": claims.PEER} for row in peer)]
    assert claims.judged(measured, claim) == "holds: +3.50 (+2.00 to +5.00)"
    assert claims.judged(measured[:2], claim) == ""


def test_every_claim_is_of_arms_that_the_benchmark_has():
    import sparsity_methods as benchmark

    known = {"dense", benchmark.PEER, *benchmark.ARMS}
    known |= {f"{name}, {tail}" for name, arm in benchmark.ARMS.items() for tail in arm.quantized}
    assert benchmark.PEER == claims.PEER
    assert {arm for claim in claims.CLAIMS for arm in (claim.better, claim.than)} <= known


def test_the_section_has_a_row_for_each_arm_and_for_each_claim_that_can_be_judged():
    measured = rows(retrained=[0.95, 0.96], dense=[0.97, 0.98], dense_for_as_long=[0.96, 0.95])
    measured[0]["one_shot"], measured[1]["one_shot"] = 0.4, 0.6
    machine = {"cpu": "a", "cores": 2, "int8_instructions": [], "versions": {"onnxruntime": "1", "torch": "2"}}
    said = tables.sparsity_methods({"machine": machine, "rows": measured}).splitlines()
    assert "### vit, digits, 2 seeds" in said
    arms = [line for line in said if line.startswith(("| dense |", "| retrained |"))]
    assert arms == [
        "| dense |  |  | 97.50 (97.00 to 98.00) | 2 (2 to 2) | +2.00 (+1.00 to +3.00) | +2.00 (+2.00 to +2.00) |",
        "| retrained | 50.00 (40.00 to 60.00) |  | 95.50 (95.00 to 96.00) | 2 (2 to 2) | "
        "0.00 (-1.00 to +1.00), no difference |  |",
    ]
    judged = said[said.index("| claim | vit, digits |") + 2:]
    assert judged == [
        "| Retrained 2:4 is as good as dense | doesn't hold: -2.00 (-2.00 to -2.00) |",
        "| Retrained 2:4 is as good as dense trained for as long | no difference: 0.00 (-1.00 to +1.00) |",
    ]
