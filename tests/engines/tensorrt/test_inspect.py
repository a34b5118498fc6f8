from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from twofour.common import files
from twofour.common.errors import UserError
from twofour.engines.config import ProfileConfig, TensorRTConfig
from twofour.engines.inspect import inspect, inspect_plan_information, layer_rows, more_rows
from twofour.engines.records import (
    EngineRecord,
    LayerEvidence,
    ProfileRecord,
    Ratio,
    SparsityLine,
    TensorRTBuild,
)

RECORDED = Path(__file__).parent / "recorded"
PLAN = b"ftrt" + bytes(20) + bytes([10, 13, 3, 9]) + bytes(100)
SPARSE = "sm80_xmma_fprop_avdt_sparse_int8int8_tilesize64x64x64_tapsperload3_threadspercta128_r3s3_u1v1_scalebias_relu"
NAME = "resnetv15_stage3_conv4_fwd"


def information(name="resnet18"):
    return json.dumps(json.loads((RECORDED / f"layers_{name}.json").read_text())["information"])


def evidence(**given):
    values = {"name": NAME, "op": "Conv", "shape": [256, 256, 3, 3], "two_four": True, "zeros": 0.5,
              "precision": "int8", "kernel": SPARSE, "ran_sparse": "yes", "eligible": "yes",
              "reason": "its kernel's name says so"}
    return LayerEvidence.model_validate(values | given)


def engine_folder(folder, layers, short=()):
    folder.mkdir()
    (folder / "engine.plan").write_bytes(PLAN)
    (folder / "layers.json").write_text(information())
    build = TensorRTBuild(
        version="10.13.3", gpu={}, rest="fp16", islands=[], shapes={}, out_of_memory=list(short), seconds=1.0,
        sparsity_log=[SparsityLine(eligible=12, chosen=5), SparsityLine(text="(Sparsity) and so on")],
        timing_cache="off", trtexec="trtexec", signature="",
    )
    record = EngineRecord(
        backend="tensorrt", device="a100", name="resnet", bundle="../../bundle", bundle_digest="0" * 64,
        options=TensorRTConfig(), engine="engine.plan", baseline=None, sizes={"engine.plan": len(PLAN)}, machine={},
        files=files.hashes(folder, ["engine.plan", "layers.json"]), layers=layers, notes=[], tensorrt=build,
    )
    files.write_json(folder / "engine.json", record.model_dump(mode="json"))
    return folder


def profile(folder, verdict="faster", plan="engine.plan"):
    gain = Ratio(arm="sparse-int8", baseline="sparse-int8-flag-off", batch=8, speedup=1.2, low=1.1, high=1.3,
                 verdict=verdict)
    names = [layer["Name"] for layer in json.loads(information())["Layers"]]
    other = gain.model_copy(update={"baseline": "dense-fp16", "verdict": "faster"})
    record = ProfileRecord(backend="tensorrt", options=ProfileConfig(), machine={}, latencies=[], ratios=[other, gain],
                           gates=[], layer_shares=dict(zip(names, (0.1, 0.4), strict=True)),
                           engine=files.sha256(folder / plan))
    files.write_json(folder / "profile" / "profile.json", record.model_dump(mode="json"))


def test_an_engines_folder(tmp_path):
    dense = evidence(name="fc", two_four=False, ran_sparse="no", eligible="no", kernel=None, reason="9 of 90 groups",
                     change="Prune it.")
    found = inspect(engine_folder(tmp_path / "engine", [evidence(), dense]))
    assert [layer.verdict for layer in found.layers] == ["ran sparse", "not eligible"]
    assert found.ladder.rung == 4
    assert [hop.change for hop in found.hops] == ["dtype"]
    heads, rows = layer_rows(found)
    assert heads[5:] == ["verdict", "kernel", "time"]
    assert rows[0][6].startswith("sm80_xmma_fprop_avdt_sparse")
    assert len(rows[0][6]) < len(SPARSE)
    assert rows[1][4:] == ["int8", "not eligible", "unknown", ""]
    titles = [title for title, _, _ in more_rows(found)]
    assert titles == ["layers that are not known to run sparse", "evidence of sparsity: rung 4 of 5",
                      "the build log on sparsity", "1 reformats"]
    assert more_rows(found)[0][2] == [["fc", "9 of 90 groups", "Prune it."]]
    assert more_rows(found)[2][2] == [["12 eligible, 5 chosen"], ["unknown wording: (Sparsity) and so on"]]
    assert all(len(row) == len(heads) for _, heads, rows in more_rows(found) for row in rows)


def test_the_profile_gives_shares_of_time_and_the_highest_rung(tmp_path):
    folder = engine_folder(tmp_path / "engine", [evidence()])
    profile(folder)
    found = inspect(folder)
    assert found.layers[0].evidence.time_share == pytest.approx(0.4)
    assert layer_rows(found)[1][0][7] == "40.0%"
    assert found.ladder.rung == 5
    profile(folder, "no difference")
    assert inspect(folder).ladder.rung == 4
    (folder / "profile" / "profile.json").write_text("{}")
    assert inspect(folder).ladder.rung == 4


def test_the_profile_of_an_earlier_build_proves_nothing(tmp_path, capsys):
    folder = engine_folder(tmp_path / "engine", [evidence()])
    profile(folder, plan="layers.json")
    found = inspect(folder)
    assert found.ladder.rung == 4
    assert found.layers[0].evidence.time_share is None
    assert "earlier build" in capsys.readouterr().err


def test_a_build_that_was_short_of_memory_is_told_of(tmp_path):
    found = inspect(engine_folder(tmp_path / "engine", [evidence()], ["Skipping tactic 3 due to insufficient memory"]))
    assert "no basis for any claim" in found.notes[-1]


@pytest.mark.parametrize("name", ["model.plan", "model.engine", "model.trt", "model.bin"])
def test_a_plan_from_outside(tmp_path, name):
    (tmp_path / name).write_bytes(PLAN)
    found = inspect(tmp_path / name)
    assert (found.kind, found.sizes, found.layers) == ("plan", {name: len(PLAN)}, [])
    assert "TensorRT 10.13.3" in found.notes[0]
    assert files.sha256(tmp_path / name) in found.notes[1]
    assert "--trust" in found.notes[2]
    assert layer_rows(found)[1] == []


def test_a_plan_by_its_name_only(tmp_path):
    (tmp_path / "model.plan").write_bytes(b"something else")
    found = inspect(tmp_path / "model.plan")
    assert found.notes[0].startswith("no TensorRT plan")
    assert not any("--trust" in note for note in found.notes)


def test_a_plans_information_without_its_graph(tmp_path):
    (tmp_path / "model.plan").write_bytes(PLAN)
    found = inspect_plan_information(information(), plan=tmp_path / "model.plan")
    assert [(kernel.ran_sparse, kernel.weights) for kernel in found.kernels] == [("yes", 589824)]
    assert not any("--trust" in note for note in found.notes)
    heads, rows = layer_rows(found)
    assert len(heads) == len(rows[0])
    names = inspect_plan_information(information("names_only"))
    assert {kernel.ran_sparse for kernel in names.kernels} == {"unknown"}
    assert "without detailed profiling verbosity" in names.notes[-1]


def test_a_plans_information_joined_with_its_graph(tmp_path):
    weight = np.tile(np.float32([1, 0, 0, 2]), 64 * 256).reshape(256, 256, 1, 1)
    nodes = [helper.make_node("Conv", ["x", "w"], ["y"], name=NAME)]
    graph = helper.make_graph(
        nodes, "net", [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 256, 4, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 256, 4, 4])], [numpy_helper.from_array(weight, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    onnx.save(model, str(tmp_path / "m.onnx"))
    log = ["(Sparsity) Found 1 layer(s) eligible to use sparse tactics",
           "(Sparsity) Chose 1 layer(s) using sparse tactics"]
    found = inspect_plan_information(information(), tmp_path / "m.onnx", log=log)
    assert [layer.verdict for layer in found.layers] == ["ran sparse"]
    assert found.kernels == []
    assert found.ladder.rung == 4
    assert [(line.eligible, line.chosen) for line in found.sparsity_log] == [(1, 1)]
    short = inspect_plan_information(
        information().replace("avdt_sparse", "avdt_dense"), tmp_path / "m.onnx", log=["Error Code 2: OutOfMemory"]
    )
    assert "lack of memory" in short.layers[0].evidence.reason


def test_information_that_is_none(tmp_path):
    with pytest.raises(UserError):
        inspect_plan_information("Name: conv")
    with pytest.raises(UserError):
        inspect_plan_information(information(), tmp_path / "nothing.onnx")
