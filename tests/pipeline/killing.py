"""Run a recipe over and over, killing it at random moments in every stage, until it comes to its end.

`python killing.py RECIPE OUT KILLS SECONDS`, where SECONDS is JSON: how long each stage takes, by its folder. The heavy
packages are imported once and each run is a fork, so that the kills fall into the work and not into its start.
Prints the last exit code, and how many kills fell into each stage.
"""

import collections
import json
import os
import random
import signal
import sys
import time
from pathlib import Path


def child(recipe: str, out: Path) -> None:
    from twofour import cli

    sys.argv = ["twofour", "run", recipe, "--out", str(out), "--quiet", "--json"]
    with (out.parent / f"{out.name}.log").open("a") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    try:
        cli.main()
    except SystemExit as end:
        os._exit(end.code or 0)
    os._exit(0)


def start(recipe: str, out: Path) -> int:
    process = os.fork()
    if process == 0:
        child(recipe, out)
    return process


def ended(process: int, until) -> int | None:
    """The exit code, or None if `until()` came true first."""
    while not until():
        done, status = os.waitpid(process, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.005)
    return None


def current(out: Path, stages: list[str]) -> str:
    """The first stage that is not finished."""
    return next((stage for stage in stages if not (out / stage / "stage.json").is_file()), "report")


def kill_once(recipe: str, out: Path, reached, seconds: float, passed) -> int | None:
    """Start, wait until `reached()`, kill within the `seconds` that follow, or once the stage is `passed()`."""
    process = start(recipe, out)
    code = ended(process, reached)
    if code is None:
        end = time.monotonic() + seconds
        code = ended(process, lambda: time.monotonic() > end or passed())
    if code is None:
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)
    return code


def kill_everywhere(recipe: str, out: Path, kills: int, seconds: dict[str, float]) -> None:
    """Kill `kills` times in each stage, then let it finish."""
    rng, stages = random.Random(0), list(seconds)
    fell: collections.Counter[str] = collections.Counter()
    for stage in stages:
        for part in range(kills):  # early in the stage first, so that a slow machine's stage isn't over before
            def reached(stage=stage, beyond=0):
                return stages.index(stage) + beyond <= [*stages, "report"].index(current(out, stages))

            def passed(stage=stage):  # or a slow stage's kills fall behind the short one that follows
                return reached(stage, beyond=1)

            moment = 1.2 * seconds[stage] * rng.uniform(part, part + 1) / kills
            if kill_once(recipe, out, reached, moment, passed) not in (None, 0):
                sys.exit("a run failed")
            fell[current(out, stages)] += 1
    code = ended(start(recipe, out), lambda: False)
    sys.stdout.write(json.dumps({"code": code, "kills": fell}))


if __name__ == "__main__":
    import onnxruntime  # noqa: F401
    import sklearn.datasets
    import sklearn.model_selection  # noqa: F401

    import twofour.calibrate.calibrate
    import twofour.engines.validate
    import twofour.export.stage
    import twofour.pipeline.report.write
    import twofour.training.calibration
    import twofour.training.stage  # noqa: F401

    recipe, out, kills, seconds = sys.argv[1:]
    kill_everywhere(recipe, Path(out), int(kills), json.loads(seconds))
