import pytest
import torch
from torch import nn

from twofour.common.errors import UserError
from twofour.training import checkpoint
from twofour.training.checkpoint import Checkpoint


def trained(optimizer_class):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4))
    optimizer = optimizer_class(model.parameters(), lr=0.1)
    model(torch.randn(8, 4)).square().sum().backward()
    optimizer.step()
    return model, optimizer


@pytest.mark.parametrize("kind", [torch.optim.SGD, torch.optim.AdamW])
def test_a_network_and_its_optimizer_come_back_bit_for_bit(tmp_path, kind):
    model, optimizer = trained(kind)
    checkpoint.save(tmp_path, "key", Checkpoint(1, checkpoint.pack(model, optimizer), [{"epoch": 1}]))
    other, fresh = trained(kind)
    with torch.no_grad():
        other[0].weight.zero_()
    found = checkpoint.load(tmp_path, "key")
    checkpoint.unpack(found.tensors, other, fresh)
    packed = checkpoint.pack(other, fresh)
    assert found.history == [{"epoch": 1}]
    assert packed.keys() == found.tensors.keys()
    assert all(torch.equal(packed[name], tensor) for name, tensor in found.tensors.items())


def test_only_the_newest_is_kept_and_leftovers_go(tmp_path):
    (tmp_path / ".checkpoint-0001.safetensors.77.tmp").write_bytes(b"half")
    for epoch in (1, 2):
        checkpoint.save(tmp_path, "key", Checkpoint(epoch, {"model/w": torch.ones(1)}, []))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint-0002.safetensors", "checkpoint.json"]
    checkpoint.clear(tmp_path)
    assert not list(tmp_path.iterdir())


def test_one_of_other_inputs_is_deleted(tmp_path):
    checkpoint.save(tmp_path, "old", Checkpoint(1, {"model/w": torch.ones(1)}, []))
    assert checkpoint.load(tmp_path, "new") is None
    assert not list(tmp_path.iterdir())


def test_a_damaged_one_is_named_and_never_used(tmp_path):
    checkpoint.save(tmp_path, "key", Checkpoint(3, {"model/w": torch.ones(1)}, []))
    path = tmp_path / "checkpoint-0003.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"checkpoint-0003\.safetensors.*damaged"):
        checkpoint.load(tmp_path, "key")


def test_a_damaged_index_is_named(tmp_path):
    (tmp_path / "checkpoint.json").write_text('{"epoch": 1}')
    with pytest.raises(UserError, match=r"checkpoint\.json"):
        checkpoint.load(tmp_path, "key")
