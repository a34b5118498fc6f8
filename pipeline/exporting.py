"""The export stage: the trained network, its samples and its history, handed to the export room."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..common import files
from ..common.bundle import Layer, Range
from .recipe import Recipe


def export_stage(recipe: Recipe, run: Path, source: str, metrics: dict[str, dict[str, float]]) -> dict[str, float]:
    """Write the bundle of the network that the stage `source` left; returns its metric on the bundle's samples."""
    from ..common.metric import PICTURES
    from ..export.stage import ExportRequest, export_bundle
    from ..training.factory import build_data
    from ..training.judge import features_of, require_metric
    from ..training.restore import load_stage
    from ..training.span import span_of

    data = build_data(recipe.data)
    metric = require_metric(data, recipe.validation.metric)
    request = ExportRequest(
        name=recipe.name,
        network=load_stage(recipe.model, run / source),
        dense=lambda: load_stage(recipe.model, run / "dense"),
        val=data.val,
        config=recipe.export,
        layers=[Layer.model_validate(item) for item in _list(run / source / "layers.json")],
        ranges=[Range.model_validate(item) for item in _list(run / source / "ranges.json")],
        metric=metric,
        metrics=metrics,
        span=span_of(data) if metric in PICTURES else None,
        features=features_of(data),
    )
    manifest = export_bundle(request, run / "bundle")
    return {manifest.metric: manifest.eval_metric}


def _list(path: Path) -> list[Any]:
    content: list[Any] = files.read_json(path)
    return content


__all__ = ["export_stage"]
