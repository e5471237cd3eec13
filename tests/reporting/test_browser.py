"""The page in a headless browser: its inputs move its numbers, quietly, and with nothing to load."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import scalinglab as sl
from scalinglab.reporting import Report
from scalinglab.reporting.without import optima

BROWSERS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
QUIET = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
)
LADDER = Path(__file__).parents[2] / "runs" / "cpu-ladder"


@pytest.fixture(scope="module")
def browser(lacking: Callable[[str], None]) -> Iterator[Any]:
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:  # a system's package, which neither the extras nor `make test` can bring
        pytest.skip(f"no browser: install one of {', '.join(BROWSERS)}")
    try:
        import vl_convert  # noqa: F401
        from playwright.sync_api import sync_playwright
    except ImportError as error:
        lacking(f"{error.name} is not installed: the extras report and dev bring it")
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=found, args=list(QUIET))
        yield browser
        browser.close()


def open_page(browser: Any, path: Path, scheme: str) -> tuple[Any, list[str]]:
    """A report, without a network: the page, and what went wrong or was loaded, as it happens."""
    assert path.stat().st_size < 5e6
    tab = browser.new_page(color_scheme=scheme, offline=True)
    faults: list[str] = []
    tab.on("console", lambda said: faults.append(said.text))
    tab.on("pageerror", lambda error: faults.append(str(error)))
    tab.on("request", lambda asked: faults.append(asked.url) if asked.url != path.as_uri() else None)
    tab.goto(path.as_uri())
    tab.wait_for_selector("html[data-ready]", state="attached")
    return tab, faults


@pytest.fixture(scope="module")
def opened(
    made: Report, browser: Any, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], tuple[Any, list[str]]]:
    """Opens the report on the known law in a light or dark browser."""
    path = made.html(tmp_path_factory.mktemp("page") / "report.html")
    return lambda scheme: open_page(browser, path, scheme)


@pytest.fixture(scope="module")
def light(opened: Callable[[str], tuple[Any, list[str]]]) -> tuple[Any, list[str]]:
    return opened("light")


def number(text: str) -> float:
    """12.3M as 1.23e7."""
    factor = {"k": 1e3, "M": 1e6, "B": 1e9, "T": 1e12}.get(text[-1])
    return float(text[:-1]) * factor if factor else float(text)


def read(tab: Any, name: str, which: str = "v") -> str:
    return str(tab.inner_text(f"#{which}-{name}"))


def test_the_slider_and_a_typed_budget_read_the_fits_own_optimum(made: Report, light: tuple) -> None:
    tab, faults = light
    before = read(tab, "params")
    tab.focus("#budget")
    for _ in range(40):
        tab.keyboard.press("ArrowRight")
    assert read(tab, "params") != before
    tab.fill("#typed", "3.3e20")  # between two budgets of the grid
    tab.keyboard.press("Tab")
    best = made.views[0].fit.optimum(3.3e20, boot=made.views[0].boot)
    assert number(read(tab, "params")) == pytest.approx(best.params.value, rel=5e-3)
    assert number(read(tab, "tokens")) == pytest.approx(best.tokens.value, rel=5e-3)
    assert float(read(tab, "loss")) == pytest.approx(best.loss.value, abs=6e-4)
    low, high = (number(end) for end in read(tab, "params", "i").split(" – "))
    assert low == pytest.approx(best.params.lo, rel=0.02)
    assert high == pytest.approx(best.params.hi, rel=0.02)
    assert number(read(tab, "hours")) == pytest.approx(3.3e20 / (989e12 * 0.4) / 3600, rel=0.01)
    tab.wait_for_function("document.getElementById('spoken').textContent.includes('3.30e20')")
    assert faults == []


def test_eval_set_law_and_a_run_left_out_change_what_is_shown(made: Report, light: tuple) -> None:
    tab, faults = light
    web = float(read(tab, "loss"))
    tab.select_option("#set", "code")
    # every loss on code is 0.7 times that on web
    assert float(read(tab, "loss")) == pytest.approx(0.7 * web, rel=0.01)
    assert "Chinchilla on code" in tab.inner_text("#summary")
    tab.select_option("#law", "Kaplan")
    assert "Kaplan on code" in tab.inner_text("#summary")
    assert "alpha_N" in tab.inner_text("main")
    tab.select_option("#without", "19")
    whole, without = made.views[3], made.views[3].without
    shown = tab.locator('[data-view="3"] table.constants td.out').first.inner_text()
    assert number(shown.replace("e", "E")) == pytest.approx(without.constants.iloc[19, 0], rel=1e-2)
    assert without.constants.iloc[19, 0] != whole.fit.constants["N_c"]
    assert number(read(tab, "params", "o")) > 0
    assert tab.locator("#f-frontier svg path").count() > 20
    tab.select_option("#without", "-1")
    assert not tab.locator("#o-params").is_visible()
    assert faults == []


FIRST_ON_TOP = """points => points.findIndex(point => {
  const box = point.getBoundingClientRect();
  return document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2) === point;
})"""


def test_a_run_is_left_out_by_a_click(light: tuple) -> None:
    tab, _ = light
    # of points that overlap the uppermost is clicked
    tab.locator("#f-residuals").scroll_into_view_if_needed()
    points = tab.locator("#f-residuals svg .mark-symbol[role=graphics-object] path")
    point = points.nth(points.evaluate_all(FIRST_ON_TOP))
    run = point.evaluate("node => node.__data__.datum.id")  # marks stand in an order of their own
    assert tab.input_value("#without") != str(run)
    point.click(force=True)
    assert tab.input_value("#without") == str(run)


def test_both_colour_schemes_are_readable(
    opened: Callable[[str], tuple[Any, list[str]]], light: tuple, tmp_path: Path
) -> None:
    tab, faults = opened("dark")
    both = (light[0], tab)
    ink, paper = "getComputedStyle(document.body).color", "getComputedStyle(document.body).backgroundColor"
    shades = [[sum(map(int, t.evaluate(of)[4:-1].split(","))) for of in (ink, paper)] for t in both]
    assert shades[0][0] < 200 < 600 < shades[0][1]  # dark on light
    assert shades[1][1] < 200 < 600 < shades[1][0]
    text = "getComputedStyle(document.querySelector('#f-fit svg text')).fill"
    assert tab.evaluate(text) == tab.evaluate(ink)  # axes too
    assert len(tab.screenshot(path=tmp_path / "dark.png", full_page=True)) > 50_000
    assert faults == []


# ---- real tables, by keyboard alone ---------------------------------------------------------------


@pytest.fixture(scope="module", params=["olmo", "ladder"])
def real(
    request: pytest.FixtureRequest, browser: Any, data_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Report, Any, list[str]]]:
    """The report on the published ladder and on two eval sets of the one shipped here, as pages."""
    if request.param == "olmo":
        runs = sl.read_runs(data_folder / "olmo_ladder.csv")
    else:
        runs = sl.read_runs(LADDER)
        runs = runs[runs["eval_set"].isin(["average", "code"])]
    found = sl.report(runs, laws=[sl.laws.Chinchilla(), sl.laws.Kaplan()], resamples=40)
    tab, faults = open_page(browser, found.html(tmp_path_factory.mktemp("real") / "report.html"), "light")
    yield found, tab, faults
    tab.close()


def tab_to(tab: Any, selector: str) -> None:
    """Press Tab until an element that matches has the focus, as somebody without a mouse does."""
    for _ in range(40):
        tab.keyboard.press("Tab")
        if tab.evaluate("selector => document.activeElement.matches(selector)", selector):
            return
    pytest.fail(f"40 tabs do not lead to {selector}")


def test_real_reports_are_read_by_keyboard_alone(real: tuple[Report, Any, list[str]]) -> None:
    report, tab, faults = real
    view = report.views[0]
    if len(report.eval_sets) > 1:
        tab_to(tab, "#set")
    tab_to(tab, "#law")
    tab.keyboard.press("k")  # the first letter of an entry, as in any menu
    assert "Kaplan" in tab.inner_text("#summary h3:visible")
    tab.keyboard.press("ArrowUp")  # a second letter at once would be read as the next of one word
    assert "Chinchilla" in tab.inner_text("#summary h3:visible")
    tab_to(tab, "#without")
    tab.keyboard.press("ArrowDown")
    row = int(tab.input_value("#without"))
    k = list(view.without.rows).index(row)
    best = optima(view.law, view.without.constants.iloc[[k]], np.array([view.now.flops]))[0][0, 0]
    # the fit ready without it, whose optimum the page reads between budgets
    assert number(read(tab, "params", "o")) == pytest.approx(best, rel=0.02)
    assert tab.locator("tr.left-out:visible").count() == 1
    tab.keyboard.press("ArrowUp")
    assert not tab.locator("#o-params").is_visible()
    tab_to(tab, "#budget")
    before = [read(tab, name) for name in ("params", "loss", "hours")]
    for _ in range(20):
        tab.keyboard.press("ArrowRight")
    after = [read(tab, name) for name in ("params", "loss", "hours")]
    # dearer is larger, better and takes longer
    assert number(after[0]) > number(before[0])
    assert float(after[1]) < float(before[1])
    assert number(after[2]) > number(before[2])
    tab.wait_for_function("document.getElementById('spoken').textContent.includes('parameters')")
    tab_to(tab, "[role=region]")
    tab_to(tab, "[role=region]:has(table.runs)")
    assert faults == []


def test_real_reports_name_everything_and_follow_the_colour_scheme(
    real: tuple[Report, Any, list[str]],
) -> None:
    _, tab, faults = real
    assert tab.evaluate(UNNAMED) == []
    paper = "getComputedStyle(document.body).backgroundColor"
    light = tab.evaluate(paper)
    tab.emulate_media(color_scheme="dark")
    assert tab.evaluate(paper) != light
    # a legend of the sizes' colours, and one alone: no symbol a size
    assert tab.locator("#f-fit svg .role-legend-gradient").count() == 1
    assert tab.locator("#f-fit svg .role-legend-symbol").count() == 0
    tab.set_viewport_size({"width": 390, "height": 800})  # a telephone: nothing wider than it
    assert tab.evaluate("document.documentElement.scrollWidth") <= 390
    assert faults == []


UNNAMED = """() => {
  const faults = [], all = (selector) => [...document.querySelectorAll(selector)];
  const text = (node) => (node ? node.textContent.trim() : "");
  const named = (node) =>
    node.getAttribute("aria-label") || text(document.getElementById(node.getAttribute("aria-labelledby")));
  const tell = (what, node) => faults.push(`${what}: ${node.outerHTML.slice(0, 120)}`);
  for (const node of all("input, select")) if (![...node.labels].some(text) && !named(node)) tell("no label", node);
  for (const node of all("main section, form, [role=region], [role=graphics-document]"))
    if (!named(node) && (node.tagName !== "FORM")) tell("no name", node);
  for (const node of all("table")) if (!text(node.caption)) tell("no caption", node);
  for (const node of all("th")) if (!node.scope) tell("no scope", node);
  for (const node of all("a, button, summary")) if (!text(node) && !named(node) && !node.title) tell("empty", node);
  for (const node of all("[tabindex]")) if (node.tabIndex > 0) tell("an order of its own", node);
  for (const id of all("[id]").map((node) => node.id)) if (all(`[id="${id}"]`).length > 1) faults.push(`twice: ${id}`);
  let level = 0;
  for (const node of all("h1, h2, h3")) {
    if (+node.tagName[1] > level + 1) tell("a level of headings is left out", node);
    level = +node.tagName[1];
  }
  for (const [selector, count] of [["main", 1], ["h1", 1], ["html[lang]", 1], ["title", 1], ["[role=status]", 1]])
    if (all(selector).length !== count) faults.push(`${all(selector).length} of ${selector}`);
  return faults;
}"""
"""What a screen reader would have no name for, as a list of sentences."""
