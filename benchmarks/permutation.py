"""Our search for channel permutations beside that of NVIDIA apex on the CPU, and over all layers of two networks.

Apex is fetched beside the project: `git clone https://github.com/NVIDIA/apex` and give that folder. Its search modules
are copied to a temporary folder with the import that newer ones lack. Every search is a process of its own with one
thread, and its time is that process's CPU time, so that others on the machine matter less.

Arms: `ours` without escapes and with the default 100, in float32 as weights come; `apex` likewise (window of 8 columns,
generator seeded with 1 as its ASP does), stopped at the limit; once it was stopped, further searches get twenty
seconds. Where
it is stopped, what its first map of all groups would take is estimated from the groups that it did finish; the passes
after that come on top. `apex, quick sums`: the same code of apex, but each group is scored by a vectorized function of
ours: it finds what apex finds, and its time says nothing of apex. Without `--apex` only our search runs.

Results are written after each search; a run that was stopped goes on where it was, and what is there stays.

    python benchmarks/permutation.py [--apex FOLDER] [--limit 600] [--only 128x64 --only deit_s ...] [--again]
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import combinations
from math import comb
from pathlib import Path
from typing import Any

import numpy as np

from twofour.common import console, files, machine
from twofour.training.permutation.search import kept_magnitude, row_bound, search

SHAPES = {f"{size}x{size}": (size, size, "normal") for size in (256, 512, 1024, 2048)}
SHAPES = {"128x64": (128, 64, "uniform"), **SHAPES}
ROUNDS, QUICK, ONCE_STOPPED = 3, 256, 20.0
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
Found = dict[str, Any]


def matrix(rows: int, columns: int, kind: str) -> np.ndarray[Any, Any]:
    """The matrix of the README of apex (seed 1), or a Gaussian one whose columns differ in scale."""
    random = np.random.RandomState(1)
    if kind == "uniform":
        return random.rand(rows, columns).astype(np.float32)
    return (random.randn(rows, columns) * np.exp(0.5 * random.randn(columns))).astype(np.float32)


def resnet50() -> list[tuple[str, int, int, int]]:
    """Groups of layers that read the same channels: name, rows, columns, how many there are."""
    found = [("stage 1, first block", 64 + 256, 64, 1)]
    for stage, (width, blocks) in enumerate(((64, 3), (128, 4), (256, 6), (512, 3)), 1):
        found.append((f"stage {stage}, 3x3", 9 * width, width, blocks))
        found.append((f"stage {stage}, second 1x1", 4 * width, width, blocks))
        following = 1000 if stage == 4 else 2 * width + 8 * width
        found.append((f"stage {stage}, residual stream", (blocks - 1) * width + following, 4 * width, 1))
    return found


def deit_s() -> list[tuple[str, int, int, int]]:
    """The same; value channels are permuted within a head, the residual stream feeds qkv, fc1 and the classifier."""
    return [("fc2", 384, 1536, 12), ("projection, a head", 384, 64, 72),
            ("residual stream", 12 * (3 * 384 + 1536) + 1000, 384, 1)]


NETWORKS = {"resnet50": resnet50, "deit_s": deit_s}


def ours(weights: np.ndarray[Any, Any], escapes: int) -> Found:
    """Our search with the default window."""
    start, cpu = time.perf_counter(), time.process_time()
    found = search(weights, escapes=escapes)
    return {"kept": found.kept, "efficacy": found.efficacy, "cpu_seconds": time.process_time() - cpu,
            "seconds": time.perf_counter() - start}


class LimitError(Exception):
    """The CPU time is used up."""


def apex(weights: np.ndarray[Any, Any], escapes: int, limit: float, quick: bool) -> Found:
    """The search of apex; stopped after `limit` seconds of CPU time."""
    from permutation_search_kernels import exhaustive_search, permutation_utilities

    permutation_utilities.use_gpu(initial_override=False)
    slow, done = exhaustive_search.search_matrix, 0

    def counted(part: Any, width: int) -> Any:
        nonlocal done
        result = quick_group(part, exhaustive_search) if quick else slow(part, width)
        done += 1
        return result

    exhaustive_search.search_matrix = counted
    np.random.seed(1)
    signal.signal(signal.SIGPROF, _stop)
    signal.setitimer(signal.ITIMER_PROF, limit)
    start, cpu = time.perf_counter(), time.process_time()
    try:
        _, _, order = exhaustive_search.Exhaustive_Search(weights, stripe_group_size=8, escape_attempts=escapes)
    except LimitError:
        order = None
    signal.setitimer(signal.ITIMER_PROF, 0)
    found = {"cpu_seconds": time.process_time() - cpu, "seconds": time.perf_counter() - start, "groups": done}
    if order is not None:
        return {**found, "kept": kept_magnitude(weights[:, order])}
    whole = found["cpu_seconds"] / max(done, 1) * comb(weights.shape[1] // 4, 2)
    return {**found, "stopped": True, "first_map_estimate": whole}


def _stop(*_: Any) -> None:
    raise LimitError


def quick_group(part: np.ndarray[Any, Any], theirs: Any) -> tuple[Any, float, Any, float]:
    """What apex's `search_matrix` returns for one group, by sums over subsets in float64."""
    values, ways = np.abs(part).T, np.array(theirs.generate_all_unique_combinations(8, 4))
    pairs, sums = {}, {}
    for a, b in combinations(range(8), 2):
        pairs[a, b] = np.minimum(values[a], values[b]), np.maximum(values[a], values[b])
    for a, b, c, d in combinations(range(8), 4):
        (low, high), (other_low, other_high) = pairs[a, b], pairs[c, d]
        sums[a, b, c, d] = np.maximum(low, other_high).sum() + np.maximum(high, other_low).sum()
    kept = np.array([sums[tuple(way[:4])] + sums[tuple(way[4:])] for way in ways.tolist()])
    best = int(kept.argmax())
    return part[:, ways[best]], 0.0, ways[best], float(kept[best] - kept[0])


def prepared(source: Path, folder: Path) -> None:
    """A copy of apex's search modules that can be imported."""
    found = next((path for path in source.rglob("permutation_search_kernels") if path.is_dir()), None)
    if found is None:
        raise SystemExit(f"{source} holds no folder permutation_search_kernels: clone https://github.com/NVIDIA/apex")
    (folder / found.name).mkdir()
    for path in found.glob("*.py"):
        (folder / found.name / path.name).write_text("import time\n" + path.read_text())


def process(folder: Path, arm: str, shape: tuple[int, int, str], escapes: int, limit: float) -> Found:
    """One arm in a process of its own."""
    command = [sys.executable, __file__, "--arm", arm, "--shape", json.dumps(shape), "--escapes", str(escapes),
               "--limit", str(limit)]
    path = os.pathsep.join((str(folder), os.environ.get("PYTHONPATH", "")))
    surroundings = {**os.environ, **ONE_THREAD, "PYTHONPATH": path, "APEX_ASP_CACHE_DIR": str(folder / "cache")}
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=surroundings)
    return json.loads(done.stdout.splitlines()[-1])


def matrix_row(folder: Path, shape: tuple[int, int, str], given: argparse.Namespace, row: Found) -> Iterator[Found]:
    """All arms on one matrix that `row` lacks; the row as it grows, after each of them."""
    weights = matrix(*shape)
    row = {"rows": shape[0], "columns": shape[1], "kind": shape[2], "limit": given.limit,
           "default": kept_magnitude(weights), "bound": row_bound(weights), "arms": [], **row}
    done = {(arm["arm"], arm["escapes"]) for arm in row["arms"]}
    theirs = ["apex", *(["apex, quick sums"] if shape[1] <= given.quick else [])] if given.apex else []
    for escapes in (0, 100):
        for name in ("ours", *theirs):
            if (name, escapes) not in done:
                found = timed(folder, name, shape, escapes, given.limit)
                row["arms"].append({"arm": name, "escapes": escapes, **found})
                console.say(json.dumps(row["arms"][-1]))
                yield row
                if row["arms"][-1].get("stopped"):
                    given.limit = min(given.limit, ONCE_STOPPED)


def timed(folder: Path, name: str, shape: tuple[int, int, str], escapes: int, limit: float) -> Found:
    """One arm; ours several times where that is quick."""
    if name != "ours":
        return process(folder, name, shape, escapes, 1e6 if "quick" in name else limit)
    runs = [process(folder, name, shape, escapes, limit) for _ in range(ROUNDS if shape[0] <= QUICK else 1)]
    times = [run["cpu_seconds"] for run in runs]
    return {**runs[0], "cpu_seconds": statistics.median(times), "all_cpu_seconds": times}


def network_row(folder: Path, name: str, row: Found) -> Iterator[Found]:
    """Our search, as `permute: true` calls it, for every group of a network; groups of one shape are searched once."""
    groups = list(row.get("groups", []))
    for label, rows, columns, count in NETWORKS[name]()[len(groups):]:
        found = process(folder, "ours", (rows, columns, "normal"), 100, 0)
        groups.append({"group": label, "rows": rows, "columns": columns, "count": count, **found})
        console.say(json.dumps(groups[-1]))
        yield {"groups": groups, "cpu_seconds": sum(one["cpu_seconds"] * one["count"] for one in groups)}


def main() -> None:
    """One arm if told so, otherwise everything."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--apex", type=Path, help="a clone of https://github.com/NVIDIA/apex")
    parser.add_argument("--limit", type=float, default=600, help="CPU seconds after which a search of apex is stopped")
    parser.add_argument("--quick", type=int, default=512, help="columns up to which apex runs with quick sums too")
    parser.add_argument("--only", action="append", choices=[*SHAPES, *NETWORKS], help="only these; the rest is kept")
    parser.add_argument("--again", action="store_true", help="measure anew what is there already")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "permutation.json")
    parser.add_argument("--arm", help=argparse.SUPPRESS)
    parser.add_argument("--shape", type=json.loads, help=argparse.SUPPRESS)
    parser.add_argument("--escapes", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.arm:
        weights = matrix(*given.shape)
        found = (ours(weights, given.escapes) if given.arm == "ours"
                 else apex(weights, given.escapes, given.limit, "quick" in given.arm))
        print(json.dumps(found))
    else:
        everything(given)


def everything(given: argparse.Namespace) -> None:
    """All shapes and networks, or some, as far as they aren't there; written after each search."""
    described = machine.describe()
    described["versions"] |= machine.versions(("numpy",))
    found = known(given.out, described)
    names = given.only or [*SHAPES, *NETWORKS]
    if given.again:
        found = {name: row for name, row in found.items() if name not in names}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        if given.apex:
            prepared(given.apex, folder)
        for name in names:
            old = found.get(name, {})
            growing = (network_row(folder, name, old) if name in NETWORKS
                       else matrix_row(folder, SHAPES[name], given, old))
            for row in growing:
                found[name] = row
                ordered = {key: found[key] for key in (*SHAPES, *NETWORKS) if key in found}
                files.write_json(given.out, {"machine": described, "searches": ordered})


def known(path: Path, described: Found) -> Found:
    """The results that are there; those of another machine can't be continued."""
    old: Found = json.loads(path.read_text()) if path.is_file() else {"searches": {}, "machine": described}
    for key in ("cpu", "cores", "int8_instructions"):
        if old["machine"][key] != described[key]:
            raise SystemExit(f"{path} was measured on another machine: give another --out, or delete it")
    return dict(old["searches"])


if __name__ == "__main__":
    main()
