import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twofour.common.bundle import Tensor
from twofour.common.errors import UserError
from twofour.engines.triton.tensors import batched, datatype, describe
from twofour.engines.triton.text import render

KINDS = {
    "bool": "BOOL", "uint8": "UINT8", "uint16": "UINT16", "uint32": "UINT32", "uint64": "UINT64", "int8": "INT8",
    "int16": "INT16", "int32": "INT32", "int64": "INT64", "float16": "FP16", "float32": "FP32", "float64": "FP64",
}


def tensor(dtype="float32", shape=("batch", 3), name="x"):
    return Tensor(name=name, dtype=dtype, shape=list(shape))


@pytest.mark.parametrize(("dtype", "kind"), KINDS.items())
def test_every_dtype_of_numpy_has_triton_s_name(triton, dtype, kind):
    assert np.dtype(dtype).name == dtype
    assert datatype(tensor(dtype), "onnxruntime") == kind
    assert f"TYPE_{kind}" in dict(triton.DataType.items())


@pytest.mark.parametrize("dtype", ["str", "object", "<U5", "complex64", "datetime64[ns]", "float8_e4m3fn", ""])
def test_other_dtypes_are_refused_by_name(dtype):
    with pytest.raises(UserError, match=r"^x: .*takes no tensors of dtype .* these: .*float32"):
        datatype(tensor(dtype), "onnxruntime")


@pytest.mark.parametrize(("backend", "dtype"), [
    ("onnxruntime", "bfloat16"), ("tensorrt", "float64"), ("tensorrt", "int16"), ("tensorrt", "uint64"),
])
def test_a_dtype_that_one_backend_lacks_is_refused_there_and_taken_by_the_other(backend, dtype):
    with pytest.raises(UserError, match=backend):
        datatype(tensor(dtype), backend)
    assert datatype(tensor(dtype), {"tensorrt": "onnxruntime", "onnxruntime": "tensorrt"}[backend])


def test_the_batch_is_one_dynamic_first_dimension_of_every_tensor():
    assert batched([tensor(), tensor(shape=["batch"]), tensor(shape=["batch", "length"])])
    assert not batched([tensor(), tensor(shape=["n", 3])])
    assert not batched([tensor(), tensor(shape=[3, "batch"])])
    assert not batched([tensor(shape=[1, 3]), tensor(shape=[1, 2])])
    assert not batched([tensor(), tensor(shape=[])])


def test_without_the_batch_a_vector_of_it_is_reshaped(parse):
    found = parse(render({"input": [describe(tensor("int64", ["batch"]), "tensorrt", True)]})).input[0]
    assert list(found.dims) == [1]
    assert found.HasField("reshape")
    assert list(found.reshape.shape) == []
    plain = parse(render({"input": [describe(tensor("int64", ["batch"]), "tensorrt", False)]})).input[0]
    assert list(plain.dims) == [-1]
    assert not plain.HasField("reshape")


@pytest.mark.parametrize(("one", "words"), [
    (tensor(shape=[]), "without axes"), (tensor(shape=["batch", 0]), "below 1"), (tensor(name=""), "name"),
    (tensor(name="\ud800"), "name"),
])
def test_shapes_and_names_that_triton_cannot_serve(one, words):
    with pytest.raises(UserError, match=words):
        describe(one, "onnxruntime", False)


SHAPES = st.lists(st.one_of(st.integers(1, 2**40), st.text(max_size=3)), min_size=1, max_size=5)


@given(st.text(min_size=1), st.sampled_from(sorted(KINDS)), SHAPES, st.booleans())
def test_any_name_dtype_and_shape_is_read_back_by_triton_s_definition(parse, triton, name, dtype, shape, batching):
    entry = describe(Tensor(name=name, dtype=dtype, shape=shape), "onnxruntime", batching)
    found = parse(render({"input": [entry], "output": [entry]}))
    wanted = [size if isinstance(size, int) else -1 for size in shape][int(batching):]
    for one in (found.input[0], found.output[0]):
        assert (one.name, list(one.dims)) == (name, wanted or [1])
        assert triton.DataType.Name(one.data_type) == f"TYPE_{KINDS[dtype]}"
        assert one.HasField("reshape") == (not wanted)
