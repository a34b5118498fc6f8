from __future__ import annotations

import re
from pathlib import Path

from twofour.export.graph.lint.catalogue import ALL
from twofour.export.graph.lint.releases import IMPORTED, REFUSED, RELEASES, SINCE

PAGE = (Path(__file__).parents[4] / "docs" / "lint.md").read_text()


def test_ids_are_unique_and_say_their_family():
    ids = [rule.id for rule in ALL]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(r"(FILE|OPS|QDQ|FUSE|SPARSE)\d{3}", name) for name in ids)


def test_the_page_lists_the_same_rules_as_the_code():
    cells = r"((?:FILE|OPS|QDQ|FUSE|SPARSE)\d{3}) \| (\w+) \| (.*) \| (.*) \| (.*)"
    rows = re.findall(rf"^\| {cells} \|$", PAGE, re.MULTILINE)
    assert sorted(rows) == sorted((rule.id, rule.severity, rule.title, rule.why, rule.fix) for rule in ALL)


def test_the_page_lists_the_same_releases_as_the_code():
    rows = re.findall(r"^\| (1\d\.\d+) \| (\d+) \| (\d+) \|$", PAGE, re.MULTILINE)
    assert rows == [(release.name, str(release.opset), str(release.limit)) for release in RELEASES]


def test_no_operator_is_both_imported_and_refused():
    assert not IMPORTED & REFUSED
    assert set(SINCE) <= IMPORTED
    assert all(release.opset <= release.limit for release in RELEASES)
