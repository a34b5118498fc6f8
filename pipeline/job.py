"""A pipeline command from its arguments to its last line: run, sum up, report, print, judge the gates."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ..common import files
from ..common.console import result, say
from ..common.errors import GateError
from ..common.lock import locked
from .run import open_run, run
from .summary import SUMMARY, missed, summarize


def do(
    target: Path, out: Path | None, overrides: list[str], until: str | None, as_json: bool,
    inputs: Path | None = None,
) -> None:
    """Run a recipe, run folder or ONNX file up to `until`, and end with the summary on standard output.

    Raises:
        TwofourError: as the stages do.
        GateError: a gate was missed; every figure is written first.
    """
    recipe, folder = open_run(target, out, overrides, inputs)
    with locked(folder):
        outcome = run(recipe, folder, until)
        summary = summarize(outcome)
        if until is None:
            files.write_json(folder / SUMMARY, summary)
            say(f"report: {_report(folder)}")
        elif outcome.changed:  # what stands there is of engines that no longer belong to this network
            (folder / SUMMARY).unlink(missing_ok=True)
    _print(summary, as_json)
    say(f"run folder: {folder}")
    if lines := missed(summary):
        raise GateError(f"A gate was not met: {'; '.join(lines)}.", where=str(folder))


def _report(folder: Path) -> Path:
    from .report.write import write_report

    return write_report(folder)


def _print(summary: dict[str, Any], as_json: bool) -> None:
    if as_json:
        result(json.dumps(summary, indent=2))
        return
    from .tables import show

    show(summary)


__all__ = ["do"]
