import importlib.util
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from twofour.training.permutation.magnitude import kept_magnitude
from twofour.training.permutation.partitions import partitions

FOLDER = Path(__file__).parents[2] / "benchmarks"


def loaded(name):
    spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_quick_sums_find_what_scoring_each_partition_finds():
    part = np.random.default_rng(0).standard_normal((30, 8))
    ways = partitions(2).reshape(-1, 8)
    theirs = SimpleNamespace(generate_all_unique_combinations=lambda *_: list(ways))
    kept = [kept_magnitude(part[:, way]) for way in ways]
    _, _, way, gain = loaded("permutation").quick_group(part, theirs)
    assert np.array_equal(way, ways[np.argmax(kept)])
    assert gain == pytest.approx(max(kept) - kept[0])


def test_the_search_modules_are_found_and_get_their_import(tmp_path):
    source = tmp_path / "apex" / "contrib" / "permutation_search_kernels"
    source.mkdir(parents=True)
    (source / "part.py").write_text("now = time.perf_counter\n")
    (tmp_path / "copy").mkdir()
    loaded("permutation").prepared(tmp_path / "apex", tmp_path / "copy")
    copied = (tmp_path / "copy" / "permutation_search_kernels" / "part.py").read_text()
    assert copied == "import time\nnow = time.perf_counter\n"
    assert (source / "part.py").read_text() == "now = time.perf_counter\n"


def test_a_folder_without_them_is_refused(tmp_path):
    with pytest.raises(SystemExit, match="clone"):
        loaded("permutation").prepared(tmp_path, tmp_path)


def test_the_groups_of_the_networks_cover_their_inputs():
    module = loaded("permutation")
    columns = {name: {one[2] for one in make()} for name, make in module.NETWORKS.items()}
    assert columns == {"resnet50": {64, 128, 256, 512, 1024, 2048}, "deit_s": {64, 384, 1536}}
    weights = sum(rows * width * count for _, rows, width, count in module.resnet50())
    assert weights == 25_502_912 - 64 * 3 * 49  # all convolutions and the classifier, but for the first layer


def test_a_search_that_was_stopped_is_not_said_to_be_measured():
    arms = [{"arm": "ours", "escapes": 0, "efficacy": 30.0, "cpu_seconds": 0.5},
            {"arm": "apex", "escapes": 0, "cpu_seconds": 10.0, "groups": 5, "stopped": True}]
    search = {"rows": 8, "columns": 64, "default": 1.0, "bound": 2.0, "arms": arms}
    *_, kept, ours, theirs, ratio = loaded("tables").permutation_rows(search)[0]
    assert (kept, ours) == ("", "0.50")
    assert theirs == "more than 10; more than 240 *"
    assert ratio == "more than 20; more than 480 *"
    finished = {**search, "arms": [arms[0], {"arm": "apex", "escapes": 0, "cpu_seconds": 10.0, "kept": 1.25}]}
    assert loaded("tables").permutation_rows(finished)[0][-4:] == ["25.00", "0.50", "10.0", "20"]


@pytest.fixture
def counted(monkeypatch):
    """The benchmark with searches that are only noted; the third one is killed."""
    module = loaded("permutation")
    searched = []

    def process(_folder, arm, shape, escapes, _limit):
        searched.append((arm, shape[:2], escapes))
        if len(searched) == 3:
            raise KeyboardInterrupt
        return {"kept": 1.0, "efficacy": 30.0, "cpu_seconds": 2.0}

    monkeypatch.setattr(module, "process", process)
    monkeypatch.setattr(module, "NETWORKS", {"resnet50": lambda: [("a", 8, 8, 3), ("b", 16, 8, 1)]})
    monkeypatch.setattr(module, "SHAPES", {"8x16": (512, 16, "normal")})
    return module, searched


def asked(out, **said):
    return SimpleNamespace(apex=None, only=None, again=False, quick=512, limit=600.0, out=out, **said)


def test_a_run_that_was_stopped_goes_on_and_what_is_measured_stays(counted, tmp_path):
    module, searched = counted
    out = tmp_path / "permutation.json"
    with pytest.raises(KeyboardInterrupt):
        module.everything(asked(out))
    module.everything(asked(out))
    module.everything(asked(out))
    assert searched == [("ours", (512, 16), 0), ("ours", (512, 16), 100), ("ours", (8, 8), 100),
                        ("ours", (8, 8), 100), ("ours", (16, 8), 100)]
    found = json.loads(out.read_text())["searches"]
    assert [arm["escapes"] for arm in found["8x16"]["arms"]] == [0, 100]
    assert found["resnet50"]["cpu_seconds"] == 8.0
    given = asked(out)
    given.again, given.only = True, ["resnet50"]
    module.everything(given)
    assert searched[5:] == searched[3:5]


def test_results_of_another_machine_are_not_continued(counted, tmp_path):
    module, _ = counted
    machine = {**module.machine.describe(), "cores": 99}
    (tmp_path / "a.json").write_text(json.dumps({"machine": machine, "searches": {}}))
    with pytest.raises(SystemExit, match="another machine"):
        module.everything(asked(tmp_path / "a.json"))


def test_without_apex_its_columns_are_empty():
    arms = [{"arm": "ours", "escapes": 0, "efficacy": 30.0, "cpu_seconds": 0.5}]
    search = {"rows": 8, "columns": 64, "default": 1.0, "bound": 2.0, "arms": arms}
    assert loaded("tables").permutation_rows(search)[0][-4:] == ["", "0.50", "", ""]
