"""A second opinion: the engine's own plan timed by trtexec with the settings of the headline, where it is installed.

Releases differ in their defaults (11 launches CUDA graphs, spins and leaves copies out unless told otherwise; 10 the
other way round), so what the installed one calls its options is read from its help.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from ...common import console
from ..records import Latency, TrtexecCheck
from .modes import Setting

_PATIENCE = 300.0  # seconds to load a plan and run it
_VERSION = re.compile(r"TensorRT v(\d+)(\d\d)(\d\d)\b")
_NEITHER = "it has neither of the options {}"


class _NoOpinionError(Exception):
    """Why there is no second opinion."""


def trtexec_check(
    plan: Path, shapes: Mapping[str, Sequence[int]], own: Latency, seconds: float, *, spin: bool
) -> TrtexecCheck | None:
    """Time a plan that was loaded here, and so is trusted.

    Args:
        plan: the file.
        shapes: whole shapes of the inputs that have dynamic dimensions, by name.
        own: the headline of the engine's arm, whose first build is this plan; with the data on the device.
        seconds: how long.
        spin: the host spins while it waits.

    Returns:
        None where trtexec is not on the PATH, or does not work; the latter is said.
    """
    program = shutil.which("trtexec")
    if program is None or own.gpu is None or not own.builds:
        return None
    try:
        with TemporaryDirectory(prefix="twofour-") as folder:
            times = Path(folder) / "times.json"
            words = _options(_run([program, "--help"]), Setting(own.gpu.cuda_graph, False), spin)
            words += [f"--duration={max(1, round(seconds))}"]
            words = ["trtexec", f"--loadEngine={plan}", *_shapes(shapes), *words]
            said = _run([program, *words[1:], f"--exportTimes={times}"])
            return TrtexecCheck(version=_version(said), batch=own.batch, compute_ms=_median(times),
                                own_ms=own.builds[0], command=shlex.join(words))
    except _NoOpinionError as error:
        console.warn(f"trtexec gave no second opinion: {error}.")
        return None


def _options(known: str, way: Setting, spin: bool) -> list[str]:
    """The options for these settings, in the words of the installed release."""
    wanted = (
        (way.graph, "--useCudaGraph", "--noCudaGraph"),
        (spin, "--useSpinWait", "--noSpinWait"),
        (not way.transfers, "--noDataTransfers", "--includeDataTransfers"),
    )
    return [word for on, turns_on, turns_off in wanted for word in _option(known, on, turns_on, turns_off)]


def _option(known: str, on: bool, turns_on: str, turns_off: str) -> list[str]:
    """A release has the option that turns its default over; 11 still takes the older one, and ignores it."""
    if turns_off in known:
        return [] if on else [turns_off]
    if turns_on in known:
        return [turns_on] if on else []
    raise _NoOpinionError(_NEITHER.format(f"{turns_on} and {turns_off}"))


def _shapes(shapes: Mapping[str, Sequence[int]]) -> list[str]:
    joined = ",".join(f"{name}:{'x'.join(map(str, shape))}" for name, shape in shapes.items())
    return [f"--shapes={joined}"] if joined else []


def _run(command: list[str]) -> str:
    try:
        done = subprocess.run(  # noqa: S603  # what is on the user's own PATH
            command, capture_output=True, text=True, timeout=_PATIENCE, errors="replace"
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise _NoOpinionError(str(error)) from error
    if done.returncode:
        lines = [line for line in (done.stdout + done.stderr).splitlines() if "[E]" in line] or ["it does not say why"]
        raise _NoOpinionError(f"it ended with {done.returncode} ({lines[-1].strip()})")
    return done.stdout


def _version(said: str) -> str:
    found = _VERSION.search(said)
    return ".".join(str(int(number)) for number in found.groups()) if found else "unknown"


def _median(path: Path) -> float:
    try:
        samples: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
        return float(median(float(sample["computeMs"]) for sample in samples))
    except (OSError, ValueError, KeyError, TypeError) as error:  # no file, not JSON, no times, other keys
        raise _NoOpinionError(f"its times can't be read ({error})") from error


__all__ = ["trtexec_check"]
