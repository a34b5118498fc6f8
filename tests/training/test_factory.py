import sys
import textwrap

import pytest
import torch

from twofour.common.errors import MissingError, UserError
from twofour.training.config import DataConfig, ModelConfig
from twofour.training.factory import build_data, build_model


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """A user's module in the current directory."""
    (tmp_path / "my_factories.py").write_text(
        textwrap.dedent("""
        import random
        import torch
        number = 3
        def good(width=4): return torch.nn.Linear(width, 2)
        def breaks(): raise RuntimeError("the disk is on fire")
        def nothing(): return 7
        class Three:
            train = val = calibration = [(torch.zeros(2, 4), torch.zeros(2))]
        def data(): return Three()
        def two():
            made = Three(); made.val = None
            return made
        def once():
            made = Three(); made.train = iter([])
            return made
        def drawn():
            made = Three(); made.train = [torch.rand(3)]
            return made
        """)
    )
    (tmp_path / "my_broken.py").write_text("import a_package_that_is_not_there\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield
    for name in ("my_factories", "my_broken"):
        sys.modules.pop(name, None)


def test_a_factory_in_the_current_directory_is_found(mine):
    assert build_model(ModelConfig(factory="my_factories:good", args={"width": 8})).in_features == 8
    assert len(build_data(DataConfig(factory="my_factories:data")).train) == 1


def test_what_a_data_factory_draws_is_the_same_every_time(mine):
    first, second = (build_data(DataConfig(factory="my_factories:drawn")).train[0] for _ in range(2))
    assert torch.equal(first, second)


@pytest.mark.parametrize(
    ("factory", "said"),
    [
        ("nothing", "no factory"),
        ("not_there:thing", "not_there"),
        ("my_broken:thing", "a_package_that_is_not_there"),
        ("my_factories:absent", "nothing called absent"),
        ("my_factories:number", "can't be called"),
        ("my_factories:breaks", "RuntimeError: the disk is on fire"),
        ("my_factories:nothing", "returned int, not a torch.nn.Module"),
    ],
)
def test_a_bad_model_factory_is_explained(mine, factory, said):
    with pytest.raises(UserError, match=said) as raised:
        build_model(ModelConfig(factory=factory))
    assert raised.value.exit_code == 2


def test_wrong_arguments_are_told_from_an_error_inside(mine):
    with pytest.raises(UserError, match="doesn't take these arguments"):
        build_model(ModelConfig(factory="my_factories:good", args={"widht": 8}))


@pytest.mark.parametrize(
    ("name", "said"), [("nothing", "no loader called `train`"), ("two", "`val`"), ("once", "only once")]
)
def test_a_bad_data_factory_is_explained(mine, name, said):
    with pytest.raises(UserError, match=said):
        build_data(DataConfig(factory=f"my_factories:{name}"))


@pytest.mark.parametrize(("zoo", "extra"), [("timm", "vision"), ("torchvision", "vision"), ("transformers", "hf")])
def test_a_missing_package_gives_its_install_line(zoo, extra, monkeypatch):
    monkeypatch.setitem(sys.modules, zoo, None)
    with pytest.raises(MissingError, match=rf"twofour\[{extra}\]") as raised:
        build_model(ModelConfig(factory=f"{zoo}:anything"))
    assert raised.value.exit_code == 4


def test_a_broken_package_says_so(tmp_path, monkeypatch):
    (tmp_path / "timm").mkdir()
    (tmp_path / "timm/__init__.py").write_text("raise OSError('libfoo.so: cannot open')")
    monkeypatch.syspath_prepend(tmp_path)
    for name in [name for name in sys.modules if name.split(".")[0] == "timm"]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(MissingError, match="libfoo"):
        build_model(ModelConfig(factory="timm:resnet18"))


def test_downloads_are_refused():
    with pytest.raises(UserError, match="download"):
        build_model(ModelConfig(factory="timm:resnet18", args={"pretrained": True}))
