"""The module that stands for `tensorrt` in inside tests: the real one, with working doubles for what needs a GPU."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from . import checked


class Double(ModuleType):
    """Everything of the real module by its name; doubles in front; `double` is the test's knobs and records."""

    def __init__(self, real: ModuleType, doubles: dict[str, Any], state: Any) -> None:
        super().__init__("tensorrt", real.__doc__)
        self.__dict__.update(doubles)
        self.__dict__.update(__version__=real.__version__, double=state, _real=real)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["_real"], name)

    def __dir__(self) -> list[str]:
        return dir(self.__dict__["_real"])


def make(real: ModuleType) -> Any:
    """The module double over the real bindings; once in a process."""
    checked.REAL = real
    from . import builder, config, context, network, parser, runtime
    from .state import STATE

    classes = [builder.Builder, network.INetworkDefinition, network.ITensor, network.ILayer, config.IBuilderConfig,
               config.IOptimizationProfile, config.ITimingCache, parser.OnnxParser, parser.ParserError, runtime.Runtime,
               runtime.ICudaEngine, runtime.EngineInspector, context.IExecutionContext]
    return Double(real, {one.__name__: one for one in classes}, STATE)
