"""What each network made of the same samples, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from ...common.metric import DISTANCE
from .charts import engine_title
from .collect import Array, Run
from .markup import tag
from .png import data_address
from .rows import figure
from .words import count

_CRISP = 96  # a picture with fewer pixels is shown pixel by pixel


@dataclass(frozen=True)
class _Made:
    name: str
    pictures: Array
    span: tuple[float, float]


def pictures(run: Run) -> Markup | None:
    """One row for each network, in each the same samples; None where the run makes no pictures."""
    rows = _rows(run)
    if not rows:
        return None
    shown = min(len(row.pictures) for row in rows)
    cells = [cell for row in rows for cell in _cells(row, shown)]
    grid = tag("div", *cells, class_="pictures", style=f"--samples:{shown};--networks:{len(rows)}")
    note = "Each sample is in line through all of them; black is the least value of a picture and white the largest."
    if run.metric == DISTANCE:
        note += " The real ones belong to no sample: they show what the pictures should be like."
    return figure(f"{count(shown, 'sample')}, and what was made of {'it' if shown == 1 else 'them'}", grid, note=note)


def _rows(run: Run) -> list[_Made]:
    held, manifest = run.pictures, run.manifest
    if "pytorch" not in held or manifest is None or manifest.span is None:
        return []
    real = "Real" if run.metric == DISTANCE else "Target"
    names = {"input": "Input", "targets": real, "dense": "Dense, PyTorch", "pytorch": "INT8, PyTorch"}
    rows = [_Made(title, held[name], _span(held[name]) if name == "input" else manifest.span)
            for name, title in names.items() if name in held]
    for engine in run.engines:
        if engine.pictures is not None and engine.pictures.shape == held["pytorch"].shape and not engine.stale:
            rows.append(_Made(f"Engine, {engine_title(engine)}", engine.pictures, manifest.span))
    return [row for row in rows if row.pictures.ndim in (3, 4) and row.pictures.size]


def _span(values: Array) -> tuple[float, float]:
    finite = values[np.isfinite(values)]
    return (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)


def _cells(row: _Made, shown: int) -> Sequence[Markup]:
    return [tag("div", row.name, class_="maker"), *(_picture(row, index) for index in range(shown))]


def _picture(row: _Made, index: int) -> Markup:
    address, width, height = data_address(row.pictures[index], *row.span)
    kind = "crisp" if max(width, height) < _CRISP else None
    return tag("img", src=address, width=width, height=height, class_=kind, alt=f"Sample {index + 1}: {row.name}")


__all__ = ["pictures"]
