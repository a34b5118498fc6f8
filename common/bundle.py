"""The bundle: the folder that is shipped from training to the machine that builds the engine.

`model.onnx` (FP32 with INT8 Q/DQ, weights exactly 2:4), `reference.npz`, `layers.npz`, `eval.npz` and `bundle.json`; of
a network that makes pictures also `pictures.npz`, and `features.npz` where there are features to measure them in.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import ValidationError

from . import files
from .errors import UserError
from .images import Features
from .schema import Document

SCHEMA_VERSION: Literal[1] = 1
MODEL, REFERENCE, LAYERS, EVAL, MANIFEST = "model.onnx", "reference.npz", "layers.npz", "eval.npz", "bundle.json"
FEATURES, PICTURES = "features.npz", "pictures.npz"
WEIGHTS = f"{MODEL}.data"
SHOWN = 8  # pictures that are kept to look at: the first of the reference
_FIX = "Copy the bundle again, or export it again with `twofour export`."


class Tensor(Document):
    """An input or output: dtype as NumPy names it; a string in `shape` is a dynamic dimension."""

    name: str
    dtype: str
    shape: list[int | str]


class Layer(Document):
    """A weighted layer, and whether its weight was pruned to 2:4 in training.

    Attributes:
        name: the module's name in PyTorch (`body.0.conv1`).
        kind: `Conv2d`, `Linear`, `ConvTranspose2d`, ...
        shape: the weight's shape in PyTorch's layout.
        sparse: a 2:4 mask is on it.
        reason: why it is sparse, or why not.
        pattern: what it was pruned to in training (`2:4`, `2:4 in pairs`, `4:8`); None where that is not known.
    """

    name: str
    kind: str
    shape: list[int]
    sparse: bool
    reason: str
    pattern: str | None = None


class Range(Document):
    """The calibrated range of one quantizer.

    Attributes:
        tensor: the quantizer's name (`body.0.conv1.input_quantizer`).
        method: `max`, `percentile`, `entropy` or `mse`.
        amax: largest magnitude that is represented; one number per tensor, or one per channel along `axis`.
        axis: the channel axis, or None for a range per tensor.
        bits: width of the integer code.
    """

    tensor: str
    method: str
    amax: float | list[float]
    axis: int | None
    bits: int = 8


class Agreement(Document):
    """How alike two answers to the same inputs are.

    Attributes:
        predictions: share of samples with the same predicted class, 0 to 1; None where the answers are pictures.
        snr_db: 10 log10(signal power / difference power); None where the two are equal bit for bit.
        samples: number of samples compared.
        ssim: of pictures, their mean structural similarity, -1 to 1; None where the answers are none.
        psnr_db: of pictures, 10 log10(range² / mean squared difference); None also where equal bit for bit.
    """

    predictions: float | None = None
    snr_db: float | None
    samples: int
    ssim: float | None = None
    psnr_db: float | None = None

    @property
    def score(self) -> float:
        """What `min_agreement` is held against: the share of equal predictions, or of pictures their mean SSIM."""
        found = self.predictions if self.ssim is None else self.ssim
        return 0.0 if found is None else found


class Source(Document):
    """The ONNX file that a bundle was made from, where there was no PyTorch network.

    Attributes:
        file: its name.
        sha256: of the file.
        producer: what wrote it, as it says itself.
        runtime: what gave the reference answers, by running that file.
        targets: those of `eval.npz`: `given` with the samples, or the file's own predictions (`source`).
        inputs: where the samples come from.
        notes: what was converted.
        agreement: the bundle's model beside the file, on the reference; exact but for half precision that became FP32.
    """

    file: str
    sha256: str
    producer: str
    runtime: str
    targets: Literal["given", "source"]
    inputs: Literal["data", "file", "random"]
    notes: list[str]
    agreement: Agreement


class Manifest(Document):
    """`bundle.json`.

    Attributes:
        files: name to SHA-256 of every other file of the bundle.
        metric: name of the task metric (`accuracy`, `ssim`, `feature_distance`; see `metric`).
        metrics: metric of every training stage on the whole validation set (`{"dense": {"accuracy": 0.99}}`).
        eval_metric: the PyTorch fake-quant model's metric on the samples of `eval.npz`.
        dense_eval_metric: the dense model's metric on those samples, or None where the export was given no dense model.
        noise_floor: PyTorch against itself, `reference.npz` with noise of 1e-5 standard deviation on its inputs.
        span: of a network that makes pictures, the least and the largest value that one can have.
        feature_distances: of PyTorch's pictures (`pytorch`, and `dense`) to the real ones of `eval.npz`, where there
            are features.
        source: the ONNX file that it was made from; it then stands where PyTorch is named here. None for PyTorch.
    """

    schema_version: Literal[1] = 1
    name: str
    files: dict[str, str]
    inputs: list[Tensor]
    outputs: list[Tensor]
    layers: list[Layer]
    ranges: list[Range]
    metric: str
    metrics: dict[str, dict[str, float]]
    eval_metric: float
    dense_eval_metric: float | None = None
    noise_floor: Agreement
    span: tuple[float, float] | None = None
    feature_distances: dict[str, float] = {}
    versions: dict[str, str]
    source: Source | None = None


class Bundle:
    """A bundle that was read and checked: every file has the hash on record and none leads out of the folder."""

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self.folder, self.manifest = folder, manifest

    @property
    def model(self) -> Path:
        """The master ONNX file."""
        return self.folder / MODEL

    @property
    def digest(self) -> str:
        """The bundle's identity: the hash of its manifest, which holds the hashes of all else."""
        return files.sha256(self.folder / MANIFEST)

    @property
    def data_range(self) -> float | None:
        """Of the pictures that the network makes; None where it makes none."""
        span = self.manifest.span
        return None if span is None else span[1] - span[0]

    @property
    def features(self) -> Features | None:
        """What pictures are measured in, if the bundle has it.

        Raises:
            UserError: the file holds something else.
        """
        if FEATURES not in self.manifest.files:
            return None
        held = files.load_npz(self.folder / FEATURES)
        weight, bias = held.get("weight"), held.get("bias")
        if weight is None or bias is None or weight.ndim != 2 or bias.shape != weight.shape[1:]:
            raise UserError("This file holds no features: weight (pixels, F) and bias (F,).",
                            where=str(self.folder / FEATURES), fix=_FIX)
        return Features(weight, bias)

    def arrays(self, name: str, group: str) -> dict[str, np.ndarray[Any, Any]]:
        """The arrays `group/<name>` of one npz file, by name without the group."""
        loaded = files.load_npz(self.folder / name)
        return {key.split("/", 1)[1]: value for key, value in loaded.items() if key.startswith(group + "/")}


def read(folder: Path) -> Bundle:
    """Read and check a bundle.

    Raises:
        UserError: no bundle there, unknown schema, a file missing, damaged, outside the folder, or the
            weights beside the model are not listed.
    """
    if not (folder / MANIFEST).is_file():
        raise UserError("This folder holds no bundle (no bundle.json).", where=str(folder), fix=_FIX)
    manifest = _manifest(folder)
    files.verify(folder, manifest.files, _FIX)
    for name in (MODEL, REFERENCE, EVAL):
        if name not in manifest.files:
            raise UserError(f"bundle.json does not list {name}.", where=str(folder), fix=_FIX)
    if WEIGHTS not in manifest.files and (folder / WEIGHTS).exists():
        raise UserError(f"bundle.json does not list {WEIGHTS}, found beside the model.", where=str(folder), fix=_FIX)
    return Bundle(folder, manifest)


def _manifest(folder: Path) -> Manifest:
    content = files.read_json(folder / MANIFEST)
    version = content.get("schema_version") if isinstance(content, dict) else None
    if version != SCHEMA_VERSION:
        raise UserError(
            f"This bundle has schema version {version!r}; this twofour reads version {SCHEMA_VERSION}.",
            where=str(folder / MANIFEST),
            fix="Export it again with this version, or install the version that wrote it.",
        )
    try:
        return Manifest.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise UserError(f"bundle.json is damaged: {where}: {first['msg']}.", where=str(folder), fix=_FIX) from error


__all__ = [
    "EVAL", "FEATURES", "LAYERS", "MANIFEST", "MODEL", "PICTURES", "REFERENCE", "SCHEMA_VERSION", "SHOWN", "WEIGHTS",
    "Agreement", "Bundle", "Layer", "Manifest", "Range", "Source", "Tensor", "read",
]
