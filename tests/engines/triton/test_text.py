import pytest
from hypothesis import given
from hypothesis import strategies as st

from twofour.engines.triton.text import Word, quoted, render


def test_messages_fields_lists_and_enums_are_written_as_protobuf_reads_them(parse, triton):
    found = parse(render({
        "name": "net", "max_batch_size": 8, "platform": None,
        "input": [{"name": "a", "data_type": Word("TYPE_FP32"), "dims": [3, -1]}, {"name": "b", "dims": [1]}],
        "optimization": {"cuda": {"graphs": True, "busy_wait_events": False}},
        "parameters": [{"key": "k", "value": {"string_value": "v"}}],
    }))
    assert (found.name, found.max_batch_size, found.platform) == ("net", 8, "")
    assert [(one.name, list(one.dims)) for one in found.input] == [("a", [3, -1]), ("b", [1])]
    assert found.input[0].data_type == triton.TYPE_FP32
    assert found.optimization.cuda.graphs is True
    assert found.optimization.cuda.busy_wait_events is False
    assert found.parameters["k"].string_value == "v"


@pytest.mark.parametrize("text", ['a"b', "a\\b", "a\nb", "\0", "'", "é", "\u2028", "😀", "\x7f7", "#", "\t\r"])
def test_strings_that_need_care_come_back(parse, text):
    assert parse(f"name: {quoted(text)}").name == text


@given(st.text())
def test_every_string_comes_back_and_stays_on_its_line(parse, text):
    literal = quoted(text)
    assert len(literal.splitlines()) == 1
    assert parse(f"name: {literal}").name == text


def test_an_empty_message_and_an_empty_list_can_be_told_from_nothing(parse):
    found = parse(render({"input": [{"name": "a", "reshape": {"shape": []}}], "version_policy": {"all": {}}}))
    assert found.input[0].HasField("reshape")
    assert found.version_policy.HasField("all")
    assert not found.HasField("optimization")
