"""What a test tells the doubles, and what they recorded: `trt.double`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Any


@dataclass
class State:
    """Knobs, and the record of what was done.

    Args:
        log_lines: pairs (severity name, text) that a build logs instead of the wording of the release.
        inspector: gives the inspector's document for an ONNX model; default: made from the graph, by `wording.py`.
        chooses_sparse: whether the builder takes a sparse tactic for an eligible layer, by its ONNX node name.
        fail_build: "null" (one error line, no plan), "out of memory" (the same, memory is named), "skips tactics"
            (tactics are left out for memory, the plan is built all the same), "raises" (RuntimeError).
        fail_context: no execution context: out of memory.
        fail_execute: the n-th execution (from 0) fails as this says: "false" or "raises".
        parse_errors: errors of the parser, as dicts of ParserError's attributes; the parse fails.
        cache_mismatch: where a timing cache of another release is refused: "set" (`set_timing_cache` says False) or
            "create" (`create_timing_cache` gives None).
        on_step: called after each step of the progress that was taken; may raise or send signals.
        compute_capability: of the GPU that this process has.
        gpu: its name.
        layer_ms: layer time by layer name; default: by the number of its weights.
        run: computes outputs from inputs instead of ONNX Runtime: (onnx model, inputs, names) -> {name: array}.
        run_ms: simulated milliseconds of one inference, by the header of the plan.
        enqueue: how work gets on a stream: called with (stream handle, function, milliseconds); default: at once.
        capturing: whether a stream's graph is being captured, by its handle; default: never.
        lend: puts bytes on the device for the time of a callback: gives the address, and a function that takes them
            away; default: the host's memory.
        memory: checks an (address, bytes) before it is touched; default: none.
    """

    log_lines: list[tuple[str, str]] | None = None
    inspector: Callable[[Any], dict[str, Any]] | None = None
    chooses_sparse: Callable[[str], bool] = lambda name: True
    fail_build: str | None = None
    fail_context: bool = False
    fail_execute: dict[int, str] = field(default_factory=dict)
    parse_errors: list[dict[str, Any]] = field(default_factory=list)
    cache_mismatch: str = "set"
    on_step: Callable[[str, int], None] | None = None
    compute_capability: tuple[int, int] = (8, 0)
    gpu: str = "NVIDIA A100-SXM4-40GB"
    layer_ms: Callable[[str], float] | None = None
    run: Callable[..., dict[str, Any]] | None = None
    run_ms: Callable[[dict[str, Any]], float] = lambda header: 2.0
    enqueue: Callable[[int, Callable[[], None], float], None] | None = None
    capturing: Callable[[int], bool] | None = None
    lend: Callable[[bytes], tuple[int, Callable[[], Any]]] | None = None
    memory: Callable[[int, int], None] | None = None
    logged: list[tuple[str, str]] = field(default_factory=list)
    callback_errors: list[str] = field(default_factory=list)
    builds: list[dict[str, Any]] = field(default_factory=list)
    parsed: list[bytes] = field(default_factory=list)
    executions: int = 0
    engines: int = 0
    contexts: int = 0
    test: int = 0

    def reset(self) -> None:
        """All as at the start of a test."""
        fresh = State(test=self.test + 1)
        for one in fields(State):
            setattr(self, one.name, getattr(fresh, one.name))


STATE = State()
