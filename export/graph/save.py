"""Write an ONNX file, whole or not at all; large weights go into a data file beside it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import onnx_ir as ir

from ...common.files import explained

THRESHOLD_BYTES = 1_500_000_000


def save(model: ir.Model, path: Path, threshold: int = THRESHOLD_BYTES) -> list[str]:
    """Write `model` to `path`.

    Args:
        model: its values stay; small weights that were still on disk are read into memory.
        path: the ONNX file; its folder is made if need be.
        threshold: bytes of weights above which they go to `<name>.data` beside it. Defaults to 1.5 GB: an ONNX file
            itself can't be larger than 2 GB.

    Returns:
        The names of the files that were written, in `path`'s folder.

    Raises:
        UserError: no room, or the folder can't be written.
    """
    data = f"{path.name}.data" if weight_bytes(model) > threshold else None
    workshop = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with explained(path):
            workshop.mkdir(parents=True, exist_ok=True)
            if not data:
                ir.external_data.load_to_model(model)
            ir.save(model, workshop / path.name, external_data=data)
            names = [data, path.name] if data else [path.name]
            for name in names:
                _settle(workshop / name, path.with_name(name))
            if not data:
                path.with_name(f"{path.name}.data").unlink(missing_ok=True)
            return names
    finally:
        shutil.rmtree(workshop, ignore_errors=True)


def _settle(temporary: Path, final: Path) -> None:
    with temporary.open("rb+") as file:
        os.fsync(file.fileno())
    os.replace(temporary, final)


def weight_bytes(model: ir.Model) -> int:
    """Bytes of all initializers."""
    return sum(value.const_value.nbytes for value in model.graph.initializers.values() if value.const_value is not None)


__all__ = ["THRESHOLD_BYTES", "save", "weight_bytes"]
