"""Pages in a real browser, from disk, by keyboard: where there is a Chromium (Debian: `apt-get install chromium`)."""

import base64
import shutil

import browser
import pandas as pd
import pytest
from told import CLAIMS, TIMES, told_of

from truemap.figures.index_page import index_page
from truemap.figures.page import page, table_html

pytestmark = pytest.mark.skipif(not browser.FOUND, reason="no Chromium here: pages were not opened in a browser")

#: The least contrast of what is read with what is behind it, over all text that shows: [ratio, text].
CONTRAST = """(() => {
  const light = c => { const [r, g, b] = c.map(x => (x /= 255) <= .04045 ? x / 12.92 : ((x + .055) / 1.055) ** 2.4);
                       return .2126 * r + .7152 * g + .0722 * b; };
  const parse = text => text.match(/[\\d.]+/g).map(Number);
  const behind = e => { for (; e; e = e.parentElement) { const c = parse(getComputedStyle(e).backgroundColor);
                        if (c.length < 4 || c[3] === 1) return c; } return [255, 255, 255]; };
  document.querySelectorAll("details").forEach(d => { d.open = true; });
  let worst = [99, ""];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const e = walker.currentNode.parentElement, text = walker.currentNode.textContent.trim();
    if (!text || e.closest("script,title,noscript") || !e.getClientRects().length) continue;
    const style = getComputedStyle(e), ink = parse(e.closest("svg") ? style.fill : style.color);
    const [a, b] = [light(ink.slice(0, 3)), light(behind(e).slice(0, 3))].sort((x, y) => y - x);
    const ratio = (a + .05) / (b + .05);
    if (ratio < worst[0]) worst = [ratio, text];
  }
  return worst;
})()"""


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    folder = tmp_path_factory.mktemp("profile")
    opened = browser.Browser(folder)
    yield opened
    opened.close()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def first_page(tmp_path_factory):
    folder = tmp_path_factory.mktemp("told")
    told = [told_of("brains", folder), told_of("images", folder, brain=False, data="made-up images")]
    path = folder / "index.html"
    path.write_text(index_page(told, CLAIMS, {"brains": TIMES}, [], "cff-version: 1.2.0"), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def long_table(tmp_path_factory):
    path = tmp_path_factory.mktemp("table") / "table.html"
    table = pd.DataFrame(
        {"name": [f"row {k * 7 % 120}" for k in range(120)], "value": [k * 7 % 120 / 10 for k in range(120)]}
    )
    table.loc[3, "value"] = float("nan")
    path.write_text(page("many", table_html(table, "many rows", na_rep="")), encoding="utf-8")
    return path


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1440, 390])
def test_the_page_opens_from_disk_without_a_word_or_a_request_and_can_be_read(chromium, first_page, width, scheme):
    seconds = chromium.open(first_page, width, scheme=scheme)
    print(f"{width} px, {scheme}: {first_page.stat().st_size / 1e6:.2f} MB open in {seconds:.2f} s")
    ratio, text = chromium.run(CONTRAST)
    assert ratio >= 4.5, text
    assert chromium.run("document.documentElement.scrollWidth") <= width
    assert chromium.run(f"matchMedia('(prefers-color-scheme: {scheme})').matches")
    assert not chromium.messages and not chromium.requests
    assert first_page.stat().st_size < 10e6


def focused(chromium, code="textContent"):
    return chromium.run(f"document.activeElement.{code}")


def tab_to(chromium, wanted, most=80):
    """Press Tab until what has the focus is `wanted`, an expression of it; as somebody without a mouse would."""
    for _ in range(most):
        chromium.press("Tab")
        if chromium.run(f"(e => {wanted})(document.activeElement)"):
            return
    raise AssertionError(f"not reached: {wanted}")


def column(chromium, place):
    return chromium.run(f"[...document.querySelectorAll('tbody tr')].map(r => r.cells[{place}].textContent)")


def test_a_table_is_reached_sorted_filtered_and_turned_by_keyboard(chromium, long_table):
    chromium.open(long_table)
    assert len(column(chromium, 0)) == 50 and "rows 1 to 50 of 120" in chromium.run("document.body.textContent")
    tab_to(chromium, "e.textContent === 'value'")
    chromium.press("Enter")
    found = column(chromium, 1)
    assert found == sorted(found, key=float) and found[0] == "0.0"
    assert chromium.run("[...document.querySelectorAll('th')].map(h => h.ariaSort)") == [None, "ascending"]
    chromium.press(" ")
    assert (
        chromium.run("document.querySelectorAll('th')[1].ariaSort") == "descending" and column(chromium, 1)[0] == "11.9"
    )
    # What is empty is last either way.
    chromium.run("[...document.querySelectorAll('button')].find(b => b.textContent === 'Later rows').focus()")
    chromium.press("Enter", 2)
    assert len(column(chromium, 0)) == 20 and column(chromium, 1)[-1] == ""
    assert focused(chromium, "textContent") == "Later rows" and focused(chromium, "ariaDisabled") == "true"
    chromium.run("document.querySelector('input[type=search]').focus()")
    for letter in "row 7":
        chromium.press(letter)
    found = column(chromium, 0)
    assert set(found) == {f"row {k}" for k in range(120) if "7" in str(k)}
    assert not chromium.messages


def test_a_cell_is_picked_by_keyboard_and_the_others_say_how_they_differ(chromium, first_page):
    chromium.open(first_page)
    tab_to(chromium, "e.classList.contains('cell')")
    first = focused(chromium, "getAttribute('aria-label')")
    assert "mean r 0.5" in chromium.run("document.querySelector('.detail').textContent")
    chromium.press("Enter")
    assert focused(chromium, "getAttribute('aria-pressed')") == "true"
    chromium.press("ArrowDown")
    second = focused(chromium, "getAttribute('aria-label')")
    assert second != first and second.startswith("CNN, gradient")
    said = chromium.run("document.querySelector('.detail').textContent")
    assert "95% interval" in said and "n = 12" in said and "% of group average" in said
    assert "difference -0.2" in said and "Bonferroni p = " in said and "(picked)" in said
    below = chromium.run("document.querySelector('.picked details').textContent")
    assert "Tests against each other map" in below and "s11" in below
    links = chromium.run("[...document.querySelectorAll('.picked details a')].map(a => a.getAttribute('href'))")
    assert links == [
        "brains/saliency/linear/seed-0/gradient.mean.nii.gz",
        "brains/scores/linear/seed-0/gradient.parquet",
    ]
    chromium.press("ArrowRight")
    assert "smooth grad" in focused(chromium, "getAttribute('aria-label')")
    chromium.press("Enter")
    tab_to(chromium, "e.textContent === 'Show its maps'")
    chromium.press("Enter")
    assert focused(chromium, "selectedOptions[0].textContent") == "CNN, smooth grad"
    assert "CNN, smooth grad. r with the truth" in chromium.run("document.querySelector('.viewer').textContent")
    assert not chromium.messages


def test_another_truth_gives_other_numbers(chromium, first_page):
    chromium.open(first_page)
    cells = "[...document.querySelectorAll('.picked')[0].querySelectorAll('.cell')].map(c => c.textContent)"
    before = chromium.run(cells)
    tab_to(chromium, "e.closest('.picked') && e.tagName === 'SELECT'")
    chromium.press("ArrowDown")
    after = chromium.run(cells)
    assert float(before[3]) - float(after[3]) > 0.2 and abs(float(before[0]) - float(after[0])) < 0.05


PICTURES = "[...document.querySelectorAll('.viewer')[{}].querySelectorAll('canvas')].map(c => c.toDataURL())"
#: Pixels with a colour, in the first picture; read from a copy, as the page never reads its own.
COLOURED = """(() => {
  const from = document.querySelector('.viewer canvas'), copy = document.createElement('canvas');
  [copy.width, copy.height] = [from.width, from.height];
  const context = copy.getContext('2d', {willReadFrequently: true});
  context.drawImage(from, 0, 0);
  const d = context.getImageData(0, 0, copy.width, copy.height).data;
  let n = 0;
  for (let k = 0; k < d.length; k += 4) n += d[k] !== d[k + 2] && d[k + 1] !== 255;
  return n;
})()"""


@pytest.mark.parametrize(("place", "kind"), [(0, "mm"), (1, "row")])
def test_crosshair_and_threshold_move_by_keyboard_in_both_pictures(chromium, first_page, place, kind):
    chromium.open(first_page)
    output = f"document.querySelectorAll('.viewer')[{place}].querySelector('output').textContent"
    before, pictures = chromium.run(output), chromium.run(PICTURES.format(place))
    assert kind in before and len(pictures) == 2
    inside = f"document.querySelectorAll('.viewer')[{place}].contains(e)"
    tab_to(chromium, f"{inside} && e.tagName === 'CANVAS'", most=200)
    chromium.press("ArrowRight", 3)
    moved = chromium.run(output)
    assert moved != before and all(a != b for a, b in zip(pictures, chromium.run(PICTURES.format(place)), strict=True))
    label = focused(chromium, "getAttribute('aria-label')")
    assert moved.removeprefix("At ").split(":")[0] in label
    # Back by the slider of that axis.
    chromium.run(
        f"document.querySelectorAll('.viewer')[{place}].querySelectorAll('input')[{2 if place else 1}].focus()"
    )
    chromium.press("ArrowLeft", 3)
    assert chromium.run(output) == before and chromium.run(PICTURES.format(place)) == pictures
    if place == 0:
        coloured = chromium.run(COLOURED)
        chromium.run("document.querySelectorAll('.viewer')[0].querySelectorAll('input')[0].focus()")
        chromium.press("End")
        assert coloured > 0 and chromium.run(COLOURED) < 0.2 * coloured
    assert not chromium.messages and not chromium.requests


def test_a_click_into_a_slice_moves_the_crosshair_there(chromium, first_page):
    chromium.open(first_page)
    chromium.run("document.querySelector('.viewer canvas').scrollIntoView()")
    box = chromium.run(
        "(b => [b.x, b.y, b.width, b.height])(document.querySelector('.viewer canvas').getBoundingClientRect())"
    )
    at = {"x": box[0] + 0.1 * box[2], "y": box[1] + 0.3 * box[3], "button": "left", "buttons": 1, "clickCount": 1}
    before = chromium.run("Number(document.querySelector('.viewer').querySelectorAll('input')[1].value)")
    for kind in ("mousePressed", "mouseReleased"):
        chromium.call("Input.dispatchMouseEvent", type=kind, **at)
    values = chromium.run("[...document.querySelector('.viewer').querySelectorAll('input')].map(i => Number(i.value))")
    # In the sagittal slice: far back and high up; x stays.
    assert values[1] == before and values[2] < -50 and values[3] > 10


def test_on_a_phone_a_picture_keeps_letters_that_can_be_read_and_moves_below_the_screen(chromium, first_page):
    chromium.open(first_page, 390)
    width, seen = chromium.run("(i => [i.clientWidth, i.closest('.moved').clientWidth])(document.querySelector('img'))")
    # 183 mm as printed are 2102 of 300 dots an inch: 504 points, of which the smallest letters have 6.
    assert 6 * width / (2102 / 300 * 72) >= 10 and seen <= 390
    chromium.run("document.querySelector('.moved a').focus()")
    chromium.press("ArrowRight", 3)
    assert (
        chromium.run("new Promise(r => setTimeout(r, 500)).then(() => document.querySelector('.moved').scrollLeft)") > 0
    )
    chromium.open(first_page, 1440)
    assert chromium.run("(b => b.scrollWidth === b.clientWidth)(document.querySelector('.moved'))")


def test_names_of_the_message_stay_in_their_figure_and_off_its_marks(chromium, first_page):
    chromium.open(first_page, 390)
    boxes = chromium.run(
        "[...document.querySelectorAll('svg .name')].map(t => (b => [b.x, b.x + b.width])(t.getBBox()))"
    )
    marks = chromium.run("[...document.querySelectorAll('svg .rule')].map(l => Number(l.getAttribute('x1')))")
    assert boxes and min(left for left, _ in boxes) >= 0 and max(right for _, right in boxes) <= min(marks)
    assert chromium.run("document.querySelector('svg .name').getBoundingClientRect().height") >= 10


@pytest.mark.parametrize("framed", [True, False])
def test_in_snakemakes_report_no_link_leads_where_nothing_lies(chromium, first_page, tmp_path, framed):
    """The report holds a page as a data URI in a frame, its own links within it go on."""
    path = first_page
    if framed:
        path = tmp_path / "report.html"
        data = base64.b64encode(first_page.read_bytes()).decode()
        path.write_text(f'<iframe width="1200" height="800" src="data:text/html;charset=utf8;base64,{data}"></iframe>')
    chromium.open(path)
    contexts = [found["context"]["id"] for found in chromium.seen("Runtime.executionContextCreated")]
    assert len(contexts) == 1 + framed

    def run(code):
        found = chromium.call("Runtime.evaluate", expression=code, contextId=contexts[-1], returnByValue=True)
        return found["result"].get("value")

    run("document.querySelector('.cell').click()")
    targets = run("[...document.querySelectorAll('a')].map(a => a.getAttribute('href'))")
    elsewhere = [target for target in targets if not target.startswith("#")]
    assert "#answer" in targets and ("left out here" in run("document.querySelector('nav').textContent")) == framed
    assert (not elsewhere) if framed else ("claims.html" in elsewhere and "brains/figures/grid.html" in elsewhere)
    assert run("document.querySelector('.picked details').textContent.includes('Files: mean maps, r of each map')")
    run("document.querySelector('nav a[href=\"#claims\"]').click()")
    assert run("document.getElementById('claims').getBoundingClientRect().top") < 100
