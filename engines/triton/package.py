"""`twofour package TARGET --triton DIR`: an engine as a version of a model in Triton's model repository."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

from ...common import bundle as bundles
from ...common.errors import UserError
from ...common.lock import locked
from ..config import TensorRTConfig
from ..records import ENGINE
from .batching import Batching, batching_of
from .config import PackageConfig
from .example import example
from .model_config import FILES, model_config
from .publish import next_version, publish
from .source import Source, find_source

_ODD = re.compile(r"[^A-Za-z0-9_.-]")
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")


@dataclass(frozen=True)
class Handover:
    """What was written.

    Attributes:
        folder: the model's folder in the repository.
        version: the number of the version that was added and is served now.
        lines: for people to print: what it is, how the server is started, and a request to try.
    """

    folder: Path
    version: int
    lines: list[str]


def package(target: Path, out: Path, config: PackageConfig | None = None) -> Handover:
    """Add an engine to a model repository; versions that are there stay as they are.

    Args:
        target: a bundle, or an engine folder of TensorRT or ONNX Runtime (see `find_source`).
        out: the model repository; it is made if need be. A server may be polling it.
        config: name, batching, instances. Defaults to `PackageConfig()`.

    Raises:
        UserError: `target` is neither, or damaged; the engine isn't of this bundle; an input or output that Triton
            can't serve; a batch that the plan doesn't take; a name that is no model's; `out` is a file, holds a bundle
            or an engine, or can't be written; config.pbtxt was changed by hand.
        MissingError: ONNX Runtime is missing and its engine must be built.
    """
    config = config or PackageConfig()
    _check_repository(out)
    source = find_source(target, config)
    name = _name(source, config)
    batching = batching_of(source, config)
    contents = _contents(source)
    model_config(name, 1, source, batching, config)  # what can't be served is said before anything is written
    with locked(out):
        version = next_version(out / name)
        publish(out / name, version, contents, model_config(name, version, source, batching, config))
    return Handover(out / name, version, _lines(out, name, version, source, batching))


def _check_repository(out: Path) -> None:
    if out.exists() and not out.is_dir():
        raise UserError("The model repository must be a folder, and this is a file.", where=str(out),
                        fix="Give another folder with --triton.")
    if (out / ENGINE).exists() or (out / bundles.MANIFEST).exists():
        raise UserError("This folder holds an engine or a bundle, and can't be a model repository.", where=str(out),
                        fix="Give another folder with --triton.")


def _name(source: Source, config: PackageConfig) -> str:
    if config.name is None:
        return _ODD.sub("_", source.bundle.manifest.name).lstrip(".-")[:128] or "model"
    if not _NAME.fullmatch(config.name):
        raise UserError(f"{config.name!r} can't be a model's name.", where="--name",
                        fix="Use up to 128 letters, digits, '_', '-' and '.', beginning with none of the last two.")
    return config.name


def _contents(source: Source) -> dict[str, tuple[Path, str]]:
    """By path in the version's folder, what is copied there and its hash on record.

    A graph with its weights in a second file goes into a folder of the model file's name, as Triton asks for; the
    second file keeps the name by which the graph knows it.
    """
    record, model = source.record, FILES[source.backend]
    paths = {model: record.engine}
    data = f"{record.engine}.data"
    if source.backend == "onnxruntime" and data in record.files:
        paths = {f"{model}/{model}": record.engine, f"{model}/{data}": data}
    return {path: (source.folder / name, record.files[name]) for path, name in paths.items()}


def _lines(out: Path, name: str, version: int, source: Source, batching: Batching) -> list[str]:
    address = f"localhost:8000/v2/models/{name}"
    request = example(address, source, batching)
    return [
        f"{out / name}: version {version}, {_what(source)}, {_how(batching)}",
        f"tritonserver {shlex.join(_flags(out, source, batching))}",
        f"curl -s {address}/config",
        *([request] if request else []),
    ]


def _what(source: Source) -> str:
    built = source.record.tensorrt
    if source.backend == "onnxruntime":
        return "served by ONNX Runtime on the CPU"
    on = f" on {built.gpu['name']}" if built and "name" in built.gpu else ""
    return f"a plan of TensorRT {built.version}{on}; the server must have both" if built else "a TensorRT plan"


def _how(batching: Batching) -> str:
    return f"batches up to {batching.most}" if batching.most else f"no batching: {batching.reason}"


def _flags(out: Path, source: Source, batching: Batching) -> list[str]:
    flags = [f"--model-repository={out.resolve()}"]
    options = source.record.options
    if isinstance(options, TensorRTConfig) and options.version_compatible:
        flags.append("--backend-config=tensorrt,version-compatible=true")
    if not batching.most and _autofilled(source):
        flags.append("--disable-auto-complete-config")
    return flags


def _autofilled(source: Source) -> bool:
    """The server would take the first dimensions for a batch, since all are dynamic, and contradict the config."""
    manifest = source.bundle.manifest
    return all(one.shape and isinstance(one.shape[0], str) for one in [*manifest.inputs, *manifest.outputs])


__all__ = ["Handover", "package"]
