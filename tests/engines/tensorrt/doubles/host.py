"""IHostMemory: bytes that can be read through the buffer protocol, and in no other way."""

from __future__ import annotations

from typing import Any

from . import checked
from .checked import label

_BUFFER = {"__class__", "__new__", "__init__", "__getattribute__", "__setattr__", "__delattr__", "__doc__", "__hash__",
           "__init_subclass__", "__subclasshook__", "__reduce__", "__reduce_ex__", "__repr__", "__str__", "__bytes__",
           "__buffer__", "__sizeof__", "__dir__", "__format__", "__getnewargs__", "__getstate__"}


def _forbid(name: str) -> Any:
    def refuse(self: Any, *args: Any) -> Any:
        raise TypeError(f"'tensorrt.IHostMemory' object has no {name}")

    return refuse


class HostMemory(bytes):
    """A plan or a serialized timing cache."""

    for _name in set(dir(bytes)) - _BUFFER:
        if _name.startswith("__"):
            locals()[_name] = _forbid(_name)
    __hash__ = object.__hash__

    def __getattribute__(self, name: str) -> Any:
        if name.startswith("_"):
            return super().__getattribute__(name)
        real = checked.REAL.IHostMemory
        if not hasattr(real, name):
            raise AttributeError(f"'{label(real)}' object has no attribute '{name}'")
        return {"nbytes": memoryview(self).nbytes, "dtype": checked.REAL.DataType.INT8}[name]

    def __bytes__(self) -> bytes:
        return memoryview(self).tobytes()

    def __repr__(self) -> str:
        return "<tensorrt.IHostMemory>"

    __str__ = __repr__
