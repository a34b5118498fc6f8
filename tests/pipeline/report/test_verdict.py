import pytest

from twofour.common.files import read_json, write_json
from twofour.pipeline.report import verdict
from twofour.pipeline.report.collect import collect
from twofour.pipeline.report.layers import layer_views, share

PROFILE, VALIDATION, ENGINE = "profile/profile.json", "validate/validation.json", "engine.json"


@pytest.fixture
def cards(finished):
    """Reads the cards again after changes to one record."""

    def read(name=None, change=lambda record: None):
        if name is not None:
            path = finished / "engines/onnxruntime-cpu" / name
            record = read_json(path)
            change(record)
            write_json(path, record)
        run = collect(finished)
        found = verdict.cards(run.engines[0], layer_views(run))
        keys = ("accuracy", "agreement", "speed", "size", "sparsity")
        return dict(zip(keys, found, strict=True)), verdict.headline(run)

    return read


def test_a_good_run_says_so(cards):
    found, headline = cards()
    assert [card.tone for card in found.values()] == ["good", "good", "good", "good", "neutral"]
    assert headline == ("good", "Both gates are met.")
    assert "0.28" in found["accuracy"].lines[0]
    assert found["size"].figure == "3.78\u00d7"


def test_a_missed_gate_is_the_headline(cards):
    def lose(record):
        record["value"] = 0.9
        record["gates"][0] |= {"value": 0.0889, "met": False}

    found, headline = cards(VALIDATION, lose)
    assert (found["accuracy"].word, found["accuracy"].tone) == ("lost", "bad")
    assert headline[0] == "bad"
    assert "max_drop" in headline[1]


def test_a_loss_of_exactly_the_limit_is_kept_as_the_gate_says(cards):
    found, _ = cards(VALIDATION, lambda record: record.update(value=0.9889 - 0.01))
    assert found["accuracy"].word == "kept"


def test_no_difference_shows_no_factor(cards):
    def level(record):
        record["ratios"][0] |= {"speedup": 1.02, "low": 0.99, "high": 1.05, "verdict": "no difference"}

    found, _ = cards(PROFILE, level)
    card = found["speed"]
    assert (card.word, card.tone) == ("no difference", "neutral")
    assert "1.02" not in card.figure + card.lines[0]


def test_a_slower_engine_is_bad_news(cards):
    def slow(record):
        record["ratios"][0] |= {"speedup": 0.6, "low": 0.58, "high": 0.63, "verdict": "slower"}

    found, _ = cards(PROFILE, slow)
    assert (found["speed"].word, found["speed"].tone) == ("slower", "bad")


def test_zeros_on_a_cpu_are_never_called_sparse_execution(cards):
    found, _ = cards()
    assert found["sparsity"].word == "weights only"
    assert "dense" in found["sparsity"].lines[1]


def test_a_sparse_kernel_is_said_only_of_layers_with_evidence(cards):
    found, _ = cards(ENGINE, lambda record: record["layers"][1].update(ran_sparse="yes"))
    assert found["sparsity"].word == "1 of 18 ran sparse"
    assert "1\u00a0" not in found["sparsity"].lines[1].split(" in ")[1]


def test_what_was_not_measured_is_not_claimed(cards, finished):
    for name in (PROFILE, VALIDATION):
        (finished / "engines/onnxruntime-cpu" / name).unlink()
    found, headline = cards()
    assert {found[name].word for name in ("accuracy", "agreement", "speed")} == {"not measured"}
    assert headline == ("none", "No gate of the recipe has been judged yet.")


def test_without_gates_nothing_is_called_kept(cards):
    options = {"metric": "accuracy", "max_drop": None, "min_agreement": None, "min_snr_db": None}
    found, _ = cards(VALIDATION, lambda record: record.update(options=options, gates=[]))
    assert found["accuracy"].word == found["agreement"].word == "no gate"


def test_a_bigger_engine_is_not_smaller(cards):
    found, _ = cards(ENGINE, lambda record: record["sizes"].update({"engine.onnx": 2_000_000}))
    assert (found["size"].word, found["size"].tone) == ("not smaller", "neutral")


def test_the_share_of_weights_is_measured_on_the_engine_where_there_is_one(finished):
    run = collect(finished)
    views = layer_views(run)
    assert [view.name for view in views] == [layer.name for layer in run.layers]
    assert all(view.measured for view in views)
    assert share(views) == pytest.approx(290_304 / 291_088)
    run.engines = []
    assert not any(view.measured for view in layer_views(run))
    assert share([]) is None
