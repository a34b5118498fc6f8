import os
from pathlib import Path

import pytest

from twofour.common import machine

HAS = 8


@pytest.fixture
def groups(tmp_path, monkeypatch):
    """A machine of 8 cores, with control groups as the test writes them: what the kernel says, and files below."""

    def write(own: str, files: dict[str, str]) -> None:
        (tmp_path / "own").write_text(own)
        for name, text in files.items():
            path = tmp_path / "groups" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(HAS)), raising=False)
    monkeypatch.setattr(machine, "_OWN_GROUPS", tmp_path / "own")
    monkeypatch.setattr(machine, "_GROUPS", tmp_path / "groups")
    return write


@pytest.mark.parametrize(("own", "files", "expected"), [
    ("0::/\n", {"cpu.max": "max 100000\n"}, HAS),
    ("0::/\n", {"cpu.max": "200000 100000\n"}, 2),
    ("0::/\n", {"cpu.max": "150000 100000\n"}, 2),  # rounded up
    ("0::/\n", {"cpu.max": "10000 100000\n"}, 1),
    ("0::/\n", {"cpu.max": "9900000 100000\n"}, HAS),
    ("0::/a/b\n", {"a/b/cpu.max": "max 100000\n", "a/cpu.max": "300000 100000\n"}, 3),  # the parent's holds too
    ("0::/../x\n", {"cpu.max": "400000 100000\n"}, 4),
    ("3:cpu,cpuacct:/docker/1\n0::/\n",
     {"cpu,cpuacct/cpu.cfs_quota_us": "250000\n", "cpu,cpuacct/cpu.cfs_period_us": "100000\n"}, 3),
    ("3:cpu,cpuacct:/\n", {"cpu,cpuacct/cpu.cfs_quota_us": "-1\n", "cpu,cpuacct/cpu.cfs_period_us": "100000\n"}, HAS),
    ("4:cpuset:/\n", {"cpuset/cpu.max": "100000 100000\n"}, HAS),
    ("0::/\n", {"cpu.max": "nonsense\n"}, HAS),
    ("0::/\n", {}, HAS),
])
def test_a_quota_of_cpu_time_bounds_the_cores(groups, own, files, expected):
    groups(own, files)
    assert machine.usable_cores() == machine.describe()["cores"] == expected


def test_without_control_groups_the_cores_are_those_it_may_run_on(groups, monkeypatch, tmp_path):
    monkeypatch.setattr(machine, "_OWN_GROUPS", Path(tmp_path / "none"))
    assert machine.usable_cores() == HAS
