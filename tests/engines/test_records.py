from __future__ import annotations

import pytest

from twofour.common import files
from twofour.common.errors import UserError
from twofour.engines.records import read_engine


@pytest.mark.parametrize("key", ["engine", "baseline"])
@pytest.mark.parametrize("name", ["../../outside.onnx", "unlisted.onnx"])
def test_only_files_whose_hash_is_on_record_are_loaded(engine, key, name):
    assert read_engine(engine).engine == "engine.onnx"
    (engine / name).write_bytes((engine / "engine.onnx").read_bytes())
    files.write_json(engine / "engine.json", files.read_json(engine / "engine.json") | {key: name})
    with pytest.raises(UserError, match=f"does not list the file .*{name}"):
        read_engine(engine)


def test_weights_beside_the_engine_must_be_on_record_too(engine):
    (engine / "fp32.onnx.data").write_bytes(b"weights")
    with pytest.raises(UserError, match=r"does not list the file 'fp32\.onnx\.data'"):
        read_engine(engine)
