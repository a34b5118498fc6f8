"""The report in a real browser: no request, no error, nothing wider than the screen; and a picture to look at."""

import os
import shutil
from pathlib import Path

import pytest

from twofour.pipeline.report.write import write_report

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (twofour[dev])")

NAMES = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--no-first-run",
]
SECTIONS = ("summary", "accuracy", "speed", "validation", "sparsity", "ranges", "run")
PHONE, DESK = 390, 1280


@pytest.fixture(scope="module")
def browser():
    path = next((found for name in NAMES if (found := shutil.which(name))), None)
    if path is None:
        reason = f"no browser found: none of {', '.join(NAMES)} is on the PATH"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    with sync_api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield opened
        opened.close()


@pytest.fixture
def visit(browser, tmp_path):
    """Opens a report without a network and keeps what goes wrong."""
    contexts = []

    def open_page(path, width, scheme="light"):
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, offline=True)
        contexts.append(context)
        page = context.new_page()
        page.wrong, page.asked = [], []
        page.on("console", lambda message: page.wrong.append(message.text))
        page.on("pageerror", lambda error: page.wrong.append(str(error)))
        page.on("request", lambda request: page.asked.append(request.url))
        page.goto(path.as_uri())
        return page

    yield open_page
    for context in contexts:
        context.close()


def pictures(tmp_path):
    folder = Path(os.environ.get("TWOFOUR_SCREENSHOTS", tmp_path / "pictures"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def overflow(page):
    """What sticks out of the page to the right, but for what scrolls inside its own box."""
    return page.evaluate(
        """() => {
            if (document.documentElement.scrollWidth <= innerWidth) return [];
            return [...document.body.querySelectorAll('*')]
                .filter(item => item.getBoundingClientRect().right > innerWidth + 1)
                .map(item => item.tagName + '.' + item.className);
        }"""
    )


VISITS = [(kind, PHONE, "light") for kind in ("finished", "stopped", "hostile")] + [
    ("finished", PHONE, "dark"), ("finished", DESK, "light"), ("finished", DESK, "dark"), ("hostile", DESK, "light"),
    ("painted", PHONE, "light"), ("painted", DESK, "dark"), ("unpaired", PHONE, "dark"),
]


@pytest.mark.parametrize(("kind", "width", "scheme"), VISITS)
def test_the_report_opens_cleanly(kind, width, scheme, visit, request, tmp_path):
    path = write_report(request.getfixturevalue(kind))
    page = visit(path, width, scheme)
    page.screenshot(path=pictures(tmp_path) / f"{kind}-{width}-{scheme}.png", full_page=True)
    page.eval_on_selector_all("details", "items => items.forEach(item => { item.open = true; })")
    assert overflow(page) == []
    assert page.wrong == []
    assert [address for address in page.asked if not address.startswith("data:")] == [path.as_uri()]
    assert page.title() == f"{path.parent.name} \u00b7 twofour report" or kind == "hostile"
    assert page.evaluate("[...document.images].every(image => image.complete && image.naturalWidth > 0)")
    assert page.title() != "owned"
    for name in SECTIONS:
        assert page.locator(f"#{name}").is_visible()


def test_labels_of_an_axis_do_not_touch(finished, visit):
    page = visit(write_report(finished), PHONE)
    touching = page.evaluate(
        """() => [...document.querySelectorAll('.axis .track, .along, .up')].flatMap(axis => {
            const boxes = [...axis.children].map(item => item.getBoundingClientRect());
            const vertical = axis.className === 'up';
            return boxes.slice(1).filter((box, i) =>
                vertical ? box.bottom > boxes[i].top + 1 : box.left < boxes[i].right + 2).map(() => axis.textContent);
        })"""
    )
    assert touching == []


@pytest.mark.parametrize("kind", ["finished", "painted"])
def test_text_is_large_and_dark_enough_to_read(kind, visit, request):
    for scheme in ("light", "dark"):
        page = visit(write_report(request.getfixturevalue(kind)), PHONE, scheme)
        small = page.evaluate(
            """() => [...document.body.querySelectorAll('*')]
                .filter(item => [...item.childNodes].some(node => node.nodeType === 3 && node.textContent.trim()))
                .filter(item => !item.closest('svg') && parseFloat(getComputedStyle(item).fontSize) < 11)
                .map(item => item.className + ': ' + item.textContent)"""
        )
        assert small == []
        assert page.evaluate(CONTRAST) == []


CONTRAST = """() => {
    const numbers = text => text.match(/[0-9.]+/g).map(Number);
    const light = rgb => { const [r, g, b] = rgb.map(v => v / 255).map(
        v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4); return .2126 * r + .7152 * g + .0722 * b; };
    const paper = item => { for (; item; item = item.parentElement) {
        const found = numbers(getComputedStyle(item).backgroundColor);
        if (found.length < 4 || found[3] > 0) return found.slice(0, 3); } return [255, 255, 255]; };
    return [...document.body.querySelectorAll('*')]
        .filter(item => !item.closest('svg') && item.className !== 'skip')
        .filter(item => [...item.childNodes].some(node => node.nodeType === 3 && node.textContent.trim()))
        .filter(item => { const a = light(numbers(getComputedStyle(item).color).slice(0, 3)), b = light(paper(item));
            return (Math.max(a, b) + .05) / (Math.min(a, b) + .05) < 4.5; })
        .map(item => item.className + ': ' + item.textContent);
}"""


def test_the_navigation_stays_and_leads_to_its_sections(finished, visit):
    page = visit(write_report(finished), DESK)
    page.emulate_media(reduced_motion="reduce")
    page.get_by_role("link", name="Validation").click()
    assert 0 < page.locator("#validation").bounding_box()["y"] < 200
    assert page.locator("nav").bounding_box()["y"] == 0


def test_drawings_have_names_for_those_who_hear_the_page(finished, visit):
    page = visit(write_report(finished), DESK)
    assert page.locator("svg[role=img]").count() == page.locator("svg[role=img] > title").count() > 6


def test_it_prints_with_every_table_open(finished, visit, tmp_path):
    page = visit(write_report(finished), DESK)
    page.emulate_media(media="print")
    assert page.locator("nav").is_hidden()
    page.pdf(path=tmp_path / "report.pdf")
    assert (tmp_path / "report.pdf").stat().st_size > 10_000


@pytest.mark.parametrize("width", [PHONE, DESK])
def test_a_sample_is_in_line_through_all_networks(width, painted, visit):
    page = visit(write_report(painted), width)
    boxes = page.evaluate(
        """() => [...document.querySelectorAll('.pictures img')].map(image => {
            const box = image.getBoundingClientRect();
            return [image.alt, Math.round(box.left), Math.round(box.top), box.width]; })"""
    )
    assert len(boxes) == 5 * 8
    along = 2 if width == PHONE else 1
    places = {}
    for row in boxes:
        places.setdefault(row[0].split(":")[0], set()).add(row[along])
    assert all(len(found) == 1 for found in places.values())
    assert len(set.union(*places.values())) == 8
    assert min(row[3] for row in boxes) >= 40
