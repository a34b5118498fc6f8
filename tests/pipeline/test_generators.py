"""What recipes of generators imply, and what is refused before anything is trained."""

import pytest
import yaml

from twofour.common.errors import UserError
from twofour.pipeline.preflight import preflight
from twofour.pipeline.recipe import load as load_recipe

NETS, DIGITS = "twofour.training.gan_models:", "twofour.training.gan_data:"
MODEL = {"factory": NETS + "tiny_translator", "args": {"width": 16}}
DATA = {"factory": DIGITS + "edges_to_digits", "args": {"batch": 400, "size": 8}}
JUDGE = {"factory": NETS + "tiny_discriminator", "args": {"size": 8, "width": 8, "conditional": True}}
DENSE = {"stage": "dense", "epochs": 1, "method": "gan", "optimizer": {"name": "adamw", "lr": 0.001},
         "gan": {"discriminator": JUDGE, "lr": 0.002, "reconstruction": 10}}
SPARSE, QAT = {"stage": "sparse"}, {"stage": "qat"}


def written(tmp_path, training=(DENSE, SPARSE, QAT), **changes):
    path = tmp_path / "recipe.yaml"
    recipe = {"name": "gan", "model": MODEL, "data": DATA, "training": list(training),
              "validate": {"metric": "ssim"}, **changes}
    path.write_text(yaml.safe_dump(recipe))
    return path


def judged(**changes):
    return {**DENSE, "gan": {**DENSE["gan"], "discriminator": {**JUDGE, **changes}}}


def test_a_dense_generator_makes_the_later_stages_gan_compression(tmp_path):
    dense, sparse, qat = load_recipe(written(tmp_path)).resolved().training
    assert [stage.method for stage in (dense, sparse, qat)] == ["gan", "gan_compression", "gan_compression"]
    assert [stage.teacher for stage in (dense, sparse, qat)] == [None, "dense", "sparse"]
    assert sparse.gan == dense.gan
    assert qat.gan == dense.gan.model_copy(update={"lr": 2e-5})
    assert (sparse.gradual.initial, sparse.gradual.end) == (0.05, 0.5)
    assert dense.optimizer.betas == (0.9, 0.999)


def test_what_a_stage_says_itself_counts(tmp_path):
    said = {**SPARSE, "gan": {"lr": 1e-4, "freeze": True}, "gradual": {"end": 0.6}}
    sparse, qat = load_recipe(written(tmp_path, [DENSE, said, {**QAT, "gan": {"lr": 1e-5}}])).resolved().training[1:]
    assert (sparse.gan.lr, sparse.gan.freeze, sparse.gan.reconstruction) == (1e-4, True, 10)
    assert (sparse.gradual.initial, sparse.gradual.end) == (0.05, 0.6)
    assert (qat.gan.lr, qat.gan.freeze) == (1e-5, False)


def test_a_resolved_recipe_says_the_same_again(tmp_path):
    resolved = load_recipe(written(tmp_path)).resolved()
    path = tmp_path / "again.yaml"
    path.write_text(yaml.safe_dump(resolved.document()))
    assert load_recipe(path).resolved() == resolved


@pytest.mark.parametrize(
    ("training", "said"),
    [
        ([DENSE, {**SPARSE, "method": "asp"}], "asp learns from labels, and a generator has none"),
        ([DENSE, {**SPARSE, "distill": {"teacher": "dense"}}], "a generator's answers are no classes"),
        ([{**DENSE, "optimizer": {"label_smoothing": 0.1}}], "a generator has no labels"),
        ([{**DENSE, "gan": {}}], "a generator is trained beside a discriminator; name its factory"),
        ([{**DENSE, "gan": {**DENSE["gan"], "freeze": True}}], "has yet to learn"),
        ([DENSE, QAT], "gan_compression in a qat stage learns from the sparse stage, and there is none"),
        ([{"stage": "dense"}, {**SPARSE, "gan": {"lr": 1.0}}], "method of this stage has no discriminator"),
        ([{"stage": "dense"}, {**SPARSE, "gan_compression": {"distill": 1}}], "method of this stage is not gan_compr"),
        ([{"stage": "dense"}, {**SPARSE, "method": "gan_compression"}], "so its weights must be named"),
        ([DENSE, SPARSE, {**QAT, "gan_compression": {"prune": "once"}}], "only the sparse stage prunes"),
        ([DENSE, {**SPARSE, "gan_compression": {"prune": "once"}, "gradual": {"end": 0.6}}], "prune is once"),
        ([DENSE, {**SPARSE, "gan_compression": {"consistency": 0}}], "nothing to learn from"),
        ([DENSE, {**SPARSE, "method": "gan", "gradual": {"end": 0.6}}], "method of this stage is gan, which has"),
        ([DENSE, {**SPARSE, "sparsity": 0.6}], "it is for `unstructured` and `filters`"),
        ([DENSE, {**SPARSE, "gan": {"discriminater": JUDGE}}], "Did you mean 'discriminator'"),
        ([{**DENSE, "optimizer": {"betas": [0.5, 1.0]}}], "betas"),
        ([DENSE, {**SPARSE, "gan": {"discriminator": {**JUDGE, "weights": "mine.pt"}}}], "the stage before trains it"),
        ([{**DENSE, "epochs": 0}, SPARSE], "with no epoch it stays untrained"),
        ([DENSE, {**SPARSE, "gradual": {"begin": 0.6}}], "begin must be less than end, which is 0.5"),
        ([DENSE, {**SPARSE, "gan_compression": {"consistency": 0, "distill": 1, "ratio": "per_sample"}}],
         "ratio: it is of the self-supervised loss"),
    ],
)
def test_what_can_not_be_is_refused(tmp_path, training, said):
    with pytest.raises(UserError, match=said):
        load_recipe(written(tmp_path, training))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"training": [judged(args={**JUDGE["args"], "size": 16})]}, "doesn't fit the generator: it can't take"),
        ({"training": [judged(args={**JUDGE["args"], "conditional": False, "channels": 3})]}, "doesn't fit the"),
        ({"training": [judged(factory=NETS + "tiny_diskriminator")]}, "gan.discriminator.factory: .*has nothing"),
        ({"model": {"factory": NETS + "tiny_translator", "args": {"width": 12}}}, "No layer of this network can be"),
        ({"data": {"factory": "twofour.training.data:digits", "args": {"size": 8}},
          "validate": {"metric": "accuracy"}}, "no metric of pictures"),
        ({"model": {"factory": NETS + "tiny_translator", "args": {"channels": 2}}}, "can't take this batch"),
        ({"model": {"factory": NETS + "tiny_generator", "args": {"size": 16}},
          "data": {"factory": DIGITS + "digits_from_noise", "args": {"size": 8}},
          "training": [{**DENSE, "gan": {**DENSE["gan"], "reconstruction": 0}}],
          "validate": {"metric": "feature_distance"}},
         r"returned the shape \(2, 1, 16, 16\), and the real pictures have \(2, 1, 8, 8\)"),
        ({"model": {"factory": NETS + "tiny_generator", "args": {"size": 8}},
          "data": {"factory": DIGITS + "digits_from_noise", "args": {"size": 8}},
          "validate": {"metric": "feature_distance"}}, "targets don't belong to the inputs, so the pictures"),
        ({"training": [{"stage": "dense", "method": "group_knowledge"}]}, "group_knowledge is a method for"),
    ],
)
def test_what_does_not_fit_stops_a_run_before_anything_is_trained(tmp_path, changes, said):
    with pytest.raises(UserError, match=said):
        preflight(load_recipe(written(tmp_path, **changes)).resolved(), tmp_path / "run", "train")


def test_what_fits_passes(tmp_path):
    preflight(load_recipe(written(tmp_path)).resolved(), tmp_path / "run", "train")


def test_the_discriminator_s_weights_and_code_count_as_inputs(tmp_path):
    from twofour.pipeline.stages import Context, train

    def inputs():
        recipe = load_recipe(written(tmp_path, [judged(weights=str(tmp_path / "d.safetensors"))])).resolved()
        return train(Context(recipe, {}), recipe.training[0]).inputs

    (tmp_path / "d.safetensors").write_bytes(b"one")
    before = inputs()
    (tmp_path / "d.safetensors").write_bytes(b"two")
    assert before["discriminator"] != inputs()["discriminator"]
