from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twofour.common.errors import UserError
from twofour.engines.cuda.stream import Stream
from twofour.engines.cuda.view import view_of


def array(**changes):
    facts = {"shape": (2, 3), "typestr": "<f4", "data": (0x7000, False), "version": 2, "strides": None} | changes
    return SimpleNamespace(__cuda_array_interface__=facts)


def test_a_plain_array():
    owner = array()
    view = view_of(owner)
    assert (view.address, view.shape, view.dtype, view.stream, view.nbytes) == (0x7000, (2, 3), np.float32, None, 24)
    assert view.owner is owner


def test_bfloat16_as_torch_names_it():
    assert view_of(array(typestr="<V2")).nbytes == 12


def test_nothing_of_the_kind():
    torch = pytest.importorskip("torch")
    for value in (np.zeros(3), torch.zeros(3), 1, None, "x"):
        assert view_of(value) is None


@given(st.lists(st.integers(0, 4), max_size=4), st.sampled_from(["f4", "i1", "f2", "i8"]), st.permutations(range(4)))
def test_contiguous_or_not_as_numpy_says(shape, dtype, order):
    there = np.zeros(shape, dtype).transpose([axis for axis in order if axis < len(shape)])
    facts = array(shape=there.shape, strides=there.strides, typestr=there.dtype.str)
    if there.flags.c_contiguous:
        assert view_of(facts).shape == there.shape
    else:
        with pytest.raises(UserError, match="not C-contiguous"):
            view_of(facts)


@pytest.mark.parametrize(("changes", "reason"), [
    ({"version": 1}, "has version 1"),
    ({"mask": object()}, "masked"),
    ({"typestr": ">f4"}, "byte order"),
    ({"version": 3, "stream": 0}, "stream 0"),
    ({"strides": (4, 8)}, r"not C-contiguous \(shape \(2, 3\), strides \(4, 8\) bytes\)"),
])
def test_what_can_not_be_used(changes, reason):
    with pytest.raises(UserError, match=reason):
        view_of(array(**changes))


def test_a_tensor_that_refuses():
    class Tensor:
        @property
        def __cuda_array_interface__(self):
            raise RuntimeError("Can't get __cuda_array_interface__ on Variable that requires grad.")

    with pytest.raises(UserError, match=r"requires grad.*detach"):
        view_of(Tensor())


@pytest.mark.parametrize("stream", [1, 2, "own"])
def test_the_owners_work_comes_before_ours_and_its_next_after(cuda, stream):
    cuda.lazy, seen = True, []
    with Stream() as own, Stream() as user:
        owner = own if stream == "own" else Stream.borrowed(stream)
        view = view_of(array(version=3, stream=owner.handle))
        cuda.launch(owner, lambda: seen.append("made"))
        view.acquire(user)
        cuda.launch(user, lambda: seen.append("used"))
        user.synchronize()
        assert seen == ["made", "used"]
        cuda.launch(user, lambda: seen.append("used again"))
        view.release(user)
        cuda.launch(owner, lambda: seen.append("made again"))
        owner.synchronize()
        assert seen == ["made", "used", "used again", "made again"]


def test_an_owner_that_names_no_stream_is_not_waited_for(cuda):
    with Stream() as user:
        view = view_of(array(version=3, stream=None))
        view.acquire(user)
        view.release(user)
    assert cuda.counts["cudaStreamWaitEvent"] == 0
