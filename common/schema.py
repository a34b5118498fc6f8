"""The base of every validated document: recipe, bundle, engine, stage record."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Document(BaseModel):
    """Immutable, unknown keys refused, so that a typing error never passes as a default."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, protected_namespaces=())


__all__ = ["Document"]
