"""An engine folder opened together with the bundle that it was built from."""

from __future__ import annotations

from pathlib import Path

from ..common import bundle as bundles
from ..common.bundle import Bundle
from ..common.errors import GateError, UserError
from .records import EngineRecord, Gate, read_engine


def open_engine(folder: Path, bundle: Path | None = None) -> tuple[EngineRecord, Bundle]:
    """Read and check an engine and its bundle.

    Args:
        folder: the engine's folder.
        bundle: the bundle's folder. Defaults to where the engine says it lies.

    Raises:
        UserError: either is missing or damaged, or the engine was built from another bundle.
    """
    record = read_engine(folder)
    place = bundle if bundle is not None else folder / record.bundle
    if not place.is_dir():
        raise UserError("The bundle that this engine was built from isn't there.", where=str(place),
                        fix="Say where it lies with --bundle.")
    source = bundles.read(place)
    if source.digest != record.bundle_digest:
        raise UserError("This engine was built from another bundle.", where=f"{folder} and {place}",
                        fix="Build it again with `twofour build`, or give its own bundle with --bundle.")
    return record, source


def require(gates: list[Gate]) -> None:
    """Insist on the gates.

    Raises:
        GateError: one isn't met; all that aren't are named with their figures.
    """
    missed = [gate for gate in gates if not gate.met]
    if missed:
        figures = "; ".join(f"{gate.name} is {gate.value:.4g}, the limit is {gate.limit:.4g}" for gate in missed)
        raise GateError(f"Gate not met: {figures}.", fix="All figures were written first.")


__all__ = ["open_engine", "require"]
