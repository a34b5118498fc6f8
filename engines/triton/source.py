"""Which engine is handed over: the folder that was named, or the one that belongs to a bundle."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ...common import bundle as bundles
from ...common import files
from ...common.bundle import Bundle
from ...common.errors import UserError
from ..build import engine_of
from ..config import OnnxRuntimeConfig
from ..folder import open_engine
from ..records import ENGINE, EngineRecord
from .config import PackageConfig


@dataclass(frozen=True)
class Source:
    """An engine whose files have the hashes on record, and the bundle that it was built from."""

    folder: Path
    record: EngineRecord
    bundle: Bundle

    @property
    def backend(self) -> str:
        """`tensorrt` or `onnxruntime`."""
        return self.record.backend


def find_source(target: Path, config: PackageConfig) -> Source:
    """The engine that `target` means.

    ONNX Runtime serves the engine's graph and not the bundle's: that one is made for a GPU's builder, it has been
    neither timed nor validated as it stands, and signed INT8 products overflow in it on CPUs without VNNI.

    Args:
        target: an engine folder; or a bundle, of which the TensorRT engine beside it is taken, else ONNX Runtime's,
            built first if need be.
        config: `backend` and `bundle` count.

    Raises:
        UserError: `target` is neither, or damaged; the engine was built from another bundle, or by another backend
            than asked for; or a bundle has two TensorRT engines, or none where one was asked for.
        MissingError: ONNX Runtime is missing and its engine must be built.
    """
    if (target / ENGINE).is_file():
        return _opened(target, config)
    if not (target / bundles.MANIFEST).is_file():
        raise UserError("This is neither a bundle (no bundle.json) nor an engine folder (no engine.json).",
                        where=str(target), fix="Export a bundle with `twofour export`, or build an engine.")
    return _opened(_engine_of_bundle(target, config), config, target)


def _opened(folder: Path, config: PackageConfig, bundle: Path | None = None) -> Source:
    record, source = open_engine(folder, bundle or config.bundle)
    if record.backend not in ("tensorrt", "onnxruntime"):
        raise UserError(f"Triton has no backend for an engine of {record.backend!r}.", where=str(folder))
    if config.backend not in ("auto", record.backend):
        raise UserError(f"This is an engine of {record.backend}, and {config.backend} was asked for.",
                        where=str(folder), fix="Name the other engine's folder, or leave the backend out.")
    return Source(folder, record, source)


def _engine_of_bundle(bundle: Path, config: PackageConfig) -> Path:
    plans = [] if config.backend == "onnxruntime" else _plans(bundle)
    if len(plans) > 1:
        raise UserError(
            f"This bundle has {len(plans)} TensorRT engines.", where=str(bundle),
            fix=f"Name the one that the server's GPU runs: {', '.join(map(str, plans))}.",
        )
    if not plans and config.backend == "tensorrt":
        raise UserError("There is no TensorRT engine that was built from this bundle.", where=str(bundle),
                        fix="Build it on the server's GPU with `twofour build BUNDLE --backend tensorrt`.")
    return plans[0] if plans else engine_of(bundle, OnnxRuntimeConfig())


def _plans(bundle: Path) -> list[Path]:
    """The TensorRT engines beside the bundle that were built from this very one; not of an earlier export."""
    digest = files.sha256(bundle / bundles.MANIFEST)
    beside = sorted((bundle.resolve().parent / "engines").glob(f"tensorrt-*/{ENGINE}"))
    return [path.parent for path in beside if _digest(path) == digest]


def _digest(path: Path) -> str | None:
    content = files.read_json(path)
    return content.get("bundle_digest") if isinstance(content, dict) else None


__all__ = ["Source", "find_source"]
