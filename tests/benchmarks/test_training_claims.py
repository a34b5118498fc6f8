"""What is said of the training methods follows from the figures; claims are of arms that the benchmark measures."""

import pytest
import tables
import training_claims as claims
from training_claims import GAN, Claim


def rows(case="edges", key="feature_distance", **arms):
    return [{"part": "gan", "case": case, "seed": seed, "arm": arm.replace("_", " "), key: value}
            for arm, values in arms.items() for seed, value in enumerate(values)]


def test_of_distances_less_is_better():
    measured = rows(ours=[1.0, 1.1], dense=[1.2, 1.4])
    claim = Claim("", "ours", "dense", "feature_distance")
    assert claims.difference(measured, claim) == pytest.approx([0.2, 0.3])
    assert claims.judged(measured, claim) == "holds: +0.25 (+0.20 to +0.30)"
    assert claims.judged(measured, Claim("", "dense", "ours", "feature_distance")).startswith("doesn't hold")


def test_of_accuracy_more_is_better_and_shares_are_in_points():
    measured = rows(key="accuracy", ours=[0.9, 0.8], dense=[0.89, 0.81])
    assert claims.judged(measured, Claim("", "ours", "dense")) == "no difference: 0.00 (-1.00 to +1.00)"


def test_a_claim_with_a_missing_arm_is_left_out():
    assert claims.judged(rows(ours=[1.0, 1.1]), Claim("", "ours", "dense", "feature_distance")) == ""


def test_every_claim_is_of_arms_that_the_benchmark_has():
    import methods_adversarial_amendment as amendment
    import methods_gan as gan
    import methods_group_knowledge as knowledge

    known = {
        "group_knowledge": {*knowledge.ARMS, *(f"sparse INT8: {name}" for name in knowledge.SPARSE)},
        "adversarial_amendment": set(amendment.ARMS), "gan": {"dense", "small dense", *gan.ARMS},
    }
    for name, part in claims.PARTS.items():
        arms = {arm for claim in part.claims for arm in (claim.better, claim.than)}
        assert arms <= known[name], name


def test_the_section_has_a_table_for_each_case_and_one_of_claims():
    machine = {"cpu": "a", "cores": 2, "int8_instructions": [], "versions": {"onnxruntime": "1", "torch": "2"}}
    measured = [*rows(dense=[1.0, 2.0], **{"ours,_2:4": [1.5, 2.5]}), *rows("noise", dense=[3.0, 3.0])]
    said = tables.training_methods({"machine": machine, "rows": measured}).splitlines()
    assert "edges, 2 seeds:" in said
    assert "| dense | 1.50 (1.00 to 2.00) |  |  |" in said
    assert "| ours, 2:4 | 2.00 (1.50 to 2.50) |  | -0.50 (-0.50 to -0.50) |" in said
    assert "| Ours is as good as dense, 2:4 | doesn't hold: -0.50 (-0.50 to -0.50) |  |" in said
    assert GAN.title in "\n".join(said)
