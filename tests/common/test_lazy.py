import pytest

from twofour.common.errors import MissingError
from twofour.common.lazy import require


def test_a_missing_package_comes_with_the_line_that_installs_it():
    with pytest.raises(MissingError, match=r"not installed.*pip install 'twofour\[vision\]'"):
        require("no_such_package", extra="vision", purpose="A timm model")


@pytest.mark.parametrize("body", ["import no_such_thing", "raise RuntimeError('operator does not exist')"])
def test_a_broken_package_is_told_from_a_missing_one(tmp_path, monkeypatch, body):
    (tmp_path / "broken_package.py").write_text(body)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(MissingError, match="can't be imported") as error:
        require("broken_package", extra="vision", purpose="This")
    assert error.value.exit_code == 4


def test_a_good_package_is_imported():
    assert require("json", extra="", purpose="").loads("1") == 1
