"""The page in a headless browser: its inputs move its numbers, quietly, and with nothing to load."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from scalinglab.reporting import Report

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
QUIET = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
)


@pytest.fixture(scope="module")
def opened(
    made: Report, lacking: Callable[[str], None], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str], tuple[Any, list[str]]]]:
    """Opens the report in a light or dark browser: the page, and what went wrong or was loaded, as it happens."""
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:  # a system's package, which neither the extras nor `make test` can bring
        pytest.skip(f"no browser: install one of {', '.join(BROWSERS)}")
    try:
        import vl_convert  # noqa: F401
        from playwright.sync_api import sync_playwright
    except ImportError as error:
        lacking(f"{error.name} is not installed: the extras report and dev bring it")
    path = made.html(tmp_path_factory.mktemp("page") / "report.html")
    assert path.stat().st_size < 5e6
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=found, args=list(QUIET))

        def open_page(scheme: Any) -> tuple[Any, list[str]]:
            tab = browser.new_page(color_scheme=scheme)
            faults: list[str] = []
            tab.on("console", lambda said: faults.append(said.text))
            tab.on("pageerror", lambda error: faults.append(str(error)))
            tab.on("request", lambda asked: faults.append(asked.url) if asked.url != path.as_uri() else None)
            tab.goto(path.as_uri())
            tab.wait_for_selector("html[data-ready]", state="attached")
            return tab, faults

        yield open_page
        browser.close()


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


def test_a_run_is_left_out_by_a_click(light: tuple) -> None:
    tab, _ = light
    point = tab.locator("#f-residuals svg .mark-symbol[role=graphics-object] path").nth(4)
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
