import json
import shlex
import shutil
import subprocess

import numpy as np
import onnxruntime
import pytest

from twofour.common import bundle as bundles
from twofour.common import files
from twofour.common.errors import UserError
from twofour.engines.records import ENGINE
from twofour.engines.triton.config import PackageConfig
from twofour.engines.triton.package import package

IMAGE = [("x", "float32", ["batch", 3, 8, 8])]
IMAGES = {"x": {"min": [1, 3, 8, 8], "opt": [8, 3, 8, 8], "max": [32, 3, 8, 8]}}


def test_a_plan_with_every_field_of_its_config(declare, plan, tmp_path, served, triton):
    bundle = declare(IMAGE)
    folder = plan(shapes=IMAGES, opt_batch=8, max_batch=32)
    done = package(bundle, tmp_path / "models")
    assert done.folder == tmp_path / "models" / "digits"
    assert (done.folder / "1" / "model.plan").read_bytes() == (folder / "engine.plan").read_bytes()
    want = triton.ModelConfig(
        name="digits", backend="tensorrt", platform="tensorrt_plan", default_model_filename="model.plan",
        max_batch_size=32,
        input=[triton.ModelInput(name="x", data_type=triton.TYPE_FP32, dims=[3, 8, 8])],
        output=[triton.ModelOutput(name="logits", data_type=triton.TYPE_FP32, dims=[10])],
        instance_group=[triton.ModelInstanceGroup(kind=triton.ModelInstanceGroup.KIND_GPU, count=1)],
    )
    want.version_policy.specific.versions.append(1)
    want.dynamic_batching.preferred_batch_size.append(8)
    want.dynamic_batching.max_queue_delay_microseconds = 100
    want.optimization.cuda.graphs = True
    warmup = want.model_warmup.add(name="zeros", batch_size=8)
    warmup.inputs["x"].data_type = triton.TYPE_FP32
    warmup.inputs["x"].dims.extend([3, 8, 8])
    warmup.inputs["x"].zero_data = True
    want.parameters["twofour.bundle"].string_value = bundles.read(bundle).digest
    want.parameters["twofour.engine"].string_value = files.sha256(folder / "engine.plan")
    assert served(done.folder) == want


def test_onnxruntime_serves_the_engine_s_graph_on_the_cpu(bundle, engine, tmp_path, served, triton):
    done = package(bundle, tmp_path / "models")
    found = served(done.folder)
    model = done.folder / "1" / "model.onnx"
    assert model.read_bytes() == (engine / "engine.onnx").read_bytes()
    assert (found.backend, found.platform, found.max_batch_size) == ("onnxruntime", "onnxruntime_onnx", 64)
    assert [(one.kind, one.count) for one in found.instance_group] == [(triton.ModelInstanceGroup.KIND_CPU, 1)]
    assert found.parameters["intra_op_thread_count"].string_value == "1"
    assert list(found.dynamic_batching.preferred_batch_size) == []
    assert not found.HasField("optimization")
    session = onnxruntime.InferenceSession(str(model))
    names = lambda tensors: [(one.name, one.shape[1:]) for one in tensors]  # noqa: E731
    assert names(session.get_inputs()) == [(one.name, list(one.dims)) for one in found.input]
    assert names(session.get_outputs()) == [(one.name, list(one.dims)) for one in found.output]
    request = found.model_warmup[0].inputs["x"]
    zeros = np.zeros([found.model_warmup[0].batch_size, *request.dims], np.float32)
    assert session.run(None, {"x": zeros})[0].shape == (1, 10)


def test_the_engine_of_a_bundle_that_has_none_is_built(bundle, tmp_path, served):
    done = package(bundle, tmp_path / "models")
    assert served(done.folder).backend == "onnxruntime"
    assert (tmp_path / "engines" / "onnxruntime-cpu" / ENGINE).is_file()


def test_weights_in_a_second_file_go_into_a_folder_where_the_graph_finds_them(bundle, engine, tmp_path):
    import onnx

    model = onnx.load(engine / "engine.onnx")
    (engine / "engine.onnx").unlink()
    onnx.save(model, str(engine / "engine.onnx"), save_as_external_data=True, location="engine.onnx.data",
              size_threshold=0)
    record = files.read_json(engine / ENGINE)
    record["files"] = files.hashes(engine, ["engine.onnx", "engine.onnx.data", "fp32.onnx"])
    files.write_json(engine / ENGINE, record)
    done = package(engine, tmp_path / "models")
    version = done.folder / "1"
    assert sorted(path.name for path in (version / "model.onnx").iterdir()) == ["engine.onnx.data", "model.onnx"]
    onnxruntime.InferenceSession(str(version / "model.onnx" / "model.onnx"))


def test_versions_are_added_and_the_newest_is_served(bundle, engine, tmp_path, served):
    first = package(engine, tmp_path / "models")
    before = (first.folder / "1" / "model.onnx").stat()
    second = package(engine, tmp_path / "models", PackageConfig(max_batch=4))
    assert (first.version, second.version) == (1, 2)
    assert list(served(second.folder).version_policy.specific.versions) == [2]
    assert served(second.folder).max_batch_size == 4
    assert (first.folder / "1" / "model.onnx").stat() == before


@pytest.mark.parametrize(("options", "most", "preferred"), [
    ({}, 32, [8]), ({"max_batch": 32}, 32, [8]), ({"max_batch": 4}, 4, [4]), ({"max_batch": 1}, 1, None),
])
def test_the_largest_batch_is_the_plan_s_or_less(plan, bundle, tmp_path, served, options, most, preferred):
    plan(opt_batch=8, max_batch=32)
    found = served(package(bundle, tmp_path / "models", PackageConfig(**options)).folder)
    assert found.max_batch_size == most
    assert found.HasField("dynamic_batching") == (preferred is not None)
    assert list(found.dynamic_batching.preferred_batch_size) == (preferred or [])


def test_the_profile_counts_more_than_the_batches_asked_for(plan, bundle, tmp_path, served):
    plan(max_batch=64, shapes={"x": {"min": [1, 64], "opt": [2, 64], "max": [3, 64]}})
    found = served(package(bundle, tmp_path / "models").folder)
    assert (found.max_batch_size, list(found.dynamic_batching.preferred_batch_size)) == (3, [2])


def test_of_several_inputs_the_narrowest_counts(declare, plan, tmp_path, served):
    bundle = declare([("a", "float32", ["batch", 2]), ("b", "float32", ["batch", 2])])
    plan(shapes={"a": {"min": [1, 2], "opt": [4, 2], "max": [16, 2]},
                 "b": {"min": [1, 2], "opt": [8, 2], "max": [12, 2]}})
    found = served(package(bundle, tmp_path / "models").folder)
    assert (found.max_batch_size, list(found.dynamic_batching.preferred_batch_size)) == (12, [4])


def test_more_than_the_plan_takes_is_refused(plan, bundle, tmp_path):
    plan(max_batch=32)
    with pytest.raises(UserError, match=r"33 was asked for.* no more than 32"):
        package(bundle, tmp_path / "models", PackageConfig(max_batch=33))


def test_other_dynamic_dimensions_and_tensors_of_one_number_per_sample(declare, plan, tmp_path, served):
    bundle = declare([("x", "int64", ["batch", "length"]), ("k", "float32", ["batch"])],
                     [("y", "float32", ["batch", "length", 4])])
    plan(shapes={"x": {"min": [1, 1], "opt": [8, 128], "max": [16, 512]}, "k": {"min": [1], "opt": [8], "max": [16]}})
    found = served(package(bundle, tmp_path / "models").folder)
    assert [list(one.dims) for one in found.input] == [[-1], [1]]
    assert [one.HasField("reshape") for one in found.input] == [False, True]
    assert [list(one.dims) for one in found.output] == [[-1, 4]]
    warmup = {name: list(one.dims) for name, one in found.model_warmup[0].inputs.items()}
    assert warmup == {"x": [128], "k": [1]}
    assert not found.HasField("optimization")  # a graph would hold for one length only


def test_a_fixed_batch_is_served_in_whole_shapes(declare, engine, tmp_path, served):
    bundle = declare([("x", "float32", [1, 64])], [("logits", "float32", [1, 10])])
    shutil.rmtree(engine)
    found = served((done := package(bundle, tmp_path / "models")).folder)
    assert found.max_batch_size == 0
    assert [list(one.dims) for one in (*found.input, *found.output)] == [[1, 64], [1, 10]]
    assert not found.HasField("dynamic_batching")
    assert list(found.model_warmup[0].inputs["x"].dims) == [1, 64]
    assert "no batching" in done.lines[0]
    assert "--disable-auto-complete-config" not in done.lines[1]
    with pytest.raises(UserError, match="not one dynamic batch axis"):
        package(bundle, tmp_path / "models", PackageConfig(max_batch=8))


def test_first_dimensions_that_are_not_one_batch_are_kept_from_the_server_s_guess(declare, tmp_path, served):
    bundle = declare([("x", "float32", ["batch", 64])], [("logits", "float32", ["n", 10])])
    done = package(bundle, tmp_path / "models")
    assert [list(one.dims) for one in served(done.folder).output] == [[-1, 10]]
    assert "--disable-auto-complete-config" in done.lines[1]


def test_a_plan_that_takes_no_single_sample_is_not_batched(plan, bundle, tmp_path, served):
    plan(min_batch=4)
    done = package(bundle, tmp_path / "models")
    found = served(done.folder)
    assert (found.max_batch_size, list(found.input[0].dims)) == (0, [-1, 64])
    assert list(found.model_warmup[0].inputs["x"].dims) == [8, 64]
    assert "no fewer than 4" in done.lines[0]


def test_options_reach_the_config(plan, bundle, tmp_path, served, triton):
    plan(dla_core=1, version_compatible=True)
    config = PackageConfig(name="other", queue_delay_us=0, instances=2, cuda_graphs=False, warmup=False)
    done = package(bundle, tmp_path / "models", config)
    found = served(done.folder)
    assert (found.name, done.folder.name) == ("other", "other")
    assert found.dynamic_batching.max_queue_delay_microseconds == 0
    assert not found.HasField("optimization")
    assert not found.model_warmup
    group = found.instance_group[0]
    assert group.count == 2
    assert [(one.kind, one.device_id) for one in group.secondary_devices] == [(0, 1)]
    assert "--backend-config=tensorrt,version-compatible=true" in done.lines[1]


def test_which_engine_a_bundle_means(plan, bundle, engine, tmp_path, served):
    backend = lambda target, **options: served(  # noqa: E731
        package(target, tmp_path / "models", PackageConfig(**options)).folder).backend
    assert backend(bundle) == "onnxruntime"
    with pytest.raises(UserError, match=r"no TensorRT engine.*twofour build"):
        backend(bundle, backend="tensorrt")
    first = plan()
    assert backend(bundle) == backend(bundle, backend="tensorrt") == backend(first) == "tensorrt"
    assert backend(bundle, backend="onnxruntime") == backend(engine) == "onnxruntime"
    with pytest.raises(UserError, match="onnxruntime was asked for"):
        backend(first, backend="onnxruntime")
    second = plan("nvidia-a2")
    with pytest.raises(UserError, match=r"2 TensorRT engines.*tensorrt-nvidia-a2, .*tensorrt-nvidia-h100"):
        backend(bundle)
    assert backend(second) == "tensorrt"


def test_a_plan_of_an_earlier_export_is_passed_over(declare, plan, tmp_path, served):
    plan()
    bundle = declare(name="exported again")
    assert served(package(bundle, tmp_path / "models").folder).backend == "onnxruntime"


def test_an_engine_of_another_bundle_is_refused(declare, plan, tmp_path):
    folder = plan()
    declare(name="another")
    with pytest.raises(UserError, match="another bundle"):
        package(folder, tmp_path / "models")
    assert not (tmp_path / "models").exists()


def test_an_engine_that_was_copied_away_is_told_where_its_bundle_lies(plan, bundle, tmp_path, served):
    shutil.copytree(plan(), tmp_path / "deep" / "er" / "engine")
    with pytest.raises(UserError, match="--bundle"):
        package(tmp_path / "deep" / "er" / "engine", tmp_path / "models")
    done = package(tmp_path / "deep" / "er" / "engine", tmp_path / "models", PackageConfig(bundle=bundle))
    assert served(done.folder).backend == "tensorrt"


def test_a_plan_that_is_not_the_one_on_record_is_not_copied(plan, bundle, tmp_path):
    (plan() / "engine.plan").write_bytes(b"other code")
    with pytest.raises(UserError, match="hash is not the one on record"):
        package(bundle, tmp_path / "models")
    assert not (tmp_path / "models").exists()


def test_targets_and_repositories_that_are_none(bundle, engine, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="neither a bundle"):
        package(tmp_path, tmp_path / "models")
    with pytest.raises(UserError, match="neither a bundle"):
        package(tmp_path / "file", tmp_path / "models")
    with pytest.raises(UserError, match="this is a file"):
        package(bundle, tmp_path / "file")
    for taken in (bundle, engine):
        with pytest.raises(UserError, match="can't be a model repository"):
            package(bundle, taken)


def test_a_repository_below_a_file_cannot_be_written(bundle, engine, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="can't be written"):
        package(bundle, tmp_path / "file" / "models")


@pytest.mark.parametrize(("dtype", "shape"), [("str", ["batch", 64]), ("float32", []), ("float32", ["batch", 0])])
def test_what_triton_cannot_serve_is_said_before_anything_is_written(declare, plan, tmp_path, dtype, shape):
    bundle = declare([("x", dtype, shape)])
    plan(shapes={})
    with pytest.raises(UserError):
        package(bundle, tmp_path / "models")
    assert not (tmp_path / "models").exists()


def test_without_a_profile_on_record_the_batches_asked_for_count(plan, bundle, tmp_path, served):
    plan(shapes={}, opt_batch=4, max_batch=16)
    found = served(package(bundle, tmp_path / "models").folder)
    assert (found.max_batch_size, list(found.dynamic_batching.preferred_batch_size)) == (16, [4])


@pytest.mark.parametrize(("name", "folder"), [
    ("digits", "digits"), ("a b/c", "a_b_c"), ("../x", "_x"), ("naïve", "na_ve"), ("...", "model"), ("a\nb", "a_b"),
    ("n" * 300, "n" * 128),
])
def test_a_bundle_s_name_becomes_one_that_is_safe_in_paths_and_addresses(declare, plan, tmp_path, served, name, folder):
    bundle = declare(name=name)
    plan()
    done = package(bundle, tmp_path / "models")
    assert done.folder == tmp_path / "models" / folder
    assert served(done.folder).name == folder


@pytest.mark.parametrize("name", ["", "a/b", "..", ".hidden", "-x", "a b", "é", "n" * 129, "a\n"])
def test_other_names_are_refused_when_given(bundle, engine, tmp_path, name):
    with pytest.raises(UserError, match="can't be a model's name"):
        package(bundle, tmp_path / "models", PackageConfig(name=name))


def test_a_repository_holds_many_models(bundle, engine, tmp_path):
    for name in ("a", "b"):
        package(bundle, tmp_path / "models", PackageConfig(name=name))
    assert sorted(path.name for path in (tmp_path / "models").iterdir() if path.is_dir()) == ["a", "b"]


def body(line):
    """What the printed request sends: the part in front of the pipe, run by a shell."""
    return json.loads(subprocess.run(["bash", "-c", line.rsplit(" | ", 1)[0]], capture_output=True, check=True).stdout)


def test_the_printed_request_is_what_the_server_asks_for(declare, plan, tmp_path):
    odd = "it's \"x\" é😀"
    bundle = declare([(odd, "float32", ["batch", 2, 3]), ("m", "bool", ["batch"]), ("n", "int64", ["batch", 2])])
    done = package(bundle, tmp_path / "my models", PackageConfig(name="net"))
    sent = {one["name"]: one for one in body(done.lines[3])["inputs"]}
    assert sent[odd] == {"name": odd, "shape": [1, 2, 3], "datatype": "FP32", "data": [0.0] * 6}
    assert (sent["m"]["shape"], sent["m"]["data"]) == ([1, 1], [False])
    assert sent["n"]["data"] == [0, 0]
    assert done.lines[3].endswith(" | curl -s --data-binary @- localhost:8000/v2/models/net/infer")
    assert shlex.split(done.lines[1]) == ["tritonserver", f"--model-repository={tmp_path / 'my models'}"]


@pytest.mark.parametrize(("dtype", "shape"), [("float16", ["batch", 64]), ("float32", ["batch", "length"])])
def test_no_request_is_printed_where_none_can_be_made_up(declare, engine, tmp_path, dtype, shape):
    bundle = declare([("x", dtype, shape)])
    shutil.rmtree(engine)
    assert len(package(bundle, tmp_path / "models").lines) == 3
