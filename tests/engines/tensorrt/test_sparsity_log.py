from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twofour.engines.tensorrt.sparsity_log import out_of_memory, sparsity_lines

RECORDED = json.loads((Path(__file__).parent / "recorded" / "logs.json").read_text())


@pytest.mark.parametrize("log", RECORDED, ids=[log["origin"] for log in RECORDED])
def test_every_recorded_wording(log):
    found = sparsity_lines(log["lines"])
    assert [[line.eligible, line.chosen] for line in found] == log["pairs"]
    unknown = "wording of tomorrow" in log["origin"]
    assert [line.text is not None for line in found] == [unknown] * len(found)


def test_names_of_the_layers_and_fused_ones_stay_whole():
    found = sparsity_lines([
        "[I] [TRT] (Sparsity) Layers eligible for sparse math: Conv_1 + Relu_2, Conv_3 || Conv_4, PWN(a, b), [c, d]",
        "[I] [TRT] (Sparsity) TRT inference plan picked sparse implementation for layers: Conv_3 || Conv_4",
    ])
    assert found[0].eligible_names == ["Conv_1 + Relu_2", "Conv_3 || Conv_4", "PWN(a, b)", "[c, d]"]
    assert found[0].chosen_names == ["Conv_3 || Conv_4"]
    assert (found[0].eligible, found[0].chosen) == (4, 1)


def test_a_name_may_hold_separators():
    [found] = sparsity_lines(["(Sparsity) Found 2 layer(s) eligible to use sparse tactics: a\x1eb, c\n(V) more"])
    assert found.eligible_names == ["a\x1eb", "c"]


def test_a_log_that_says_nothing_is_unknown_and_not_zero():
    assert sparsity_lines(["[I] [TRT] Engine generation completed in 7 seconds.", "[I] Sparsity: Enabled"]) == []
    assert sparsity_lines([]) == []


def test_the_names_of_kernels_and_layers_say_nothing_in_a_log():
    tried = "[V] [TRT] Conv_1 Set Tactic Name: sm80_xmma_fprop_sparse_conv_f16f16 Tactic: 0x18fd395d26b83e59"
    assert sparsity_lines([tried, "[V] [TRT] --------------- Timing Runner: sparse_head.conv (CaskConvolution)"]) == []


@pytest.mark.parametrize("line", [
    "(Sparsity) Found many layer(s) eligible to use sparse tactics",
    "(Sparsity) Found 3 layer(s) eligible to use sparse tactics of 7",
    "(Sparsity) Found 3 of 9 layer(s) eligible to use sparse tactics",
    "(Sparsity) Found 99999999999999999999 layer(s) eligible to use sparse tactics",
    "(Sparsity) Chose -1 layer(s) using sparse tactics",
    "Skipping sparse tactics for layer conv1",
    "(Sparsity)",
])
def test_another_wording_is_kept_and_no_number_is_read_from_it(line):
    [found] = sparsity_lines([f"[I] [TRT] {line}"])
    assert (found.eligible, found.chosen) == (None, None)
    assert found.text is not None
    assert found.text.endswith(line)


def test_halves_are_paired_in_the_order_of_the_log():
    found_one = "(Sparsity) Found 1 layer(s) eligible to use sparse tactics"
    found_two = "(Sparsity) Found 2 layer(s) eligible to use sparse tactics"
    chose = "(Sparsity) Chose 1 layer(s) using sparse tactics"
    pairs = [(line.eligible, line.chosen) for line in sparsity_lines([chose, found_one, found_two, chose, chose])]
    assert pairs == [(None, 1), (1, None), (2, 1), (None, 1)]


def test_an_unknown_line_between_the_halves_leaves_them_a_pair():
    found = sparsity_lines([
        "(Sparsity) Found 4 layer(s) eligible to use sparse tactics", "(Sparsity) Checking",
        "(Sparsity) Chose 2 layer(s) using sparse tactics",
    ])
    assert [(line.eligible, line.chosen) for line in found] == [(4, 2), (None, None)]


words = st.sampled_from([
    "(Sparsity)", "Found", "Chose", "3", "12", "-1", "layer(s)", "eligible to use sparse tactics",
    "using sparse tactics", "Layers eligible for sparse math:",
    "TRT inference plan picked sparse implementation for layers:",
    ":", ", ", "a", ")", "(", "[I]", "\n", "\x1e", "sparse", "tactics",
])


@settings(max_examples=400, deadline=None)
@given(st.lists(st.one_of(st.text(max_size=40), st.lists(words, max_size=9).map(" ".join)), max_size=6))
def test_it_reads_anything_and_never_makes_a_number_up(lines):
    written = {int(number) for line in lines for number in re.findall(r"[0-9]+", line)}
    for found in sparsity_lines(lines):
        assert found.text is None or (found.eligible is None and found.chosen is None)
        for count, names in ((found.eligible, found.eligible_names), (found.chosen, found.chosen_names)):
            assert count is None or count in written or count == len(names)
    assert all(any(line in given for given in lines) for line in out_of_memory(lines))


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 500), st.integers(0, 500)), max_size=5),
       st.lists(st.text("ab c:[]", max_size=9)))
def test_every_pair_is_found_among_other_lines(pairs, noise):
    lines = list(noise)
    for eligible, chosen in pairs:
        lines += [f"[I] (Sparsity) Found {eligible} layer(s) eligible to use sparse tactics", *noise,
                  f"[I] (Sparsity) Chose {chosen} layer(s) using sparse tactics", *noise]
    assert [(line.eligible, line.chosen) for line in sparsity_lines(lines)] == pairs


SHORT = [  # each with its origin
    ("ultralytics/yolov5#12248",
     "[10/18/2023-20:27:00] [TRT] [W] Skipping tactic 3 due to insuficient memory on requested size of 449 detected"),
    ("ultralytics/yolov5#12248",
     "[TRT] [W] Tactic Device request: 448MB Available: 425MB. Device memory is insufficient to use tactic."),
    ("NVIDIA/TensorRT-LLM#493",
     "[TRT] [W] UNSUPPORTED_STATESkipping tactic 4 due to insufficient memory on requested size of 66048 detected"),
    ("ultralytics/ultralytics#22271",
     "[TRT] [W] UNSUPPORTED_STATE: Skipping tactic 9 due to insufficient memory on requested size of 1048576000"),
    ("NVIDIA/TensorRT#2643",
     "[E] 2: [virtualMemoryBuffer.cpp::resizePhysical::145] Error Code 2: OutOfMemory (no further information)"),
    ("NVIDIA/TensorRT#2643",
     "[W] Requested amount of GPU memory (68719476736 bytes) could not be allocated. There may not be enough"),
    ("NVIDIA/TensorRT#477", "[03/07/2020-16:57:34] [W] [TRT] GPU memory allocation error during getBestTactic: conv0"),
    ("NVIDIA/TensorRT#948", "Cuda Error in nvinfer1::internal::DefaultAllocator::allocate: 2 (out of memory)"),
    ("TensorRT 8 as trtexec prints it",
     "[W] [TRT] Some tactics do not have sufficient workspace memory to run. Increasing workspace size"),
]


@pytest.mark.parametrize(("origin", "line"), SHORT)
def test_a_build_that_was_short_of_memory_is_found_out(origin, line):
    calm = ["[I] [TRT] Total Weights Memory: 34082304 bytes", "[I] [TRT] [MemUsageChange] Init CUDA: CPU +0, GPU +0",
            "[I] [TRT] [MemUsageStats] Peak memory usage of TRT CPU/GPU memory allocators: CPU 6 MiB, GPU 2174 MiB"]
    assert out_of_memory([*calm, line]) == [line]
