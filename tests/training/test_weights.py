import os
import resource
import signal

import pytest
import torch
from torch import nn

from twofour.common.errors import UserError
from twofour.training.weights import load_weights, save_tensors


class Runs:
    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.mkdir, (str(self.marker),)


def test_safetensors_and_pt_files_both_load(tmp_path):
    source = nn.Linear(4, 2)
    save_tensors(tmp_path / "w.safetensors", source.state_dict())
    torch.save({"state_dict": source.state_dict()}, tmp_path / "w.pt")
    for name in ("w.safetensors", "w.pt"):
        target = nn.Linear(4, 2)
        load_weights(target, tmp_path / name)
        assert torch.equal(target.weight, source.weight)


@pytest.fixture
def little_room():
    """The kernel itself refuses to write beyond 64 KiB, as it does when a disk is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, handler)


def test_a_full_disk_is_said_and_leaves_the_old_weights(tmp_path, little_room):
    path = tmp_path / "w.safetensors"
    save_tensors(path, {"w": torch.ones(3)})
    old = path.read_bytes()
    with pytest.raises(UserError, match=r"w\.safetensors: .*no room left"):
        save_tensors(path, {"w": torch.ones(100_000)})
    assert path.read_bytes() == old
    assert [item.name for item in tmp_path.iterdir()] == ["w.safetensors"]


def test_shared_and_strided_tensors_survive(tmp_path):
    weight = torch.arange(24.0).view(1, 2, 3, 4).to(memory_format=torch.channels_last)
    save_tensors(tmp_path / "w.safetensors", {"a": weight, "b": weight})
    from twofour.training.weights import read_tensors

    assert all(torch.equal(tensor, weight) for tensor in read_tensors(tmp_path / "w.safetensors").values())


def test_a_pickle_that_would_run_code_is_refused_and_runs_nothing(tmp_path):
    marker = tmp_path / "it-ran"
    torch.save({"weight": Runs(marker)}, tmp_path / "evil.pt")
    with pytest.raises(UserError, match="run code") as raised:
        load_weights(nn.Linear(4, 2), tmp_path / "evil.pt")
    assert raised.value.exit_code == 2
    assert not marker.exists()


def test_wrong_shapes_are_named_with_both_shapes(tmp_path):
    save_tensors(tmp_path / "w.safetensors", nn.Linear(4, 3).state_dict())
    with pytest.raises(UserError, match=r"weight is \(3, 4\) in the file and \(2, 4\) here"):
        load_weights(nn.Linear(4, 2), tmp_path / "w.safetensors")


def test_missing_and_unexpected_names_are_listed_and_nothing_is_loaded(tmp_path):
    save_tensors(tmp_path / "w.safetensors", {"weight": torch.zeros(2, 4), "odd": torch.zeros(1)})
    target = nn.Linear(4, 2)
    with pytest.raises(UserError, match=r"missing bias; unexpected odd"):
        load_weights(target, tmp_path / "w.safetensors")
    assert target.weight.any()


@pytest.mark.parametrize("name", ["w.pt", "w.safetensors"])
def test_a_missing_or_damaged_file_is_named(tmp_path, name):
    with pytest.raises(UserError, match=name):
        load_weights(nn.Linear(4, 2), tmp_path / name)
    (tmp_path / name).write_bytes(b"\x00" * 40)
    with pytest.raises(UserError, match=name):
        load_weights(nn.Linear(4, 2), tmp_path / name)
