"""Real architectures through both exporters: what comes out, and is it the same?

    python benchmarks/architectures [--only ResNet,Swin] [--page] [--work FOLDER]

Writes `benchmarks/results/architectures.json` and `docs/architectures.md`. Takes about ten minutes on two cores.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from networks import ARCHITECTURES, Architecture
from page import EXPORTERS, page
from twins import compare

from twofour.common import console, files, machine

ROOT = Path(__file__).parents[2]
RESULTS, PAGE = ROOT / "benchmarks" / "results" / "architectures.json", ROOT / "docs" / "architectures.md"
LIMIT_SECONDS = 600


def row(found: Architecture, work: Path) -> dict[str, Any]:
    """One architecture by both exporters."""
    folder = work / found.name
    folder.mkdir(parents=True, exist_ok=True)
    cases = {exporter: case(found, exporter, folder) for exporter in EXPORTERS}
    about = next((case["about"] for case in cases.values() if case["about"]), None)
    rows = {exporter: case["row"] for exporter, case in cases.items()}
    both = all(entry["exported"] for entry in rows.values())
    for exporter, entry in rows.items():
        if entry["exported"] and not set(about["sparse"]) <= set(entry["two_four"]):
            sys.exit(f"{found.name}, {exporter}: not 2:4: {set(about['sparse']) - set(entry['two_four'])}")
    return {"name": found.name, "shape": found.shape, "size": found.size, "scores": found.scores, "about": about,
            "exporters": rows, "same": compare(folder, EXPORTERS) if both else None}


def case(found: Architecture, exporter: str, folder: Path) -> dict[str, Any]:
    """The process of one exporter; its last words are the reason where it dies."""
    console.say(f"{found.name}, {exporter}")
    command = [sys.executable, str(Path(__file__).parent / "case.py"), found.name, exporter, str(folder)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_SECONDS)
    except subprocess.TimeoutExpired:
        return _failed(f"not done after {LIMIT_SECONDS} seconds")
    if done.returncode:
        return _failed((done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1])
    return json.loads((folder / f"{exporter}.json").read_text())


def _failed(reason: str) -> dict[str, Any]:
    return {"about": None, "row": {"exported": False, "reason": reason}}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", help="names, joined by commas; the other rows stay as they were")
    parser.add_argument("--page", action="store_true", help="only write the page again")
    parser.add_argument("--work", type=Path, help="keep the files here")
    options = parser.parse_args()
    old = json.loads(RESULTS.read_text()) if RESULTS.is_file() else {"rows": []}
    rows = {entry["name"]: entry for entry in old["rows"]}
    chosen = options.only.split(",") if options.only else [found.name for found in ARCHITECTURES]
    with tempfile.TemporaryDirectory() as temporary:
        for found in ARCHITECTURES:
            if found.name in chosen and not options.page:
                rows[found.name] = row(found, options.work or Path(temporary))
    if not options.page:
        ordered = [rows[found.name] for found in ARCHITECTURES if found.name in rows]
        files.write_json(RESULTS, {"machine": machine.describe(), "transformers": version("transformers"),
                                   "rows": ordered})
    PAGE.write_text(page(json.loads(RESULTS.read_text())))


if __name__ == "__main__":
    main()
