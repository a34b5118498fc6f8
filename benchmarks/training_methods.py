"""The training methods beside plain training and their predecessors, on real digits, over several seeds.

    python benchmarks/training_methods.py [--only group_knowledge] [--seeds 3] [--out FILE]

Each part has arms of equal compute and gives one row for each case, seed and arm. Rows are written as they are
measured, to `results/training_methods.json`; rows that are there already are not measured again.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

from twofour.common.files import read_json, write_json
from twofour.common.machine import describe

RESULTS = Path(__file__).parent / "results" / "training_methods.json"
PARTS = ("group_knowledge", "adversarial_amendment", "gan")
Row = dict[str, Any]
Rows = Callable[[int, set[tuple[str, str]]], Iterator[Row]]  # seed, the (case, arm) that are done


def rows_of(part: str) -> Rows:
    """What measures a part: `rows` of the module `methods_PART` beside this one."""
    found: Rows = import_module(f"methods_{part}").rows
    return found


def main() -> None:
    """Measure what is missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", choices=PARTS, nargs="*", default=PARTS)
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    rows: list[Row] = read_json(options.out)["rows"] if options.out.is_file() else []
    for seed in range(options.seeds):
        for part in options.only:
            about = {"part": part, "seed": seed}
            done = {(row["case"], row["arm"]) for row in rows if about.items() <= row.items()}
            for row in rows_of(part)(seed, done):
                rows.append({**about, **row})
                print(rows[-1], flush=True)
                write_json(options.out, {"machine": describe(), "rows": rows})


if __name__ == "__main__":
    main()
