"""trtexec as a second opinion; here a script stands for it, with the options that each major has in its help."""

from __future__ import annotations

import json
import stat
import sys

import pytest

from twofour.engines.records import GpuTimes, Latency, Spread
from twofour.engines.tensorrt.trtexec_check import trtexec_check

HELP = {  # names of the options: samples/common/sampleOptions.cpp of NVIDIA/TensorRT
    10: "--useCudaGraph --useSpinWait --noDataTransfers",
    11: "--noCudaGraph --noSpinWait --includeDataTransfers --useCudaGraph --noDataTransfers",
}
TIMES = json.dumps([{"computeMs": value, "latencyMs": 9.0} for value in (1.0, 1.3, 1.2)])
SCRIPT = """#!{python}
import json, sys
options = sys.argv[1:]
if options == ["--help"]:
    print({help!r})
    sys.exit()
open({heard!r}, "w").write(json.dumps(options))
print("&&&& RUNNING TensorRT.trtexec [TensorRT v{number}] [b11] # trtexec")
if {code}:
    print("[E] Error[1]: the plan is of another release")
    sys.exit({code})
path = next(word.split("=", 1)[1] for word in options if word.startswith("--exportTimes="))
open(path, "w").write({times!r})
"""


def spread(median):
    return Spread(p50=median, p90=median, p95=median, p99=median, mean=median, min=median)


def latency(graph=True):
    gpu = GpuTimes(cuda_graph=graph, fallback=None, compute=spread(1), h2d=None, d2h=None, enqueue=spread(0.1),
                   variation=0.0)
    return Latency(arm="sparse-int8", batch=8, runs=1, p50=1, p90=1, p95=1, p99=1, mean=1, min=1, spread=0,
                   throughput=1, samples_ms=[1.0], builds=[1.25, 1.0], gpu=gpu)


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Puts a trtexec on the PATH; gives what it was called with."""

    def install(major, code=0, times=None):
        times = TIMES if times is None else times
        path, heard = tmp_path / "trtexec", tmp_path / "heard.json"
        path.write_text(SCRIPT.format(python=sys.executable, help=HELP[major], heard=str(heard), code=code, times=times,
                                      number={10: "101303", 11: "110400"}[major]))
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setenv("PATH", str(tmp_path))
        return lambda: json.loads(heard.read_text())

    return install


@pytest.mark.parametrize(("major", "graph", "spin", "options"), [
    (10, True, True, {"--useCudaGraph", "--useSpinWait", "--noDataTransfers"}),
    (10, False, False, {"--noDataTransfers"}),
    (11, True, True, set()),
    (11, False, False, {"--noCudaGraph", "--noSpinWait"}),
])
def test_the_same_settings_in_the_words_of_each_major(installed, tmp_path, major, graph, spin, options):
    heard = installed(major)
    trtexec_check(tmp_path / "a.plan", {"x": (8, 64), "y": (8,)}, latency(graph), 3.0, spin=spin)
    found = heard()
    assert {word for word in found if "=" not in word} == options
    assert {f"--loadEngine={tmp_path / 'a.plan'}", "--shapes=x:8x64,y:8", "--duration=3"} <= set(found)


def test_both_medians_are_told(installed, tmp_path):
    installed(11)
    found = trtexec_check(tmp_path / "a.plan", {}, latency(), 3.0, spin=True)
    assert (found.compute_ms, found.own_ms, found.batch, found.version) == (1.2, 1.25, 8, "11.4.0")
    assert found.command == f"trtexec --loadEngine={tmp_path / 'a.plan'} --duration=3"


def test_without_trtexec_nothing_is_said(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert trtexec_check(tmp_path / "a.plan", {}, latency(), 3.0, spin=True) is None
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(("broken", "said"), [
    ({"code": 1}, "ended with 1 ([E] Error[1]: the plan is of another release)"), ({"times": "["}, "can't be read"),
    ({"times": "[]"}, "can't be read"), ({"times": '[{"x": 1}]'}, "can't be read"),
])
def test_one_that_does_not_work_is_said_and_spoils_nothing(installed, tmp_path, capsys, broken, said):
    installed(10, **broken)
    assert trtexec_check(tmp_path / "a.plan", {}, latency(), 3.0, spin=True) is None
    assert said in capsys.readouterr().err
