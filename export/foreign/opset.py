"""Graphs of an opset in which Q and DQ have no axis are brought to a newer one."""

from __future__ import annotations

import onnx
import onnx_ir as ir

from ...common.errors import UserError

OLDEST, WANTED = 13, 21
_LIMIT_BYTES = 1_900_000_000


def upgrade(model: ir.Model, where: str) -> ir.Model:
    """The same network at opset 21 if it is older than 13, else `model` itself.

    Raises:
        UserError: an operator can't be converted, or the file is too large for ONNX's converter.
    """
    found = model.opset_imports.get("", OLDEST)
    if found >= OLDEST:
        return model
    fix = f"Export it again with opset {OLDEST} or newer."
    ir.external_data.load_to_model(model)
    proto = ir.to_proto(model)
    if proto.ByteSize() > _LIMIT_BYTES:
        raise UserError(f"This network has opset {found} and is too large to be converted.", where=where, fix=fix)
    try:
        return ir.from_proto(onnx.version_converter.convert_version(proto, WANTED))
    except Exception as error:  # the converter raises errors of several unrelated types
        reason = " ".join(str(error).split())[:300]
        raise UserError(
            f"This network has opset {found} and can't be brought to {WANTED}: {reason}", where=where, fix=fix
        ) from error


__all__ = ["OLDEST", "WANTED", "upgrade"]
