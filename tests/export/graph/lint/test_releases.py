from __future__ import annotations

import pytest

from twofour.common.errors import UserError
from twofour.export.graph.lint import lint
from twofour.export.graph.lint.releases import find_release


def ids(model, release):
    return {one.id for one in lint(model, release)}


@pytest.mark.parametrize("text", ["10.13", "10.13.3", "10.13.3.9", " 10.13 "])
def test_longer_versions_name_their_release(text):
    assert find_release(text).name == "10.13"


@pytest.mark.parametrize("text", ["", "10", "9.3", "12.0", "ten", "10.x", "-10.13", "10.99", "\u0661\u0660.13"])
def test_what_is_not_known_is_said(text):
    with pytest.raises(UserError, match=r"Known are 10\.12"):
        find_release(text)


def test_an_operator_that_came_later(net):
    model = net.model(net.op("Attention", ["x", "x", "x"], "y"), opset=23)
    assert {"OPS002", "OPS008"} <= ids(model, "10.13")
    assert "OPS002" not in ids(model, "10.14")
    assert ids(model, "10.15") == set()
    [finding] = [one for one in lint(model, "10.13") if one.id == "OPS002"]
    assert "10.14 and later" in finding.text


@pytest.mark.parametrize(("opset", "release", "expected"), [
    (21, "10.12", set()), (22, "10.12", {"OPS008"}), (24, "10.12", {"OPS007"}), (24, "11.4", set()),
    (25, "11.4", {"OPS008"}), (25, "11.5", set()), (26, "11.5", {"OPS007"}), (8, "11.5", {"OPS009"}),
])
def test_opsets_by_release(net, opset, release, expected):
    assert ids(net.model(net.op("Relu", ["x"], "y"), opset=opset), release) == expected
