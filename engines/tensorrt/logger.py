"""TensorRT's log: every line kept, warnings shown, and the file that it ends in."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...common import console, files
from .module import tensorrt

_ERRORS = ("INTERNAL_ERROR", "ERROR")


@dataclass(frozen=True)
class LogLine:
    """One message.

    Attributes:
        severity: `INTERNAL_ERROR`, `ERROR`, `WARNING`, `INFO` or `VERBOSE`.
        text: TensorRT's words.
    """

    severity: str
    text: str


@dataclass
class Log:
    """What TensorRT said so far; it logs from several threads.

    Attributes:
        lines: in the order in which they came.
        taken: how many came so far, with those that have gone.
        most: how many lines are kept; beyond it the oldest go. None keeps all.
        loud: show each warning, once, when it comes.
        interrupted: Ctrl-C came while a line was taken: the bindings swallow what is raised there.
    """

    lines: list[LogLine] = field(default_factory=list)
    taken: int = 0
    most: int | None = None
    loud: bool = True
    interrupted: bool = False
    _shown: set[str] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, severity: str, text: str) -> None:
        """Take one message."""
        with self._lock:
            self.lines.append(LogLine(severity, text))
            self.taken += 1
            if self.most is not None:
                del self.lines[: -self.most]
            new = severity == "WARNING" and self.loud and text not in self._shown
            self._shown.update([text] if new else [])
        if new:
            console.warn(f"TensorRT: {text}")

    def texts(self) -> list[str]:
        """All messages."""
        return [line.text for line in self.lines]

    def errors(self, since: int = 0) -> list[str]:
        """The messages of errors, each once, in one line each.

        Args:
            since: what `taken` was: only what came later counts. Defaults to 0, all of them.
        """
        with self._lock:
            later = self.lines[max(len(self.lines) - (self.taken - since), 0):]
        return list(dict.fromkeys(" ".join(line.text.split()) for line in later if line.severity in _ERRORS))

    def write(self, path: Path) -> None:
        """Write the log as text, one message a line, the severity before it.

        Raises:
            UserError: the file can't be written.
        """
        files.write_text(path, "".join(f"[{line.severity}] {line.text}\n" for line in self.lines))


def logger(log: Log) -> Any:
    """A `trt.ILogger` that writes to `log`; whoever makes TensorRT's objects with it keeps it alive.

    Raises:
        MissingError: TensorRT is missing.
    """
    trt = tensorrt()

    class Logger(trt.ILogger):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)  # pybind11 takes no object whose base wasn't set up

        def log(self, severity: Any, msg: str) -> None:
            try:
                log.add(severity.name, msg)
            except KeyboardInterrupt:
                log.interrupted = True

    return Logger()


__all__ = ["Log", "LogLine", "logger"]
