import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
HEAVY = ("torch", "modelopt", "onnx", "onnxruntime", "tensorrt", "numpy", "pydantic", "rich")


def tracked() -> list[Path]:
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    lines = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.splitlines()
    return [Path(line) for line in lines if (ROOT / line).is_file()]


@pytest.fixture(scope="session")
def wheel(tmp_path_factory) -> Path:
    source = tmp_path_factory.mktemp("source")
    for path in tracked():
        (source / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / path, source / path)
    out = tmp_path_factory.mktemp("wheel")
    options = ["-q", "--no-deps", "--no-build-isolation", "-w", str(out)]
    command = [sys.executable, "-m", "pip", "wheel", *options, str(source)]
    subprocess.run(command, check=True, cwd=out)
    return next(out.glob("*.whl"))


def test_the_wheel_holds_the_package_and_nothing_else(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0].split("-")[0] for name in names} == {"twofour"}
    assert not [name for name in names if "test" in name.split("/")[1] or "benchmark" in name.split("/")[1]]


def test_every_module_and_template_is_in_the_wheel(wheel):
    outside = ("tests", "benchmarks", "scripts", "docs", ".ci")
    wanted = {
        f"twofour/{path}" for path in tracked()
        if path.suffix in (".py", ".yaml", ".j2", ".css") and path.parts[0] not in outside
    }
    assert wanted <= set(zipfile.ZipFile(wheel).namelist())


def test_help_imports_nothing_heavy():
    code = (
        "import sys; sys.argv = ['twofour', '--help']; from twofour.cli import main\n"
        "try: main()\nexcept SystemExit as end: assert not end.code\n"
        f"found = [name for name in {HEAVY} if name in sys.modules]; assert not found, found"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


@pytest.mark.parametrize("room", ["common", "engines", "export.graph", "pipeline", "training", "calibrate", "export"])
def test_importing_a_room_imports_no_framework(room):
    code = (
        f"import sys, twofour.{room}\n"
        "found = [name for name in ('torch', 'modelopt', 'tensorrt') if name in sys.modules]; assert not found, found"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_engines_graph_and_common_never_import_torch():
    rooms = ("engines", "common", "export/graph")
    for path in (ROOT / path for path in tracked() if str(path).startswith(rooms) and path.suffix == ".py"):
        lines = [line.split("#")[0].strip() for line in path.read_text().splitlines()]
        assert not [line for line in lines if line.startswith(("import torch", "from torch", "from ..training"))], path


ARROWS = {
    "common": set(),
    "calibrate": {"common"},
    "export": {"common"},
    "engines": {"common", "export"},
    "training": {"common", "calibrate"},
    "pipeline": {"common", "calibrate", "export", "engines", "training"},
}


@pytest.mark.parametrize("room", ARROWS)
def test_imports_between_rooms_run_one_way(room):
    import ast

    for path in (ROOT / room).rglob("*.py"):
        depth = len(path.relative_to(ROOT).parts)
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.level == depth and node.module:
                other = node.module.split(".")[0]
                assert other in ARROWS[room] | {room}, f"{path} imports {other}"
