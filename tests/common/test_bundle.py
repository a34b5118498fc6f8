from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from twofour.common import bundle, files
from twofour.common.bundle import Agreement, Manifest, Tensor
from twofour.common.errors import UserError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A bundle whose model is any bytes: reading a bundle looks at hashes alone."""
    place = tmp_path / "bundle"
    place.mkdir()
    (place / "model.onnx").write_bytes(b"a model")
    files.save_npz(place / "reference.npz", {"inputs/x": np.arange(3.0), "outputs/logits": np.ones(3)})
    files.save_npz(place / "eval.npz", {"inputs/x": np.arange(3.0), "targets": np.zeros(3, int)})
    x = Tensor(name="x", dtype="float32", shape=["batch"])
    manifest = Manifest(
        name="test", files=files.hashes(place, ["model.onnx", "reference.npz", "eval.npz"]), inputs=[x], outputs=[x],
        layers=[], ranges=[], metric="accuracy", metrics={}, eval_metric=1.0,
        noise_floor=Agreement(predictions=1, snr_db=None, samples=3), versions={},
    )
    files.write_json(place / "bundle.json", manifest.model_dump(mode="json"))
    return place


def change(folder: Path, **values: Any) -> None:
    content = json.loads((folder / "bundle.json").read_text())
    (folder / "bundle.json").write_text(json.dumps(content | values))


def test_a_good_bundle_is_read(folder: Path) -> None:
    read = bundle.read(folder)
    assert read.manifest.name == "test"
    np.testing.assert_array_equal(read.arrays("reference.npz", "inputs")["x"], [0, 1, 2])
    assert read.digest == files.sha256(folder / "bundle.json")


@pytest.mark.parametrize("name", ["model.onnx", "reference.npz", "eval.npz"])
def test_a_flipped_byte_or_a_missing_file_is_named(folder: Path, name: str) -> None:
    content = bytearray((folder / name).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / name).write_bytes(bytes(content))
    with pytest.raises(UserError, match=f"{name}: This file is damaged"):
        bundle.read(folder)
    (folder / name).unlink()
    with pytest.raises(UserError, match=f"{name}: This file is missing"):
        bundle.read(folder)


@pytest.mark.parametrize("name", ["../secret", "/etc/hostname", "link"])
def test_a_path_that_escapes_is_refused(folder: Path, name: str) -> None:
    (folder.parent / "secret").write_text("secret")
    os.symlink(folder.parent / "secret", folder / "link")
    listed = json.loads((folder / "bundle.json").read_text())["files"]
    change(folder, files=listed | {name: files.sha256(folder / name)})
    with pytest.raises(UserError, match="leads out of its folder") as raised:
        bundle.read(folder)
    assert raised.value.exit_code == 2


def test_no_bundle_and_a_missing_folder(tmp_path: Path) -> None:
    for place in (tmp_path, tmp_path / "none"):
        with pytest.raises(UserError, match="holds no bundle"):
            bundle.read(place)


@pytest.mark.parametrize(("content", "message"), [
    ("", "not JSON"), ("{", "not JSON"), ("[]", "schema version None"), ("{}", "schema version None"),
    ('{"schema_version": 2}', "schema version 2"), ('{"schema_version": 1}', "damaged: name"),
])
def test_a_bad_manifest_is_explained(folder: Path, content: str, message: str) -> None:
    (folder / "bundle.json").write_text(content)
    with pytest.raises(UserError, match=message):
        bundle.read(folder)


def test_a_manifest_that_forgets_a_file(folder: Path) -> None:
    change(folder, files={"model.onnx": files.sha256(folder / "model.onnx")})
    with pytest.raises(UserError, match=r"does not list reference\.npz"):
        bundle.read(folder)


def test_weights_that_the_manifest_does_not_list_are_refused(folder: Path) -> None:
    (folder / "model.onnx.data").write_bytes(b"weights")
    with pytest.raises(UserError, match=r"does not list model\.onnx\.data"):
        bundle.read(folder)
    listed = json.loads((folder / "bundle.json").read_text())["files"]
    change(folder, files=listed | files.hashes(folder, ["model.onnx.data"]))
    assert bundle.read(folder).manifest.name == "test"


class Bomb:
    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return (os.system, ("touch exploded",))


def test_pickled_objects_are_never_loaded(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    np.savez(folder / "reference.npz", allow_pickle=True, **{"inputs/x": np.array([Bomb()], object)})
    change(folder, files=files.hashes(folder, ["model.onnx", "reference.npz", "eval.npz"]))
    with pytest.raises(UserError, match="pickled Python objects"):
        bundle.read(folder).arrays("reference.npz", "inputs")
    assert not (folder / "exploded").exists()
