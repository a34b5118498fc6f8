from __future__ import annotations

import base64
import json
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twofour.common.files import save_npz
from twofour.pipeline.report import metric_chart, pictures, verdict
from twofour.pipeline.report.charts import axis_of
from twofour.pipeline.report.collect import collect
from twofour.pipeline.report.layers import layer_views
from twofour.pipeline.report.png import data_address
from twofour.pipeline.report.write import render, write_report


def decoded(address):
    """The pixels of a PNG file without filters, (H, W, channels)."""
    content = base64.b64decode(address.removeprefix("data:image/png;base64,"))
    assert content[:8] == b"\x89PNG\r\n\x1a\n"
    parts, at = {}, 8
    while at < len(content):
        size = struct.unpack(">I", content[at : at + 4])[0]
        name, body = content[at + 4 : at + 8], content[at + 8 : at + 8 + size]
        assert struct.unpack(">I", content[at + 8 + size : at + 12 + size])[0] == zlib.crc32(name + body)
        parts[name], at = body, at + 12 + size
    width, height, bits, kind = struct.unpack(">IIBB", parts[b"IHDR"][:10])
    assert (bits, kind) in ((8, 0), (8, 2))
    lines = np.frombuffer(zlib.decompress(parts[b"IDAT"]), np.uint8).reshape(height, -1)
    assert not lines[:, 0].any()
    return lines[:, 1:].reshape(height, width, 3 if kind == 2 else 1)


@given(st.integers(1, 20), st.integers(1, 20), st.sampled_from([1, 3]), st.integers(0, 2**31))
@settings(max_examples=30, deadline=None)
def test_a_picture_is_written_pixel_for_pixel(height, width, channels, seed):
    codes = np.random.default_rng(seed).integers(0, 256, (channels, height, width))
    address, shown_width, shown_height = data_address(codes / 255 * 4 - 3, -3.0, 1.0)
    assert np.array_equal(decoded(address).transpose(2, 0, 1), codes)
    assert (shown_width, shown_height) == (width, height)


def test_values_beyond_the_span_are_its_ends_and_odd_channels_show_the_first():
    codes = decoded(data_address(np.array([[[-9.0, 9.0, np.nan, np.inf, 0.0]], [[0.0] * 5]]), -1.0, 1.0)[0])
    assert codes[0, :, 0].tolist() == [0, 255, 0, 255, 128]
    assert decoded(data_address(np.zeros((3, 4)), 0.0, 0.0)[0]).shape == (3, 4, 1)


@pytest.mark.parametrize(("shape", "shown"), [((300, 500), (100, 166)), ((2, 900), (1, 180)), ((192, 192), (192, 192))])
def test_large_pictures_are_made_smaller(shape, shown):
    assert decoded(data_address(np.full(shape, 0.5), 0.0, 1.0)[0]).shape[:2] == shown


def cards(run):
    found = collect(run)
    return verdict.cards(found.engines[0], layer_views(found))


def test_pairs_are_shown_from_the_input_to_the_engine(painted):
    run = collect(painted)
    markup = pictures.pictures(run)
    names = ("Input", "Target", "Dense, PyTorch", "INT8, PyTorch", "Engine, ONNX Runtime on CPU")
    assert [markup.count(f": {name}\"") for name in names] == [8] * 5
    page = render(run)
    assert 'href="#pictures"' in page
    assert "<h2>SSIM</h2>" in page
    assert "0.997, 38.2\u00a0dB" in page
    assert "Feature distance to the real pictures" in page
    assert "Same class" not in page


def test_the_answers_say_what_became_of_the_picture(painted):
    kept, same = cards(painted)[:2]
    assert (kept.question, kept.figure, kept.word) == ("Is the picture kept?", "0.951", "kept")
    assert kept.lines[0] == "\u22120.012 against the dense model: 0.963; a loss of 0.1 is allowed"
    assert (same.figure, same.word) == ("0.997", "agrees")
    assert same.lines[0].replace("\u00a0", " ") == "SSIM, PSNR 38.2 dB, on 256 samples, signal to noise 44.1 dB"


def test_of_a_distance_less_is_better(unpaired):
    kept = cards(unpaired)[0]
    assert (kept.figure, kept.word) == ("3.21", "kept")
    assert kept.lines[0].replace("\u00a0", " ") == "+7.6 % against the dense model: 2.99; a rise of 10 % is allowed"
    run = collect(unpaired)
    chart = metric_chart.measured(run)
    assert "Feature distance, stage by stage" in chart
    assert "off the axis, to the right" in chart  # the pruned network
    assert "allowed by the recipe (a rise of 10 %)" in chart
    assert ": Real\"" in pictures.pictures(run)


def test_pictures_that_are_missing_damaged_or_of_another_shape_are_left_out(painted):
    samples = painted / "engines/onnxruntime-cpu/validate/samples.npz"
    save_npz(samples, {"pictures": np.zeros((8, 1, 9, 9))})
    assert "Engine" not in pictures.pictures(collect(painted))
    samples.write_bytes(b"nothing")
    run = collect(painted)
    assert any("samples.npz could not be read" in problem for problem in run.problems)
    save_npz(painted / "bundle/pictures.npz", {"pytorch": np.zeros((8, 1, 9, 9))})
    run = collect(painted)
    assert pictures.pictures(run) is None
    assert any("pictures.npz could not be read" in problem for problem in run.problems)
    write_report(painted)


def test_a_run_without_pictures_has_no_such_section(finished):
    page = render(collect(finished))
    assert "Pictures" not in page
    assert "data:image" not in page


def test_the_metric_is_read_under_its_own_name(painted):
    found = collect(painted).metrics("sparse")
    content = json.loads((painted / "sparse/metrics.json").read_text())
    assert (found.metric, found.value, found.one_shot) == ("ssim", content["ssim"], content["one_shot_ssim"])
    assert found.history[0].value == content["history"][0]["ssim"]


def test_ticks_that_are_near_each_other_are_told_apart():
    scale = axis_of("ssim")([0.72782, 0.72791])
    assert len({scale.text(tick) for tick in scale.ticks}) == len(scale.ticks) > 2


def test_a_dense_value_says_which_samples_it_is_of(painted):
    run = collect(painted)
    assert "the whole validation set</td>" in render(run)
    run.manifest = run.manifest.model_copy(update={"dense_eval_metric": 0.96})
    assert "the whole validation set</td>" not in render(run)
