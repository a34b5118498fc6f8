"""Read an ONNX file that may come from anyone: checked, and never reading outside its own folder."""

from __future__ import annotations

import warnings
from pathlib import Path

import onnx
import onnx_ir as ir
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from ...common.errors import UserError
from .stored import FIX, check_tensors
from .texts import check_texts

_LARGEST = 2**31  # bytes of a protobuf message
_LONGEST = 300  # characters of a complaint


def load(path: Path) -> ir.Model:
    """Read and check an ONNX file; large weights stay on disk until they are used.

    Raises:
        UserError: it is missing, is not ONNX, is newer than the installed onnx, has no output, breaks ONNX's rules,
            holds tensors of another size than they declare, or keeps weights in a file that is missing, too short, or
            outside of the model's folder (also by a link).
    """
    model = _read(path)
    try:
        _check_age(model, path)
        if not model.graph.output:
            raise UserError("The graph of this ONNX file has no output.", where=str(path), fix=FIX)
        check_texts(model, path)
        check_tensors(model, path)
    except UnicodeDecodeError as error:
        raise UserError("This ONNX file is damaged: a name in it is no text.", where=str(path), fix=FIX) from error
    _check(model, path)
    return _parsed(model, path)


def _read(path: Path) -> onnx.ModelProto:
    if not path.is_file():
        raise UserError("This ONNX file is missing.", where=str(path), fix=FIX)
    if path.stat().st_size >= _LARGEST:
        raise UserError("This file is not ONNX: it is larger than 2 GB, the most that an ONNX file can hold.",
                        where=str(path), fix="Save the model with its weights in a file of their own.")
    try:
        model = onnx.load(str(path), format="protobuf", load_external_data=False)
    except DecodeError as error:
        raise UserError("This file is not ONNX, or is damaged or nested too deeply.", where=str(path),
                        fix=FIX) from error
    except OSError as error:
        raise UserError(f"This file can't be read ({error.strerror}).", where=str(path)) from error
    if not model.HasField("graph"):
        raise UserError("This file is not ONNX: it holds no graph.", where=str(path), fix=FIX)
    return model


def _check_age(model: onnx.ModelProto, path: Path) -> None:
    newest, fix = onnx.defs.onnx_opset_version(), "Install a newer onnx, or export the model to an older opset."
    opset = max((item.version for item in model.opset_import if item.domain in ("", "ai.onnx")), default=0)
    if opset > newest:
        raise UserError(f"This file is of opset {opset}; the installed onnx {onnx.__version__} knows opsets up to "
                        f"{newest}.", where=str(path), fix=fix)
    if model.ir_version > onnx.IR_VERSION:
        raise UserError(f"This file is of ONNX's IR version {model.ir_version}; the installed onnx {onnx.__version__} "
                        f"knows versions up to {onnx.IR_VERSION}.", where=str(path), fix=fix)


def _check(model: onnx.ModelProto, path: Path) -> None:
    """ONNX's own checker; it wants a shape of each input and output, which runtimes do without."""
    vague = [] if _is_external(model) else [
        value.type.tensor_type for value in (*model.graph.input, *model.graph.output)
        if value.type.HasField("tensor_type") and not value.type.tensor_type.HasField("shape")
    ]
    try:
        for kind in vague:
            kind.shape.SetInParent()
        onnx.checker.check_model(model if vague else str(path))
    except Exception as error:  # the checker raises errors of several unrelated types
        raise UserError(f"This ONNX file breaks the rules of ONNX: {_reason(error)}", where=str(path),
                        fix=FIX) from error
    finally:
        for kind in vague:
            kind.ClearField("shape")


def _is_external(model: onnx.ModelProto) -> bool:
    return any(tensor.data_location == onnx.TensorProto.EXTERNAL for tensor in model.graph.initializer)


def _reason(error: Exception) -> str:
    """The first paragraph of the checker's complaint, as one sentence."""
    words = str(error).strip().partition("\n\n")[0].split() or [type(error).__name__]
    text = " ".join(words)
    return f"{text.rstrip('.')}." if len(text) <= _LONGEST else f"{text[:_LONGEST]} ..."


def _parsed(proto: onnx.ModelProto, path: Path) -> ir.Model:
    """The graph; weights inside the file are those of `proto`, not copies."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of keys of external data that it doesn't know
            model = ir.from_proto(proto)
        ir.external_data.set_base_dir(model.graph, str(path.parent))
    except Exception as error:  # of several unrelated types, on what the checker lets pass, such as names of any bytes
        raise UserError("This ONNX file is damaged: its graph can't be put together.", where=str(path),
                        fix=FIX) from error
    return model


__all__ = ["load"]
